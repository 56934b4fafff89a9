# SPDX-License-Identifier: MIT
"""START_DOMAIN_TRANSACTION and GET_DOMAIN_TRANSACTIONS: the guest works in a transaction that it
did not start here, is told EAGAIN at its end, and gets ids that never collide."""

import signal

import pytest

from ours import (GET_DOMAIN_TRANSACTIONS, HOLD, START_DOMAIN_TRANSACTION, ask, error_of, limits,
                  quiesce, running, said, settle, tracked_transactions, unquiesce)
from relay import FLAVOURS, introduce, wait_until
from versions import EXPECT
from xsclient import READ, TRANSACTION_END, TRANSACTION_START, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

BIGGEST = 0xFFFFFFFF


def start(client, domid, tx):
    """START_DOMAIN_TRANSACTION: None, or the error's name."""
    answer = ask(client, START_DOMAIN_TRANSACTION, domid, tx)
    return None if answer == b"OK\0" else answer


def end(guest, tx, payload=b"T\0"):
    return error_of(guest.call(TRANSACTION_END, payload, tx=tx))


def known(flavour, guest, tx):
    err = error_of(guest.call(READ, b"domid\0", tx=tx))
    assert err in (None, EXPECT[flavour].unknown_tx)
    return err is None


def separate(guest, ids):
    """Each id is a transaction of its own: what is written in one is seen in that one only."""
    for tx in ids:
        guest.write("data/mine", str(tx), tx=tx)
    assert [guest.read("data/mine", tx=tx) for tx in ids] == [str(tx).encode() for tx in ids]
    assert guest.read("data/mine") == b"none"


def mine(guest):
    guest.write("data/mine", "none")


def test_commit_gets_eagain(flavour):
    """The guest reads and writes in it; nothing that it wrote appears."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.write("data/a", "before")
        for tx, payload, answer in ((5, b"T\0", "EAGAIN"), (5, b"F\0", None), (6, b"T\0", "EAGAIN"),
                                    (1, b"T\0", "EAGAIN"), (BIGGEST, b"F\0", None),
                                    (BIGGEST, b"T\0", "EAGAIN"), (BIGGEST - 1, b"T\0", "EAGAIN")):
            assert start(host.dom0, 7, tx) is None
            assert tracked_transactions(host.dom0, 7) == {tx}
            assert guest.read("data/a", tx=tx) == b"before"
            guest.write("data/a", "in it", tx=tx)
            guest.write("data/new", "in it", tx=tx)
            assert guest.read("data/a", tx=tx) == b"in it"
            assert sorted(guest.directory("data", tx=tx)) == ["a", "new"]
            assert guest.read("data/a") == b"before"
            assert said(guest.read, "/tool/xenstored", tx=tx) in ("EACCES", "ENOENT")
            assert end(guest, tx, payload) == answer
            assert tracked_transactions(host.dom0, 7) == set()
            assert not known(flavour, guest, tx)
            assert guest.read("data/a") == b"before"
            assert guest.directory("data") == ["a"]
            assert end(guest, tx, payload) == EXPECT[flavour].unknown_tx


def test_malformed_end(flavour):
    """It stays open, and still cannot be committed."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        assert start(host.dom0, 7, 3) is None
        guest.write("data/a", "x", tx=3)
        for payload in (b"", b"\0", b"X\0", b"TT\0", b"TX\0"):
            assert end(guest, 3, payload) == "EINVAL"
            assert tracked_transactions(host.dom0, 7) == {3}
        # oxenstored takes the letter alone; a commit must not slip through.
        assert end(guest, 3, b"T") == ("EINVAL" if flavour == "C" else "EAGAIN")
        if flavour == "C":
            assert end(guest, 3) == "EAGAIN"
        assert not host.dom0.exists("/local/domain/7/data/a")
        assert tracked_transactions(host.dom0, 7) == set()


