# SPDX-License-Identifier: MIT
"""QUIESCE is a clean boundary: when it comes back every request that was taken has its reply in the
page and the page stays as it is; what comes meanwhile, from the guest and for it, waits and is lost
or doubled by nothing."""

import signal
import threading

import pytest

import xsclient
from ours import (QUIESCE, START_DOMAIN_TRANSACTION, UNQUIESCE, ask, error_of, events_until_now,
                  quiesce, running, settle, tracked_transactions, tracked_watches, unquiesce)
from relay import FLAVOURS, RING, introduce, packet, wait_until
from xsclient import HEADER, READ, TRANSACTION_START, WATCH, WRITE, join
from xsguest import PAGE_SIZE, REQ_RING, RSP_RING

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

# Where xsproxy writes, in a page: replies, req_cons, rsp_prod, server_features and what follows.
OURS = (slice(RSP_RING, RSP_RING + RING), slice(2048, 2052), slice(2060, 2064),
        slice(2064, PAGE_SIZE))


def ours(page):
    return [page[part] for part in OURS]


def frozen(host, guest, page, wrote=b""):
    """The page is what it was, but for requests that the guest itself has written since."""
    settle(host)
    expected = bytearray(page)
    prod = int.from_bytes(page[2052:2056], "little")
    for octet in wrote:
        expected[REQ_RING + prod % RING] = octet
        prod += 1
    expected[2052:2056] = (prod & 0xFFFFFFFF).to_bytes(4, "little")
    assert guest.page() == bytes(expected)


def arrived(client, domid, tx):
    """All events of earlier changes have come to xsproxyd: this goes the same way."""
    assert ask(client, START_DOMAIN_TRANSACTION, domid, tx) == b"OK\0"


class Firing(threading.Thread):
    """A guest that sends requests without pause, as many at once as the ring takes.

    Each request and each reply has the same length, so the ring's indexes say how many there are.
    """

    PATH = b"/local/domain/7/data/fire\0"
    REQUEST = HEADER.size + len(PATH)
    VALUE = b"0123456789"
    REPLY = HEADER.size + len(VALUE)

    def __init__(self, guest):
        super().__init__(daemon=True)
        self.guest = guest
        self.sent = self.answered = 0
        self.ending = False
        self.error = None
        guest.write("data/fire", self.VALUE)
        self.base = guest.req_cons, guest.rsp_prod
        self.start()

    def run(self):
        try:
            while not self.ending or self.answered < self.sent:
                while not self.ending and self.sent - self.answered < 30:
                    self.guest.send(READ, self.PATH, req_id=1000 + self.sent)
                    self.sent += 1
                msg = self.guest.recv_message()
                assert msg == (READ, 1000 + self.answered, 0, self.VALUE), msg
                self.answered += 1
        except BaseException as err:  # pylint: disable=broad-except
            self.error = err

    def boundary(self):
        """As the page says it: whether all that was taken is answered, and how much that was."""
        page = self.guest.page()
        taken = (int.from_bytes(page[2048:2052], "little") - self.base[0]) & 0xFFFFFFFF
        said = (int.from_bytes(page[2060:2064], "little") - self.base[1]) & 0xFFFFFFFF
        assert taken % self.REQUEST == 0 and said % self.REPLY == 0
        assert taken // self.REQUEST == said // self.REPLY
        return taken // self.REQUEST

    def stuck(self):
        """Whether it has filled the ring."""
        return self.error or self.guest.req_prod - self.guest.req_cons == RING

    def finish(self):
        self.ending = True
        self.join(30)
        assert not self.is_alive() and self.error is None, self.error
        assert self.answered == self.sent


