# SPDX-License-Identifier: MIT
"""HOLD: a domain is quiesced from its INTRODUCE on, so that its watches and transactions are in
place before its first pending request is read."""

import signal

import pytest

import xsclient
from ours import (GET_DOMAIN_STATE, GET_DOMAIN_TRANSACTIONS, HOLD, QUIESCE,
                  START_DOMAIN_TRANSACTION, UNQUIESCE, add_watches, ask, error_of, quiesce,
                  running, said, settle, tracked_transactions, tracked_watches, unquiesce)
from relay import FLAVOURS, RING, destroy, introduce, packet, wait_until
from xensim import home
from xsclient import READ, TRANSACTION_END, WATCH, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

PENDING = (packet(READ, b"data/node\0", req_id=1, tx=9) +
           packet(WATCH, join("data", "own"), req_id=2) +
           packet(WRITE, b"data/node\0guest", req_id=3, tx=9))


def hold(client, domid):
    assert ask(client, HOLD, domid) == b"OK\0"


def held(host, guest, page):
    """Introduced, but nothing of its page has been read or written."""
    host.dom0.write(f"/local/domain/{guest.domid}/data/other", "x")
    guest.notify()
    settle(host)
    assert guest.page() == page


def serves(guest):
    assert guest.read("domid") == str(guest.domid).encode()


def test_hold_then_introduce(flavour):
    """What waits in the page is served in transactions and with watches that it has not asked for
    itself here."""
    pages = []

    def prepare(guest):
        guest.send_raw(PENDING)
        pages.append(guest.page())

    with running(flavour) as host:
        hold(host.dom0, 7)
        guest, _ = introduce(host, 7, prepare)
        host.dom0.write("/local/domain/7/data/node", "before")
        host.dom0.set_perms("/local/domain/7/data/node", "n7")
        held(host, guest, pages[0])
        assert add_watches(host.dom0, 7, [("data", "moved"), ("/tool", "moved")]) is None
        assert ask(host.dom0, START_DOMAIN_TRANSACTION, 7, 9) == b"OK\0"
        held(host, guest, pages[0])
        assert tracked_watches(host.dom0, 7) == [("data", "moved"), ("/tool", "moved")]
        unquiesce(host.dom0, 7)
        replies = [guest.recv_reply() for _ in range(3)]
        assert replies == [(READ, 1, 9, b"before"), (WATCH, 2, replies[1].tx_id, b"OK\0"),
                           (WRITE, 3, 9, b"OK\0")]
        assert tracked_watches(host.dom0, 7) == [("data", "moved"), ("/tool", "moved"),
                                                 ("data", "own")]
        assert error_of(guest.call(TRANSACTION_END, b"T\0", tx=9)) == "EAGAIN"
        assert guest.read("data/node") == b"before"
        events = [tuple(event) for event in guest.events]
        assert events[:2] == [("data", "moved"), ("/tool", "moved")]
        assert events.count(("data", "own")) == 1
        assert guest.server_features == (flavour == "O")  # of C, from 4.21 on


def test_full_ring(flavour):
    """A ring that is full of requests, the last one not whole."""
    requests = [packet(WRITE, f"data/a\0{i}".encode().ljust(40, b"."), req_id=i)
                for i in range(19)]
    octets = b"".join(requests)

    def prepare(guest):
        assert guest.push(octets) == RING

    with running(flavour) as host:
        hold(host.dom0, 7)
        guest, _ = introduce(host, 7, prepare)
        page = guest.page()
        held(host, guest, page)
        unquiesce(host.dom0, 7)
        guest.send_raw(octets[RING:])
        for i in range(19):
            assert guest.recv_message() == (WRITE, i, 0, b"OK\0")
        serves(guest)


