# SPDX-License-Identifier: MIT
"""The traps of tracking, one by one: errors that leave a transaction open, what a re-INTRODUCE, a
RELEASE, a death, a reconnection and a restart of xsproxyd do to the lists, the longest watches,
guessed ids, and gencnt."""

import signal

import pytest

from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_TRANSACTIONS, GET_DOMAIN_WATCHES, add_watches,
                  ask, error_of, events_until_now, running, said, tracked_transactions,
                  tracked_watches, watch_page)
from relay import FLAVOURS, destroy, introduce, packet, wait_until
from versions import EXPECT
from xensim import home
from xsclient import (INTRODUCE, READ, RESET_WATCHES, TRANSACTION_END, TRANSACTION_START, UNWATCH,
                      WATCH, WRITE, join)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def end(guest, tx, payload):
    return error_of(guest.call(TRANSACTION_END, payload, tx=tx))


def works(guest, tx):
    """Whether the daemon knows the transaction."""
    err = error_of(guest.call(READ, b"domid\0", tx=tx))
    assert err in (None, "ENOENT", "EIO", "EQUOTA")
    return err in (None, "EQUOTA")


def test_end_with_einval_leaves_it_open(flavour):
    """oxenstored takes a letter without its NUL, or with more behind it."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        other, tx = guest.start(), guest.start()
        for payload in (b"", b"\0", b"X\0", b"TT\0", b"FF\0", b"t\0", b"\0T\0", b"T", b"F",
                        b"T\0\0", b"T\0F\0", b"F\0x"):
            lenient = flavour == "O" and payload.split(b"\0")[0] in (b"T", b"F")
            assert end(guest, tx, payload) == (None if lenient else "EINVAL")
            assert works(guest, tx) is not lenient
            assert tracked_transactions(host.dom0, 7) == ({other} if lenient else {other, tx})
            if lenient:
                tx = guest.start()
        assert end(guest, tx, b"T\0") is None
        assert tracked_transactions(host.dom0, 7) == {other}
        assert not works(guest, tx) and works(guest, other)


def test_end_with_equota_leaves_it_open(flavour):
    """oxenstored refuses even F of a transaction with more than 1024 operations. The C daemon knows
    no such state: it fails what goes beyond its own limit, and ENDs."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        other, tx = guest.start(), guest.start()
        for _ in range(103):
            ids = [guest.send(WRITE, b"data/a\0" + b"x", tx=tx) for _ in range(10)]
            assert ids == [guest.recv_reply().req_id for _ in ids]
        if flavour == "C":
            assert end(guest, tx, b"T\0") is None
            assert tracked_transactions(host.dom0, 7) == {other}
            return
        for payload in (b"T\0", b"F\0", b"T\0"):
            assert end(guest, tx, payload) == "EQUOTA"
            assert tracked_transactions(host.dom0, 7) == {other, tx}
            assert works(guest, tx)
        # It still counts: 11 in all.
        assert len([guest.start() for _ in range(9)]) == 9
        assert said(guest.start) == "EQUOTA"
        assert len(tracked_transactions(host.dom0, 7)) == 11
        guest.reset_watches()
        assert tracked_transactions(host.dom0, 7) == set()
        assert not works(guest, tx) and not works(guest, other)


