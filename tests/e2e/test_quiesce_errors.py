# SPDX-License-Identifier: MIT
"""QUIESCE that cannot be, or must not be: EBUSY, ENOENT, EINVAL, EACCES, an asker or a domain that
goes away. After each of them the guest goes on as if nothing had been asked."""

import signal

import pytest

import xsclient
from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_TRANSACTIONS, GET_DOMAIN_WATCHES, HOLD, OURS,
                  QUIESCE, RESET_DOMAIN, START_DOMAIN_TRANSACTION, UNQUIESCE, ask, error_of,
                  quiesce, running, said, settle, tracked_transactions, tracked_watches, unquiesce)
from relay import FLAVOURS, RING, destroy, introduce, packet, wait_until
from xensim import home
from xsclient import CONTROL, READ, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

VALUE = b"v" * 2000
LARGE = packet(WRITE, b"data/large\0" + VALUE, req_id=1)
SMALL = packet(READ, b"domid\0", req_id=1)


def taken(guest):
    wait_until(lambda: guest.req_cons == guest.req_prod)


def goes_on(guest):
    """It is served, in both directions, and can be quiesced."""
    ids = [guest.send(READ, b"domid\0") for _ in range(5)]
    replies = [guest.recv_message() for _ in ids]
    assert [(msg.req_id, msg.payload) for msg in replies] == (
        [(i, str(guest.domid).encode()) for i in ids])


def test_ebusy(flavour):
    """A guest that stops in the middle of a large request or a small one, or does not read, and an
    xenstored that does not answer; each has time until the configured end, and nobody waits for the
    others."""
    with running(flavour) as host:
        guests = [host.add_guest(domid) for domid in range(1, 6)]
        large, small, unread, unanswered, fine = guests
        askers = [host.client() for _ in guests]
        for asker in askers:
            asker.directory("/")
        unread.write("data/large", VALUE)
        unread.send(READ, b"data/large\0")
        unread.send(READ, b"domid\0")
        wait_until(lambda: unread.rsp_prod - unread.rsp_cons == RING)
        large.send_raw(LARGE[:1500])
        small.send_raw(SMALL[:18])
        taken(large)
        taken(small)

        host.daemon.process.send_signal(signal.SIGSTOP)
        unanswered.send_raw(SMALL)
        taken(unanswered)
        for asker, guest in zip(askers, guests):
            asker.send(QUIESCE, join(guest.domid))
        assert askers[4].recv_reply().payload == b"OK\0"
        # Behind what they have begun.
        unanswered.send(READ, b"domid\0", req_id=2)
        settle_page = fine.page()
        for asker in askers[:4]:
            assert error_of(asker.recv_reply()) == "EBUSY"
        assert fine.page() == settle_page
        host.daemon.process.send_signal(signal.SIGCONT)

        large.send_raw(LARGE[1500:])
        assert large.recv_message() == (WRITE, 1, 0, b"OK\0")
        assert large.read("data/large") == VALUE
        small.send_raw(SMALL[18:])
        assert small.recv_message() == (READ, 1, 0, b"2")
        assert unread.recv_message().payload == VALUE
        assert unread.recv_message().payload == b"3"
        assert [unanswered.recv_message() for _ in range(2)] == [(READ, 1, 0, b"4"),
                                                                 (READ, 2, 0, b"4")]
        unquiesce(askers[4], 5)
        for asker, guest in zip(askers, guests):
            goes_on(guest)
            quiesce(asker, guest.domid)
            page = guest.page()
            settle(host)
            assert guest.page() == page
            unquiesce(asker, guest.domid)
            goes_on(guest)


