# SPDX-License-Identifier: MIT
"""Domains come and go: many at once, in the middle of requests, with requests that wait in the page
before INTRODUCE and between RELEASE and INTRODUCE. Nothing is lost and nothing stays behind."""

import time

import pytest

import xensim
import xsclient
from harness import Host
from relay import (FLAVOURS, RING, Tape, exchange, introduce, open_files, packet, pattern, same,
                   wait_closed)
from xsclient import INTRODUCE, READ, RELEASE, WATCH, WATCH_EVENT, WRITE, XsError

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def released(host, *domids):
    """Wait until xenstored has let go of the domains."""
    with host.client() as client:
        client.watch("@releaseDomain", "gone")
        while any(client.is_introduced(domid) for domid in domids):
            client.wait_event()


def test_200_guests(flavour):
    """All at once: pipelined requests, large values, a watch each that dom0 makes fire."""
    domids = range(1, 201)

    def request(domid):
        return (packet(READ, b"name\0", 1) + packet(WATCH, b"data\0token\0", 2) +
                packet(WRITE, b"data/v\0" + pattern(900 + domid, domid), 3) +
                packet(READ, b"data/v\0", 0))

    def scenario(host):
        guests = {}
        for domid, domain in host.sim.create_range(1, 200).items():
            home = f"/local/domain/{domid}"
            for path, value in (("", ""), ("/name", f"guest-{domid}"), ("/data", "")):
                host.dom0.write(home + path, value)
            host.dom0.set_perms(home, f"n{domid}")
            host.dom0.set_perms(f"{home}/name", f"r{domid}")
            host.dom0.set_perms(f"{home}/data", f"n{domid}")
            guests[domid] = host.guest(domid)
            host.dom0.introduce(domid, domain.gfn, domain.port)
        left = {domid: request(domid) for domid in domids}
        deadline = time.monotonic() + xensim.TIMEOUT
        while any(left.values()):
            assert time.monotonic() < deadline
            for domid, guest in guests.items():
                left[domid] = left[domid][guest.push(left[domid]):]
        tapes = {domid: Tape(guest) for domid, guest in guests.items()}
        for tape in tapes.values():
            while tape.recv().req_id or tape.messages[-1].type != READ:
                pass
        for domid in domids:
            host.dom0.write(f"/local/domain/{domid}/data/end", "x")
        for tape in tapes.values():
            while not tape.recv().payload.startswith(b"data/end\0"):
                pass
        host.sim.destroy("1-200")
        released(host, *domids)
        assert list(host.sim.list()) == [0]
        return {domid: tape.messages for domid, tape in tapes.items()}

    transcripts = same(flavour, scenario)
    for domid, messages in transcripts.items():
        assert messages[0].payload == b"guest-%d" % domid
        assert pattern(900 + domid, domid) in {msg.payload for msg in messages}


BUSY = {
    "idle": b"",
    "half-header": packet(READ, b"name\0")[:9],
    "half-payload": packet(WRITE, b"data/v\0" + pattern(1500))[:1000],
    "unread": packet(READ, b"data/large\0") * 3,
    "many": packet(READ, b"data/large\0") * 20 + packet(WRITE, b"data/w\0x") * 5,
    "own-events": packet(WATCH, b"data\0t\0") + packet(WRITE, b"data/v\0x") * 20,
}


@pytest.mark.long
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
@pytest.mark.parametrize("busy", BUSY)
def test_destroyed(flavour, busy, proxied):
    """Whatever is under way, a destroyed domain leaves no zombie; the next one with its number
    starts anew, and the others do not notice."""
    with Host(flavour, proxied) as host:
        other = host.add_guest(8)
        other.watch("data", "t")
        for _ in range(4):
            guest = host.add_guest(7)
            host.dom0.write("/local/domain/7/data/large", pattern(1800))
            guest.watch("control", "token")
            guest.start()
            guest.push(BUSY[busy])
            host.sim.destroy(7)
            released(host, 7)
            assert host.sim.zombies() == []
            assert 7 not in host.sim.list()
            guest.close()
        assert other.read("name") == b"guest-8"
        guest = host.add_guest(7)
        with pytest.raises(XsError):
            guest.unwatch("control", "token")
        assert guest.start() == 1
        assert host.sim.list()[7]["maps"] == 1
        host.check()