def test_retry(flavour):
    """What a guest does on EAGAIN: it begins anew, and that one commits."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        assert start(host.dom0, 7, 1) is None
        tx = 1
        for _ in range(5):
            guest.write("data/a", "x", tx=tx)
            err = end(guest, tx)
            if not err:
                break
            assert err == "EAGAIN"
            tx = guest.start()
        assert guest.read("data/a") == b"x"


def test_errors(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        assert start(host.dom0, 7, 0) == "EINVAL"
        assert start(host.dom0, 7, 4) is None
        own = guest.start()
        for tx in (4, own):
            assert start(host.dom0, 7, tx) == "EEXIST"
        assert tracked_transactions(host.dom0, 7) == {4, own}
        assert start(host.dom0, 8, 4) == "ENOENT"
        # Upstream's limit counts these too.
        for tx in range(100, 100 + EXPECT[flavour].tx_limit - 2):
            assert start(host.dom0, 7, tx) is None
        assert start(host.dom0, 7, 1000) == EXPECT[flavour].tx_quota
        assert said(guest.start) == EXPECT[flavour].tx_quota
        assert len(tracked_transactions(host.dom0, 7)) == EXPECT[flavour].tx_limit
        assert end(guest, 4) == "EAGAIN"
        assert start(host.dom0, 7, 1000) is None
        assert end(guest, own) is None
        guest.reset_watches()
        assert tracked_transactions(host.dom0, 7) == set()
        assert not known(flavour, guest, 1000)


@pytest.mark.parametrize("when", ["running", "quiesced", "held"])
def test_domain_states(flavour, when):
    with running(flavour) as host:
        if when == "held":
            assert ask(host.dom0, HOLD, 7) == b"OK\0"
        guest, _ = introduce(host, 7)
        if when == "quiesced":
            quiesce(host.dom0, 7)
        page = guest.page()
        for tx in (3, 1, 2):
            assert start(host.dom0, 7, tx) is None
            assert start(host.dom0, 7, tx) == "EEXIST"
        assert tracked_transactions(host.dom0, 7) == {1, 2, 3}
        if when != "running":
            settle(host)
            assert guest.page() == page
            unquiesce(host.dom0, 7)
        mine(guest)
        separate(guest, [1, 2, 3])
        assert [end(guest, tx) for tx in (1, 2, 3)] == ["EAGAIN"] * 3


def test_later_ids_do_not_collide(flavour):
    """1..8 are opened by hand; then the guest starts its own up to the limit."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        mine(guest)
        for tx in range(1, 9):
            assert start(host.dom0, 7, tx) is None
        own = [guest.start() for _ in range(EXPECT[flavour].tx_limit - 8)]
        assert said(guest.start) == EXPECT[flavour].tx_quota
        assert len(set(own)) == len(own) and not set(own) & set(range(1, 9))
        assert tracked_transactions(host.dom0, 7) == set(range(1, 9)) | set(own)
        separate(guest, [*range(1, 9), *own])
        assert [end(guest, tx) for tx in range(1, 9)] == ["EAGAIN"] * 8
        assert guest.read("data/mine") == b"none"
        assert end(guest, own[0]) is None
        assert guest.read("data/mine") == str(own[0]).encode()


def test_ids_that_upstream_hands_out_next(flavour):
    """The guest has 4, 5 and 6 for upstream's 1, 2 and 3: now upstream's own 4 and 5 are taken."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        mine(guest)
        for tx in (4, 5, 6):
            assert start(host.dom0, 7, tx) is None
        own = [guest.start() for _ in range(EXPECT[flavour].tx_limit - 3)]
        assert own[0] == 7, "one above all in use"
        assert len(set(own)) == len(own) and not set(own) & {4, 5, 6}
        separate(guest, [4, 5, 6, *own])
        # When they are gone the ids are free.
        assert [end(guest, tx) for tx in (4, 5, 6)] == ["EAGAIN"] * 3
        for tx in own:
            assert end(guest, tx, b"F\0") is None
        assert tracked_transactions(host.dom0, 7) == set()


def test_twenty(flavour, tmp_path):
    """1..20 with upstream's quota raised, in any order, then as many of the guest's own."""
    with running(flavour, daemon_args=limits(flavour, tmp_path, transactions=45)) as host:
        guest = host.add_guest(7)
        mine(guest)
        by_hand = [i * 7 % 20 + 1 for i in range(20)]
        assert sorted(by_hand) == list(range(1, 21))
        for tx in by_hand:
            assert start(host.dom0, 7, tx) is None
        own = [guest.start() for _ in range(20)]
        assert len(set(by_hand + own)) == 40
        assert tracked_transactions(host.dom0, 7) == set(by_hand + own)
        separate(guest, by_hand + own)
        for i, tx in enumerate(by_hand):
            assert end(guest, tx, b"TF"[i % 2:i % 2 + 1] + b"\0") == (None if i % 2 else "EAGAIN")
        assert tracked_transactions(host.dom0, 7) == set(own)
        separate(guest, own)


def test_biggest_id(flavour):
    """Above it there is nothing; the guest still gets ids, and never 0."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        mine(guest)
        by_hand = [BIGGEST, 2, 3, 4]
        for tx in by_hand:
            assert start(host.dom0, 7, tx) is None
        own = [guest.start() for _ in range(EXPECT[flavour].tx_limit - 4)]
        assert 0 not in own and len(set(by_hand + own)) == EXPECT[flavour].tx_limit
        separate(guest, by_hand + own)