@pytest.mark.parametrize("begun", [LARGE[:1500], SMALL[:18]], ids=["large", "small"])
def test_asker_disconnects(flavour, begun):
    """Had it stayed, the guest would be quiesced once its request is whole."""
    whole = LARGE if begun == LARGE[:1500] else SMALL
    with running(flavour) as host:
        guest = host.add_guest(7)
        for other in (False, True):
            guest.send_raw(begun)
            taken(guest)
            asker, stays = host.client(), host.client()
            asker.send(QUIESCE, b"7\0")
            if other:
                stays.send(QUIESCE, b"7\0")
            for client in (asker, stays):
                # Answered by xsproxyd itself, after it has seen the QUIESCE.
                client.send(GET_DOMAIN_TRANSACTIONS, b"0\0")
                assert client.recv_reply().type == GET_DOMAIN_TRANSACTIONS
            asker.close()
            settle(host)
            guest.send_raw(whole[len(begun):])
            if other:
                assert stays.recv_reply().payload == b"OK\0"
                page = guest.page()
                settle(host)
                assert guest.page() == page
                unquiesce(host.dom0, 7)
            assert error_of(guest.recv_message()) is None
            goes_on(guest)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart_while_it_waits(flavour, how):
    """A QUIESCE that waits does not outlive xsproxyd; whoever asked is told."""
    with running(flavour) as host:
        guest, kernel = host.add_guest(7), host.guest(0)
        guest.send_raw(LARGE[:1500])
        taken(guest)
        req_id = kernel.send(QUIESCE, b"7\0")
        asker = host.client()
        asker.send(QUIESCE, b"7\0")
        asker.send(GET_DOMAIN_TRANSACTIONS, b"0\0")
        assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
        taken(kernel)
        settle(host)
        host.proxy.kill(how)
        host.start_proxy()
        msg = kernel.recv_message()
        assert msg.req_id == req_id and error_of(msg) == "EAGAIN"
        assert error_of(asker.recv_reply()) == "EAGAIN"
        guest.send_raw(LARGE[1500:])
        assert guest.recv_message() == (WRITE, 1, 0, b"OK\0")
        goes_on(guest)
        assert ask(kernel, QUIESCE, 7) == b"OK\0"
        assert ask(kernel, UNQUIESCE, 7) == b"OK\0"
        goes_on(guest)


@pytest.mark.parametrize("how", ["release", "death"])
def test_domain_goes_away(flavour, how):
    """While QUIESCE waits; and while it is quiesced: the next one of that name is not."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        asker = host.client()
        for quiet in (False, True):
            if quiet:
                quiesce(asker, 7)
            else:
                guest.send_raw(LARGE[:1500])
                taken(guest)
                asker.send(QUIESCE, b"7\0")
                asker.send(GET_DOMAIN_TRANSACTIONS, b"0\0")
                assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
            if how == "release":
                host.dom0.release(7)
            else:
                guest.close()
                destroy(host, 7)
            if not quiet:
                assert error_of(asker.recv_reply()) == "ENOENT"
            assert ask(asker, QUIESCE, 7) == "ENOENT"
            assert ask(asker, UNQUIESCE, 7) == "ENOENT"
            if how == "release":
                # What it had sent in part is gone with the connection.
                guest.req_prod = guest.req_cons
                guest.rsp_cons = guest.rsp_prod
                home(host.dom0, 7)
                host.dom0.introduce(7, domain.gfn, domain.port)
            else:
                guest, domain = introduce(host, 7)
            goes_on(guest)


# What follows <domid>| where there is more.
REST = {GET_DOMAIN_WATCHES: b"0\0", ADD_DOMAIN_WATCHES: b"data\0t\0",
        START_DOMAIN_TRANSACTION: b"1\0"}


def test_unknown_domain(flavour):
    with running(flavour) as host:
        for client in (host.dom0, host.guest(0)):
            for domid in (7, 99, 0x7FEF):
                for type_ in set(OURS) - {HOLD}:
                    payload = join(domid) + REST.get(type_, b"")
                    answer = said(client.request, type_, payload)
                    assert (type_, payload, answer) == (type_, payload, "ENOENT")


WRONG_DOMIDS = (b"\0", b"7x\0", b"x7\0", b"-1\0", b"+7\0", b" 7\0", b"7 \0", b"07x\0", b"0x7\0",
                b"32752\0", b"32767\0", b"65535\0", b"65543\0", b"4294967303\0",
                b"18446744073709551623\0", b"7.0\0", b"\xb7\0")
WRONG_REST = {
    GET_DOMAIN_WATCHES: (b"", b"\0", b"0", b"x\0", b"-1\0", b"0\0\0", b"0\0000\0", b"4294967296\0"),
    ADD_DOMAIN_WATCHES: (b"", b"data\0", b"data\0t", b"data\0t\0more\0", b"\0", b"data\0t\0\0"),
    START_DOMAIN_TRANSACTION: (b"", b"\0", b"0\0", b"1", b"x\0", b"-1\0", b"1\0\0", b"1\0001\0",
                               b"4294967296\0"),
}
WRONG_ANYWHERE = (b"\0", b"7\0", b"x")


def test_einval(flavour):
    """Wrong domids and whatever is malformed, from a socket and from dom0's ring. Nothing happens
    to domain 7."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for client in (host.dom0, host.guest(0)):
            for type_ in OURS:
                payloads = [domid + REST.get(type_, b"") for domid in WRONG_DOMIDS]
                payloads += [b"7\0" + wrong for wrong in WRONG_REST.get(type_, WRONG_ANYWHERE)]
                payloads += [b"7", b"" if client is not host.dom0 else b"x"]
                if type_ in (QUIESCE, HOLD, RESET_DOMAIN):
                    payloads.append(b"0\0")
                for payload in payloads:
                    answer = said(client.request, type_, payload)
                    assert (type_, payload, answer) == (type_, payload, "EINVAL")
                goes_on(guest)
        assert tracked_watches(host.dom0, 7) == []
        assert tracked_transactions(host.dom0, 7) == set()