def test_eexist(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        assert ask(host.dom0, HOLD, 7) == "EEXIST"
        serves(guest)
        quiesce(host.dom0, 7)
        assert ask(host.dom0, HOLD, 7) == "EEXIST"
        unquiesce(host.dom0, 7)
        serves(guest)
        # A hold that was refused is none.
        host.dom0.release(7)
        guest.close()
        host.sim.destroy(7)
        serves(introduce(host, 7)[0])
        hold(host.dom0, 8)
        hold(host.dom0, 8)
        guest, _ = introduce(host, 8)
        assert ask(host.dom0, HOLD, 8) == "EEXIST"
        held(host, guest, guest.page())
        quiesce(host.dom0, 8)
        unquiesce(host.dom0, 8)
        serves(guest)


def test_ends_with_unquiesce(flavour):
    """Before INTRODUCE or after it."""
    with running(flavour) as host:
        hold(host.dom0, 7)
        assert ask(host.dom0, QUIESCE, 7) == "ENOENT"
        assert ask(host.dom0, GET_DOMAIN_TRANSACTIONS, 7) == "ENOENT"
        unquiesce(host.dom0, 7)
        assert ask(host.dom0, UNQUIESCE, 7) == "ENOENT"
        guest, domain = introduce(host, 7)
        serves(guest)

        hold(host.dom0, 8)
        guest, domain = introduce(host, 8)
        held(host, guest, guest.page())
        unquiesce(host.dom0, 8)
        serves(guest)
        # It is over for good: not at the next INTRODUCE either.
        host.dom0.introduce(8, domain.gfn, domain.port)
        serves(guest)
        host.dom0.release(8)
        home(host.dom0, 8)
        host.dom0.introduce(8, domain.gfn, domain.port)
        serves(guest)


@pytest.mark.parametrize("how", ["release", "death"])
def test_ends_with_the_domain(flavour, how):
    with running(flavour) as host:
        hold(host.dom0, 7)
        guest, domain = introduce(host, 7)
        held(host, guest, guest.page())
        if how == "release":
            host.dom0.release(7)
            assert ask(host.dom0, UNQUIESCE, 7) == "ENOENT"
            home(host.dom0, 7)
            host.dom0.introduce(7, domain.gfn, domain.port)
        else:
            guest.close()
            destroy(host, 7)
            assert ask(host.dom0, UNQUIESCE, 7) == "ENOENT"
            guest, _ = introduce(host, 7)
        serves(guest)


def upstream(host):
    """A client that goes past xsproxyd."""
    return xsclient.Client(host.run_dir / "upstream")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("again", [False, True])
def test_ends_with_a_domain_that_nobody_saw_end(flavour, again, sig):
    """xsproxyd is not there when it ends, nor when the same id is introduced @again."""
    with running(flavour) as host:
        hold(host.dom0, 7)
        guest, _ = introduce(host, 7)
        held(host, guest, guest.page())
        host.proxy.kill(sig)
        guest.close()
        host.sim.destroy(7)
        with upstream(host) as client:
            wait_until(lambda: not client.is_introduced(7))
            if again:
                guest = host.sim.add_guest(client, 7)
        restart_over(host)
        if not again:
            assert ask(host.dom0, UNQUIESCE, 7) == "ENOENT"
            guest, _ = introduce(host, 7)
        serves(guest)
        guest.close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_outlives_the_domain_before(flavour, sig):
    """A hold for the next domain of an id is not that of the one that ended."""
    with running(flavour) as host:
        for _ in range(2):
            hold(host.dom0, 7)
            guest, _ = introduce(host, 7)
            held(host, guest, guest.page())
            host.dom0.release(7)
            guest.close()
            host.sim.destroy(7)
            hold(host.dom0, 7)
            restart(host, sig)
            assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"held\0"
            guest, _ = introduce(host, 7)
            held(host, guest, guest.page())
            unquiesce(host.dom0, 7)
            serves(guest)
            host.dom0.release(7)
            guest.close()
            host.sim.destroy(7)


def test_reintroduce_while_held(flavour):
    with running(flavour) as host:
        hold(host.dom0, 7)
        guest, domain = introduce(host, 7, lambda guest: guest.send_raw(PENDING))
        page = guest.page()
        host.dom0.introduce(7, domain.gfn, domain.port)
        held(host, guest, page)
        unquiesce(host.dom0, 7)
        assert [guest.recv_reply().req_id for _ in range(3)] == [1, 2, 3]


def test_failed_introduce(flavour):
    """It holds until there is a domain."""
    with running(flavour) as host:
        hold(host.dom0, 7)
        domain = host.sim.create(7)
        home(host.dom0, 7)
        assert said(host.dom0.introduce, 7, domain.gfn, domain.port + 77) == "EINVAL"
        assert not host.dom0.is_introduced(7)
        guest = host.guest(7)
        page = guest.page()
        host.dom0.introduce(7, domain.gfn, domain.port)
        held(host, guest, page)
        unquiesce(host.dom0, 7)
        serves(guest)


def restart(host, how):
    host.proxy.kill(how)
    restart_over(host)


def restart_over(host):
    """A new client is served only when the new xsproxyd knows all domains again."""
    host.start_proxy()
    host._dom0 = host.client()  # pylint: disable=protected-access


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_kept_across_restart(flavour, how):
    """Before INTRODUCE and after it, with what was put in place."""
    with running(flavour) as host:
        hold(host.dom0, 7)
        restart(host, how)
        guest, _ = introduce(host, 7, lambda guest: guest.send_raw(PENDING))
        page = guest.page()
        held(host, guest, page)
        assert add_watches(host.dom0, 7, [("data", "moved")]) is None
        assert ask(host.dom0, START_DOMAIN_TRANSACTION, 7, 9) == b"OK\0"
        restart(host, how)
        held(host, guest, page)
        assert tracked_watches(host.dom0, 7) == [("data", "moved")]
        assert tracked_transactions(host.dom0, 7) == {9}
        unquiesce(host.dom0, 7)
        assert [guest.recv_reply().req_id for _ in range(3)] == [1, 2, 3]
        assert tuple(guest.events[0]) == ("data", "moved")
        # And what is over stays over.
        restart(host, how)
        serves(guest)


def test_asked_right_after_start(flavour):
    """Nobody is told that a domain does not exist because xsproxyd does not know it yet."""
    with running(flavour, start=False) as host:
        host.start_daemon()
        host.start_proxy()
        hold(host.client(), 7)
        guest, _ = introduce(host, 7)
        for _ in range(10):
            unquiesce(host.dom0, 7)
            serves(guest)
            restart(host, signal.SIGKILL)
            quiesce(host.dom0, 7)
            page = guest.page()
            restart(host, signal.SIGTERM)
            assert tracked_watches(host.dom0, 7) == []
            held(host, guest, page)
            restart(host, signal.SIGKILL)