def test_end_with_eagain_or_unknown_id_closes_nothing_else(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        first, second = guest.start(), guest.start()
        guest.read("data", tx=first)
        guest.write("data", "guest", tx=first)
        host.dom0.write("/local/domain/7/data", "dom0")
        assert end(guest, first, b"T\0") == "EAGAIN"
        assert tracked_transactions(host.dom0, 7) == {second}
        for tx in (0, first, second + 1, 0xFFFFFFFE, 0xFFFFFFFF):
            assert end(guest, tx, b"F\0") == (EXPECT[flavour].unknown_tx if tx else "ENOENT")
            assert tracked_transactions(host.dom0, 7) == {second}
        assert works(guest, second) and not works(guest, first)


def test_guessed_ids(flavour):
    """A guest may know what id it will get; until it got it, it does not exist. Whatever it does,
    the list says what is open."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        sent = [(TRANSACTION_START, b"\0", 0), (WRITE, b"data/a\0x", 1),
                (TRANSACTION_END, b"T\0", 1), (TRANSACTION_START, b"\0", 0),
                (TRANSACTION_END, b"F\0", 2), (READ, b"domid\0", 2), (RESET_WATCHES, b"\0", 1),
                (TRANSACTION_START, b"\0", 0)]
        for request in sent:
            guest.send(*request)
        for request in sent:
            guest.recv_reply()
        tracked = tracked_transactions(host.dom0, 7)
        assert tracked == {tx for tx in range(1, 8) if works(guest, tx)}
        for tx in tracked:
            guest.end(tx)
        assert tracked_transactions(host.dom0, 7) == set()


def test_reintroduce(flavour):
    """The C daemon forgets watches and transactions, the OCaml daemon does not."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        watches = [("data", "a"), ("/local/domain/7/device", "b"), ("@releaseDomain", "c")]
        for watch in watches:
            guest.watch(*watch)
        tx = guest.start()
        gencnt, listed = watch_page(host.dom0, 7)
        assert listed == watches
        for _ in range(2):
            host.dom0.introduce(7, domain.gfn, domain.port)
        if flavour == "C":
            assert watch_page(host.dom0, 7)[0] != gencnt
            assert tracked_watches(host.dom0, 7) == []
            assert tracked_transactions(host.dom0, 7) == set()
            assert [said(guest.unwatch, *watch) for watch in watches] == ["ENOENT"] * 3
        else:
            assert watch_page(host.dom0, 7) == (gencnt, watches)
            assert tracked_transactions(host.dom0, 7) == {tx}
            for watch in watches:
                guest.unwatch(*watch)
            assert tracked_watches(host.dom0, 7) == []
        assert works(guest, tx) == (flavour == "O")


def test_reintroduce_under_fire(flavour):
    """Requests that the guest has sent when it is introduced again are all answered, once and in
    order; afterwards the lists are the daemon's."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        for burst in range(20):
            ids = [guest.send(WATCH, join("data", f"{burst}.{i}")) for i in range(6)]
            host.dom0.send(INTRODUCE, join(7, domain.gfn, domain.port))
            ids += [guest.send(UNWATCH, join("data", f"{burst}.{i}")) for i in range(0, 6, 2)]
            replies = [guest.recv_reply() for _ in ids]
            assert [msg.req_id for msg in replies] == ids
            assert {error_of(msg) for msg in replies} <= {None, "ENOENT"}
            assert host.dom0.recv_reply().payload == b"OK\0"
            tracked = tracked_watches(host.dom0, 7)
            # What the daemon says.
            there = [("data", f"{burst}.{i}") for i in range(6)]
            there = [watch for watch in there if said(guest.unwatch, *watch) is None]
            assert there == tracked
            assert tracked_watches(host.dom0, 7) == []


@pytest.mark.parametrize("how", ["release", "death"])
def test_end_of_the_domain(flavour, how):
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        guest.watch("data", "t")
        guest.start()
        if how == "release":
            host.dom0.release(7)
        else:
            guest.close()
            destroy(host, 7)
        for type_, words in ((GET_DOMAIN_WATCHES, [7, 0]), (GET_DOMAIN_TRANSACTIONS, [7]),
                             (ADD_DOMAIN_WATCHES, [7, "data", "t"])):
            assert ask(host.dom0, type_, *words) == "ENOENT"
        if how == "release":
            home(host.dom0, 7)
            host.dom0.introduce(7, domain.gfn, domain.port)
        else:
            guest, domain = introduce(host, 7)
        assert tracked_watches(host.dom0, 7) == []
        assert tracked_transactions(host.dom0, 7) == set()
        guest.watch("data", "t")
        assert tracked_watches(host.dom0, 7) == [("data", "t")]


def test_reconnect(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        tx = guest.start()
        gencnt, _ = watch_page(host.dom0, 7)
        guest.reconnect()
        assert watch_page(host.dom0, 7)[1] == []
        assert watch_page(host.dom0, 7)[0] != gencnt
        assert tracked_transactions(host.dom0, 7) == set()
        assert said(guest.unwatch, "data", "t") == "ENOENT"
        assert not works(guest, tx)


def test_broken_protocol(flavour):
    """xenstored ignores a guest that announces more than 4096 octets, and forgets what it had."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        guest.watch("data", "t")
        guest.start()
        guest.send_raw(packet(WRITE, b"data\0x", length=4097))
        wait_until(lambda: guest.error != 0)
        wait_until(lambda: watch_page(host.dom0, 7)[1] == [])
        wait_until(lambda: tracked_transactions(host.dom0, 7) == set())
        # Nor is there anything upstream that would eat quotas or fire.
        host.dom0.release(7)
        assert ask(host.dom0, GET_DOMAIN_WATCHES, 7, 0) == "ENOENT"
        assert domain.port


def test_longest_watch(flavour):
    """4064 octets are the limit, however it is spelled when it is taken back."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        token = "l" * (4064 - len("data") - 2)
        assert error_of(guest.call(WATCH, join("data", token + "l"))) == "E2BIG"
        assert watch_page(host.dom0, 7)[1] == []
        assert error_of(guest.call(UNWATCH, join("data", token + "l"))) == "ENOENT"
        assert error_of(guest.call(WATCH, join("/local/domain/7/data", token))) == "E2BIG"
        assert error_of(guest.call(WATCH, b"x" * 4096)) == "EINVAL"
        for taken_back in ("data", "/local/domain/7/data"):
            guest.watch("data", token)
            assert watch_page(host.dom0, 7)[1] == [("data", token)]
            assert error_of(guest.call(WATCH, join("data", token))) == "EEXIST"
            guest.unwatch(taken_back, token)
            assert watch_page(host.dom0, 7)[1] == []
        guest.watch("data", token)
        guest.watch("data", "after")
        assert tracked_watches(host.dom0, 7) == [("data", token), ("data", "after")]
        assert events_until_now(guest)[-1] == ("data", "after")


def test_spelling_and_order(flavour):
    """The list keeps what the guest wrote, in order of registration."""
    watches = [("data", "z"), ("/local/domain/7/data", "a"), ("@releaseDomain", "m"), ("/", ""),
               ("Data", "z"), ("data", "Z"), ("@introduceDomain", " "), ("data/x", "\x01\xff")]
    with running(flavour) as host:
        guest = host.add_guest(7)
        for path, token in watches:
            guest.request(WATCH, path.encode() + b"\0" + token.encode("latin-1") + b"\0")
        listed = [(path, token.encode("ascii", "surrogateescape").decode("latin-1"))
                  for path, token in tracked_watches(host.dom0, 7)]
        assert listed == watches
        guest.unwatch("/local/domain/7/data", "z")
        guest.unwatch("data", "a")
        for again in (("/local/domain/7/data", "z"), ("data", "a")):
            guest.watch(*again)
        assert [path for path, _ in tracked_watches(host.dom0, 7)] == (
            [path for path, _ in watches[2:]] + ["/local/domain/7/data", "data"])


def test_gencnt(flavour):
    """It changes whenever the list does, and only then."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        seen = [watch_page(host.dom0, 7)[0]]

        def now():
            return watch_page(host.dom0, 7)[0]

        def changed():
            assert now() not in seen
            seen.append(now())

        guest.watch("data", "t")
        changed()
        guest.watch("data", "u")
        changed()
        guest.unwatch("data", "t")
        changed()
        for request in ((WATCH, "data", "u"), (UNWATCH, "data", "t"), (WATCH, "//", "t")):
            assert error_of(guest.call(request[0], join(*request[1:])))
            assert now() == seen[-1]
        guest.read("domid")
        guest.end(guest.start())
        assert now() == seen[-1]
        assert add_watches(host.dom0, 7, [("data", "v")]) is None
        changed()
        guest.reset_watches()
        changed()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart(flavour, how):
    """The lists outlive xsproxyd."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        kernel = host.guest(0)
        watches = [("data", f"{i}" * 50) for i in range(60)]
        for watch in watches:
            guest.watch(*watch)
        for watch in watches[::3]:
            guest.unwatch(*watch)
        del watches[::3]
        ids = {guest.start() for _ in range(5)}
        closed = ids.pop()
        guest.end(closed)
        kernel.watch("/x", "kernel")
        kernel_tx = kernel.start()
        before = watch_page(host.dom0, 7)
        host.proxy.kill(how)
        host.start_proxy()
        client = host.client()
        assert watch_page(client, 7) == before
        assert tracked_watches(client, 7) == watches
        assert tracked_transactions(client, 7) == ids
        assert tracked_watches(client, 0) == [("/x", "kernel")]
        assert tracked_transactions(client, 0) == {kernel_tx}
        assert {tx for tx in ids | {closed} if works(guest, tx)} == ids
        for watch in watches:
            guest.unwatch(*watch)
        for tx in ids:
            guest.end(tx)
        kernel.unwatch("/x", "kernel")
        kernel.end(kernel_tx)
        for domid in (0, 7):
            assert tracked_watches(client, domid) == []
            assert tracked_transactions(client, domid) == set()


def test_flood_of_events(flavour):
    """Many watches fire at once: a client that only listens gets all of it."""
    with running(flavour) as host:
        client = host.client()
        tokens = [f"{i:03}" + "t" * (i * 29 % 4000) for i in range(200)]
        for token in tokens:
            client.watch("/flood", token)
            client.wait_event()
        for _ in range(30):
            host.dom0.write("/flood", "x")
            got = [client.wait_event().token for _ in tokens]
            assert sorted(got) == tokens