def test_eacces(flavour):
    """Guests have no say, over themselves or over others; their requests stay in order."""
    with running(flavour) as host:
        guest, other = host.add_guest(7), host.add_guest(8)
        for domid in (7, 8, 9, 0):
            for type_ in OURS:
                payload = join(domid) + REST.get(type_, b"")
                ids = [guest.send(READ, b"domid\0"), guest.send(type_, payload, tx=5),
                       guest.send(type_, b"x"), guest.send(READ, b"domid\0")]
                replies = [guest.recv_message() for _ in ids]
                assert [msg.req_id for msg in replies] == ids
                assert [error_of(msg) for msg in replies] == [None, "EACCES", "EACCES", None]
                assert replies[1].tx_id == 5
        # A large one too.
        guest.send(QUIESCE, b"7\0" + b"x" * 3000, req_id=0xFFFFFFFF)
        assert guest.recv_message()[:2] == (xsclient.ERROR, 0xFFFFFFFF)
        for domid in (7, 8):
            assert tracked_watches(host.dom0, domid) == []
            assert tracked_transactions(host.dom0, domid) == set()
        goes_on(guest)
        goes_on(other)


def test_control_of_a_guest(flavour):
    """It goes to xenstored, which refuses it or does nothing; neither quiesces, holds or adds."""
    with running(flavour) as host:
        guest, other = host.add_guest(7), host.add_guest(8)
        refused = "EACCES" if flavour == "C" else None
        for words in (["quiesce", 7], ["quiesce", 8], ["hold", 9], ["unquiesce", 8],
                      ["add-domain-watches", 8, "data", "t"], ["start-domain-transaction", 8, 1],
                      ["get-domain-watches", 8], ["get-domain-transactions", 8], ["live-update"]):
            msg = guest.call(CONTROL, join(*words))
            # oxenstored might carry the last one out, so we refuse it.
            error = "EACCES" if words == ["live-update"] else refused
            assert error_of(msg) == error
            assert msg.payload == (b"EACCES\0" if error else b"OK\0")
        goes_on(guest)
        goes_on(other)
        assert tracked_watches(host.dom0, 8) == []
        assert tracked_transactions(host.dom0, 8) == set()
        goes_on(host.add_guest(9))