def test_while_it_fires(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        firing = Firing(guest)
        served = [0]
        for _ in range(25):
            wait_until(lambda: firing.answered > served[-1] + 50 or firing.error)
            quiesce(host.dom0, 7)
            before = ours(guest.page())
            served.append(firing.boundary())
            # It goes on sending until there is no more room; nobody takes it.
            wait_until(firing.stuck)
            host.dom0.write("/local/domain/7/data/other", "x")
            settle(host)
            assert ours(guest.page()) == before
            assert firing.boundary() == served[-1]
            unquiesce(host.dom0, 7)
        assert sorted(set(served)) == served, "it was served in between"
        firing.finish()


def test_frozen_byte_for_byte(flavour):
    """Nothing of the page changes but what the guest writes; that is served later, in order."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        quiesce(host.dom0, 7)
        page = guest.page()
        frozen(host, guest, page)
        wrote = b""
        for i in range(12):
            wrote += packet(WRITE, b"data/a\0" + str(i).encode(), req_id=i)
            guest.send_raw(wrote[-(HEADER.size + 7 + len(str(i))):])
            guest.notify()
            host.dom0.write("/local/domain/7/data/b", str(i))
            frozen(host, guest, page, wrote)
        assert not host.dom0.exists("/local/domain/7/data/a")
        quiesce(host.dom0, 7)
        frozen(host, guest, page, wrote)
        unquiesce(host.dom0, 7)
        replies = [guest.recv_reply() for _ in range(12)]
        assert [(msg.type, msg.req_id) for msg in replies] == [(WRITE, i) for i in range(12)]
        assert guest.read("data/a") == b"11"


def test_requests_added_meanwhile_have_one_effect_each(flavour):
    """MKDIR-like effects would hide a second execution; an RM that succeeds does not."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(20):
            guest.write(f"data/{i}", "x")
        for burst in range(0, 20, 5):
            quiesce(host.dom0, 7)
            ids = [guest.send(xsclient.RM, join(f"data/{i}")) for i in range(burst, burst + 5)]
            unquiesce(host.dom0, 7)
            replies = [guest.recv_message() for _ in ids]
            assert [(msg.req_id, msg.payload) for msg in replies] == [(i, b"OK\0") for i in ids]
        assert guest.directory("data") == []


def test_events_wait(flavour):
    """Identical ones once, in the order in which they first came, before later replies."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for watch in (("data", "t"), ("data/a", "u"), ("@introduceDomain", "i")):
            guest.watch(*watch)
        events_until_now(guest)
        quiesce(host.dom0, 7)
        page = guest.page()
        for i in range(300):
            host.dom0.write("/local/domain/7/data/a", str(i))
            host.dom0.write("/local/domain/7/data/b", str(i))
        arrived(host.dom0, 7, 1)
        frozen(host, guest, page)
        unquiesce(host.dom0, 7)
        got = events_until_now(guest)
        assert sorted(got) == [("data/a", "t"), ("data/a", "u"), ("data/b", "t")]
        assert got[-1] == ("data/b", "t")
        # Not remembered beyond: the same event comes again.
        host.dom0.write("/local/domain/7/data/b", "again")
        assert guest.wait_watch() == ("data/b", "t")


def test_many_events_wait(flavour):
    """Far more than the ring, or a page, holds: none is lost, none comes twice."""
    names = [f"data/{'n' * 60}{i}" for i in range(400)]
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        events_until_now(guest)
        quiesce(host.dom0, 7)
        for name in names + names:
            host.dom0.write(f"/local/domain/7/{name}", "x")
        arrived(host.dom0, 7, 1)
        unquiesce(host.dom0, 7)
        assert [path for path, _ in events_until_now(guest)] == names


def test_own_changes_before_it(flavour):
    """Events of requests that were taken are in the page, or come afterwards; never neither."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        events_until_now(guest)
        for i in range(10):
            guest.send(WRITE, f"data/{i}\0x".encode())
        quiesce(host.dom0, 7)
        unquiesce(host.dom0, 7)
        for _ in range(10):
            guest.recv_reply()
        assert [path for path, _ in events_until_now(guest)] == [f"data/{i}" for i in range(10)]


def test_larger_than_the_ring(flavour):
    """It waits for the rest of a request, and for a guest that reads a reply; both go through."""
    value = bytes(range(1, 201)) * 10
    with running(flavour) as host:
        guest = host.add_guest(7)
        asker = host.client()
        request = packet(WRITE, b"data/large\0" + value, req_id=5)
        guest.send_raw(request[:RING])
        wait_until(lambda: guest.req_cons == guest.req_prod)
        asker.send(QUIESCE, b"7\0")
        guest.send_raw(request[RING:])
        assert asker.recv_reply().payload == b"OK\0"
        page = guest.page()
        assert guest.rsp_prod - guest.rsp_cons == HEADER.size + len("OK\0")
        guest.send(READ, b"data/large\0", req_id=6)
        guest.send(READ, b"domid\0", req_id=7)
        settle(host)
        assert ours(guest.page()) == ours(page)
        unquiesce(asker, 7)
        assert guest.recv_message() == (WRITE, 5, 0, b"OK\0")
        wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)
        asker.send(QUIESCE, b"7\0")
        # It has not read enough of the reply yet.
        settle(host)
        assert guest.recv_message() == (READ, 6, 0, value)
        assert asker.recv_reply().payload == b"OK\0"
        unquiesce(asker, 7)
        assert guest.recv_message() == (READ, 7, 0, b"7")