def test_ids_never_given(flavour):
    """Upstream knows 1, but the guest has never heard of it."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.write("data/a", "before")
        assert start(host.dom0, 7, 100) is None
        assert start(host.dom0, 7, 101) is None
        for tx in (1, 2, 3, 99, 102, 0xFFFFFFFE):
            assert not known(flavour, guest, tx)
            unknown = EXPECT[flavour].unknown_tx
            assert said(guest.write, "data/a", "x", tx=tx) == unknown
            assert end(guest, tx, b"F\0") == unknown
            assert error_of(guest.call(TRANSACTION_START, b"\0", tx=tx)) == unknown
        assert known(flavour, guest, 100) and known(flavour, guest, 101)
        assert guest.read("data/a") == b"before"
        assert tracked_transactions(host.dom0, 7) == {100, 101}


def test_race_with_the_guests_own(flavour):
    """While upstream has not answered yet, the guest and the toolstack ask for the same id."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        mine(guest)
        asker = host.client()
        asker.directory("/")
        open_ids = set()
        for first in ("guest", "toolstack"):
            wanted = max(open_ids, default=0) + 1
            host.daemon.process.send_signal(signal.SIGSTOP)
            for who in (first, "toolstack" if first == "guest" else "guest"):
                if who == "guest":
                    before = guest.req_cons
                    guest.send(TRANSACTION_START, b"\0")
                    guest.send(WRITE, b"data/a\0x", tx=wanted)
                    if who == first:
                        wait_until(lambda: guest.req_cons != before)
                else:
                    asker.send(START_DOMAIN_TRANSACTION, join(7, wanted))
                    asker.send(GET_DOMAIN_TRANSACTIONS, join(0))
                    assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
            host.daemon.process.send_signal(signal.SIGCONT)
            answer = error_of(asker.recv_reply())
            own = int(guest.recv_message().payload.rstrip(b"\0"))
            guest.recv_message()
            assert answer in (None, "EEXIST")
            assert answer is None or own == wanted
            now = tracked_transactions(host.dom0, 7)
            assert now == open_ids | {own} | ({wanted} if answer is None else set())
            assert len(now) == len(open_ids) + (2 if answer is None else 1)
            open_ids = now
        separate(guest, sorted(open_ids))


def test_dom0(flavour):
    """dom0's ring too: unlimited, and it may ask for itself."""
    with running(flavour) as host:
        kernel = host.guest(0)
        host.dom0.write("/data", "before")
        for tx in range(1, 31):
            assert start(kernel if tx % 2 else host.dom0, 0, tx) is None
        assert tracked_transactions(host.dom0, 0) == set(range(1, 31))
        own = kernel.start()
        assert own not in range(1, 31)
        kernel.write("/data", "x", tx=30)
        assert end(kernel, 30) == "EAGAIN"
        kernel.write("/data", "y", tx=own)
        assert end(kernel, own) is None
        assert kernel.read("/data") == b"y"
        assert tracked_transactions(kernel, 0) == set(range(1, 30))


def test_asker_disconnects(flavour):
    """It may be opened or not, but the list and the daemon agree, and the guest sees no reply."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for tx in range(1, 8):
            asker = host.client()
            asker.directory("/")
            host.daemon.process.send_signal(signal.SIGSTOP)
            asker.send(START_DOMAIN_TRANSACTION, join(7, tx))
            if tx % 2:
                asker.send(GET_DOMAIN_TRANSACTIONS, join(0))
                assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
            asker.close()
            host.daemon.process.send_signal(signal.SIGCONT)
            assert guest.call(READ, b"domid\0").payload == b"7"
            tracked = tracked_transactions(host.dom0, 7)
            assert tracked == {i for i in range(1, 9) if known(flavour, guest, i)}