@pytest.mark.long
def test_destroyed_in_numbers(flavour):
    """50 domains die while all of them are talking; descriptors come back."""
    with Host(flavour) as host:
        assert host.add_guest(99).read("name") == b"guest-99"
        before = open_files(host.proxy)
        for _ in range(3):
            guests = [host.add_guest(domid) for domid in range(1, 51)]
            for guest in guests:
                guest.push(packet(READ, b"name\0") * 30)
            host.sim.destroy("1-50")
            released(host, *range(1, 51))
            assert host.sim.zombies() == []
            for guest in guests:
                guest.close()
        wait_closed(host.proxy, before)
        host.check()


def test_shut_down(flavour):
    """A domain that is shut down but not destroyed keeps its connection and its watches."""
    def scenario(host):
        tape = Tape(host.add_guest(7))
        dom0 = Tape(host.client())
        dom0.ok(WATCH, "@releaseDomain", "r")
        dom0.event("@releaseDomain")
        tape.ok(WATCH, "data", "token")
        tape.event("data")
        host.sim.shutdown(7, "suspend")
        dom0.event("@releaseDomain")
        host.dom0.write("/local/domain/7/data/x", "1")
        tape.event("data/x")
        host.sim.resume(7)
        dom0.ok(xsclient.RESUME, "7")
        assert tape.ok(READ, "data/x") == b"1"
        return {"guest": tape.messages, "dom0": dom0.messages}

    same(flavour, scenario)


def test_introduce_fails(flavour):
    """A page or a port that is not there: the toolstack gets xenstored's answer, and the good
    INTRODUCE that follows works."""
    def scenario(host):
        domain = host.sim.create(7)
        xensim.home(host.dom0, 7)
        tape = Tape(host.client())
        for domid, port in ((8, domain.port), (7, domain.port + 1), (7, 99)):
            tape.call(INTRODUCE, domid, domain.gfn, port)
            tape.call(xsclient.IS_DOMAIN_INTRODUCED, domid)
            tape.call(RELEASE, domid)
        # oxenstored itself leaks the page when it cannot bind the port.
        assert host.sim.list()[7]["maps"] == 0 or (flavour == "O" and not host.proxied)
        xensim.home(host.dom0, 7)  # oxenstored's RELEASE took the permissions
        tape.ok(INTRODUCE, 7, domain.gfn, domain.port)
        tape.ok(xsclient.IS_DOMAIN_INTRODUCED, 7)
        assert host.guest(7).read("name") == b"guest-7"
        return tape.messages

    assert len(same(flavour, scenario)) == 11


# Requests that wait. Direct, the C daemon clears the page and loses them.

WAITING = packet(READ, b"name\0", 1) + packet(WATCH, b"name\0token\0", 2) + packet(
    READ, b"domid\0", 0) + packet(READ, b"nowhere\0", 4)


def check_waiting(guest, req_ids=(1, 2, 0, 4)):
    replies = []
    while len(replies) < len(req_ids):
        msg = guest.recv_message()
        if msg.type != WATCH_EVENT:
            replies.append(msg)
    assert [msg.req_id for msg in replies] == list(req_ids)
    return replies


@pytest.mark.parametrize("index", [0, 2**32 - 50, 77])
def test_requests_before_introduce(flavour, index):
    def prepare(guest):
        for name in ("req_cons", "req_prod", "rsp_cons", "rsp_prod"):
            setattr(guest, name, index)
        guest.push(WAITING)

    with Host(flavour) as host:
        guest, _ = introduce(host, 7, prepare)
        replies = check_waiting(guest)
        assert [msg.payload for msg in replies] == [b"guest-7", b"OK\0", b"7", b"ENOENT\0"]