def test_open_transactions(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(1, 6):
            guest.write(f"data/{i}", "")
        ids = [guest.start() for _ in range(5)]
        assert ids == [1, 2, 3, 4, 5]
        for tx in ids:
            guest.send(WRITE, f"data/{tx}\0x".encode(), tx=tx)
        guest.send(TRANSACTION_START, b"\0")
        quiesce(host.dom0, 7)
        replies = []
        while guest.rsp_cons != guest.rsp_prod:
            replies.append(guest.recv_message())
        assert not any(error_of(msg) for msg in replies)
        ids += [int(msg.payload[:-1]) for msg in replies if msg.type == TRANSACTION_START]
        assert tracked_transactions(host.dom0, 7) == set(ids)
        unquiesce(host.dom0, 7)
        rest = 6 - len(replies)
        ids += [int(msg.payload[:-1]) for msg in (guest.recv_message() for _ in range(rest))
                if msg.type == TRANSACTION_START]
        assert len(ids) == 6
        for tx in ids[:5]:
            guest.end(tx)
        assert [guest.read(f"data/{tx}") for tx in ids[:5]] == [b"x"] * 5


def test_many_domains(flavour):
    """50 at once, all of them busy, by one asker that does not wait in between."""
    domids = range(1, 51)
    with running(flavour) as host:
        guests = {domid: host.add_guest(domid) for domid in domids}
        for guest in guests.values():
            guest.watch("data", "t")
            guest.recv_message()
        for round_ in range(1, 4):
            for guest in guests.values():
                for _ in range(12):
                    guest.send(READ, b"domid\0")
            for domid in domids:
                host.dom0.send(QUIESCE, join(domid))
            for domid in domids:
                assert host.dom0.recv_reply().payload == b"OK\0"
            pages = {domid: guest.page() for domid, guest in guests.items()}
            for domid in domids:
                host.dom0.write(f"/local/domain/{domid}/data/x", "x")
                arrived(host.dom0, domid, round_)
            settle(host)
            for domid, guest in guests.items():
                assert guest.page() == pages[domid]
            for domid in domids:
                host.dom0.send(UNQUIESCE, join(domid))
            for domid in domids:
                assert host.dom0.recv_reply().payload == b"OK\0"
            for domid, guest in guests.items():
                replies = [guest.recv_reply() for _ in range(12)]
                assert {msg.payload for msg in replies} == {str(domid).encode()}
                assert events_until_now(guest) == [("data/x", "t")]


def test_asked_twice(flavour):
    """By several at once too; one UNQUIESCE ends it."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        askers = [host.client() for _ in range(3)] + [host.guest(0)]
        request = packet(READ, b"domid\0")
        guest.send_raw(request[:20])
        wait_until(lambda: guest.req_cons == guest.req_prod)
        for asker in askers:
            asker.send(QUIESCE, b"7\0")
        settle(host)
        guest.send_raw(request[20:])
        for asker in askers:
            assert asker.recv_reply().payload == b"OK\0"
        page = guest.page()
        quiesce(askers[0], 7)
        frozen(host, guest, page)
        # Whoever asked may go.
        for asker in askers[:3]:
            asker.close()
        frozen(host, guest, page)
        unquiesce(host.dom0, 7)
        assert guest.recv_message().payload == b"7"
        assert guest.read("domid") == b"7"
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"


def test_reconnect_meanwhile(flavour):
    """A guest that resets its ring while it is quiesced is found so at UNQUIESCE."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        guest.recv_message()
        quiesce(host.dom0, 7)
        guest.send(READ, b"domid\0")
        host.dom0.write("/local/domain/7/data/x", "x")
        arrived(host.dom0, 7, 1)
        guest.connection = 1
        guest.notify()
        page = guest.page()
        frozen(host, guest, page)
        assert tracked_watches(host.dom0, 7) == [("data", "t")]
        unquiesce(host.dom0, 7)
        wait_until(lambda: guest.connection == 0)
        assert guest.read("domid") == b"7"
        assert not guest.events
        assert tracked_watches(host.dom0, 7) == []


def test_reintroduce_meanwhile(flavour):
    """It stays quiesced; what the guest had sent is served afterwards."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        guest.watch("data", "t")
        guest.recv_message()
        quiesce(host.dom0, 7)
        guest.send(READ, b"domid\0", req_id=77)
        page = guest.page()
        host.dom0.introduce(7, domain.gfn, domain.port)
        frozen(host, guest, page)
        unquiesce(host.dom0, 7)
        assert guest.recv_reply() == (READ, 77, 0, b"7")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart(flavour, how):
    """A quiesced domain is still quiesced when xsproxyd is back; events that waited are kept, and
    identical ones still come once."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        guest.recv_message()
        quiesce(host.dom0, 7)
        guest.send(WATCH, join("data", "u"), req_id=50)
        guest.send(READ, b"domid\0", req_id=51)
        for i in range(100):
            host.dom0.write(f"/local/domain/7/data/{i}", "x")
        page = guest.page()
        host.proxy.kill(how)
        assert guest.page() == page
        host.start_proxy()
        client = host.client()
        for i in range(200):
            client.write(f"/local/domain/7/data/{i}", "y")
        guest.notify()
        arrived(client, 7, 1)
        assert guest.page() == page
        quiesce(client, 7)
        assert guest.page() == page
        assert tracked_watches(client, 7) == [("data", "t")]
        unquiesce(client, 7)
        assert guest.recv_reply() == (WATCH, 50, 0, b"OK\0")
        assert [tuple(event) for event in guest.events] == [(f"data/{i}", "t") for i in range(200)]
        guest.events.clear()
        assert guest.recv_reply() == (READ, 51, 0, b"7")
        assert [tuple(event) for event in guest.events] == [("data", "u")]