def test_full_page_before_introduce(flavour):
    """The ring is full of requests, and the last one is there in part."""
    octets = packet(READ, b"name\0", 5) * 60
    with Host(flavour) as host:
        guest, _ = introduce(host, 7, lambda guest: guest.push(octets))
        assert [msg.payload for msg in exchange(guest, octets[RING:], 60)] == [b"guest-7"] * 60


def test_replies_before_introduce(flavour):
    """What an earlier daemon has left for the guest to read stays where it is."""
    def prepare(guest):
        guest.page_write(RING, packet(READ, b"from before", 9))
        guest.rsp_prod = 27

    with Host(flavour) as host:
        guest, _ = introduce(host, 7, prepare)
        assert guest.recv_message().payload == b"from before"
        assert guest.read("name") == b"guest-7"


@pytest.mark.parametrize("quiesced", [False, True])
def test_requests_across_release(flavour, quiesced):
    """RELEASE and INTRODUCE leave the page as it is; what waits in it is served afterwards."""
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        for _ in range(5):
            assert guest.read("name") == b"guest-7"
            if quiesced:
                host.dom0.control("quiesce", "7")
                guest.push(WAITING)
            host.dom0.release(7)
            page = guest.page()
            assert host.sim.list()[7]["maps"] == 0
            if not quiesced:
                guest.push(WAITING)
            else:
                assert guest.page() == page
            xensim.home(host.dom0, 7)  # RELEASE took its nodes, and its permissions for others
            host.dom0.introduce(7, domain.gfn, domain.port)
            check_waiting(guest)
        host.check()


def test_introduced_again_under_load(flavour):
    """INTRODUCE of a domain that is introduced, in the middle of its requests: each gets the one
    answer that it would have got."""
    count = 600
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        host.dom0.write("/local/domain/7/data/v", pattern(1100))
        octets = b"".join(packet(READ, (b"name\0", b"data/v\0")[i % 5 == 0], i)
                          for i in range(count))
        # It is answered only when nothing of the guest is under way: not to be waited for here.
        toolstack = host.client()
        messages, at, again = [], 0, 0
        for end in range(40, count + 1, 40):
            toolstack.send(INTRODUCE, xsclient.join(7, domain.gfn, domain.port))
            again += 1
            size = len(b"".join(packet(READ, (b"name\0", b"data/v\0")[i % 5 == 0], i)
                                for i in range(len(messages), end)))
            messages += exchange(guest, octets[at:at + size], 40)
            at += size
        for _ in range(again):
            assert toolstack.recv_reply().payload == b"OK\0"
        assert [msg.req_id for msg in messages] == list(range(count))
        for i, msg in enumerate(messages):
            assert msg.payload == (b"guest-7" if i % 5 else pattern(1100))
        host.check()


def test_introduced_again(flavour):
    """The C daemon forgets watches and transactions at INTRODUCE, the OCaml one keeps them; the
    guest sees of that what it would see without us."""
    def scenario(host):
        guest, domain = introduce(host, 7)
        tape = Tape(guest)
        for _ in range(3):
            tape.call(WATCH, "data", "token")
            tx = tape.start()
            tape.ok(READ, "name")
            host.dom0.introduce(7, domain.gfn, domain.port)
            tape.call(READ, "name", tx=tx)
            tape.call(xsclient.UNWATCH, "data", "token")
            tape.call(WATCH, "data", "token")
            host.dom0.write("/local/domain/7/data/x", "1")
            tape.event("data/x")
            tape.end(tx)
        return tape.messages

    same(flavour, scenario)


def test_other_port(flavour):
    """INTRODUCE may name another port than before."""
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        assert guest.read("name") == b"guest-7"
        try:
            host.dom0.introduce(7, domain.gfn, domain.port + 5)
        except XsError:
            pass
        guest.push(WAITING)
        host.dom0.introduce(7, domain.gfn, domain.port)
        check_waiting(guest)
        host.check()
