# SPDX-License-Identifier: MIT
"""xenstored and xsproxyd start and end in any order; guests and their Xenstore sessions stay."""

import select
import signal
import socket
import time

import pytest

import xensim
import xsclient
from harness import NO_MIRROR, Host
from relay import (FLAVOURS, RING, Tape, exchange, introduce, open_files, packet, pattern, split,
                   wait_until)
from xsclient import READ, TRANSACTION_START, WATCH, WATCH_EVENT, WRITE, Closed, XsError

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

HOME = "/local/domain/7"


def upstream(host):
    """A client of xenstored's own socket, past xsproxyd."""
    return xsclient.Client(host.run_dir / "upstream")


def introduce_past(host, *domids):
    """Have xenstored introduce domains while xsproxyd is away; {domid: guest}."""
    guests = {}
    with upstream(host) as client:
        for domid in domids:
            domain = host.sim.create(domid)
            xensim.home(client, domid)
            guests[domid] = host.guest(domid)
            client.introduce(domid, domain.gfn, domain.port)
            assert client.is_introduced(domid)
    return guests


def sockets(process):
    return sum(name.startswith("socket:") for name in open_files(process))


# Order of start


def test_xsproxyd_first(flavour):
    """It is READY without xenstored, which init scripts start after it; its clients are held."""
    with Host(flavour, start=False) as host:
        host.start_proxy()
        clients = [host.client() for _ in range(10)]
        for client in clients:
            client.send(READ, b"/\0", req_id=5)
        wait_until(lambda: sockets(host.proxy) > 10)  # they are accepted
        host.start_daemon()
        for client in clients:
            assert client.recv_reply().req_id == 5
        assert host.add_guest(7).read("name") == b"guest-7"


def test_held_until_attached(flavour):
    """xenstored's socket is there before the bridge is. A client that came through then would have
    INTRODUCE granted blindly."""
    with Host(flavour, start=False) as host, socket.socket(socket.AF_UNIX) as early:
        early.bind(str(host.run_dir / "upstream"))
        early.listen(10)
        host.start_proxy()
        clients = [host.client() for _ in range(10)]
        for client in clients:
            client.send(READ, b"/\0", req_id=5)
        # A client that is not held is connected in the very step that accepts it.
        wait_until(lambda: sockets(host.proxy) > 10)
        assert not select.select([early], [], [], 0)[0]
        host.start_daemon()
        for client in clients:
            assert client.recv_reply().req_id == 5


def test_xenstored_alone_first(flavour):
    """Without xsproxyd the daemon runs and introduces guests all the same; xsproxyd takes them up
    when it comes, with what waits in their pages."""
    with Host(flavour, start=False) as host:
        host.start_daemon()
        guests = introduce_past(host, *range(1, 21))
        for domid, guest in guests.items():
            guest.push(packet(READ, b"name\0", domid) + packet(WATCH, b"data\0t\0", 0) +
                       packet(WRITE, b"data/v\0" + pattern(1500), 9)[:800])
        host.start_proxy()
        for domid, guest in guests.items():
            assert guest.recv_message()[1:] == (domid, 0, b"guest-%d" % domid)
            assert guest.recv_reply().req_id == 0
            guest.send_raw(packet(WRITE, b"data/v\0" + pattern(1500), 9)[800:])
            assert guest.recv_reply().req_id == 9
        for domid in guests:
            assert host.dom0.read(f"/local/domain/{domid}/data/v") == pattern(1500)
        assert all(guest.events for guest in guests.values())


def test_bad_domains_while_away(flavour):
    """What the bridge granted blindly and cannot be attached harms nobody: it is not served until
    the toolstack introduces it properly or destroys it."""
    with Host(flavour, start=False) as host:
        host.start_daemon()
        good = introduce_past(host, 5)[5]
        domain = host.sim.create(6)
        with upstream(host) as client:
            xensim.home(client, 6)
            client.introduce(6, domain.gfn, domain.port + 1)
            client.introduce(99, 4711, 1)
            introduce_past(host, 8)
        host.sim.destroy(8)
        host.start_proxy()
        assert good.read("name") == b"guest-5"
        with host.client() as client:
            client.watch("@releaseDomain", "gone")
            while client.is_introduced(8):
                client.wait_event()
        assert host.sim.zombies() == []
        for domid in (6, 99):
            if host.dom0.is_introduced(domid):
                host.dom0.release(domid)
        xensim.home(host.dom0, 6)
        host.dom0.introduce(6, domain.gfn, domain.port)
        assert host.guest(6).read("name") == b"guest-6"
        host.check()


# xsproxyd ends and comes back


def restart(host, meanwhile=lambda: None, hurry=False):
    """End it as systemd does. It waits a second for guests that are within a request, or, with
    @hurry, does not: a second signal says so (and may come when it is almost gone)."""
    if hurry:
        host.proxy.process.send_signal(signal.SIGTERM)
        assert host.proxy.kill(signal.SIGINT) in (0, -signal.SIGINT)
    else:
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert host.socket.exists()  # the keeper has it
    meanwhile()
    host.start_proxy()


def test_restart(flavour):
    """Requests that wait, watches, events that happen meanwhile and open transactions go on."""
    with Host(flavour) as host:
        guests = {domid: host.add_guest(domid) for domid in range(1, 11)}
        toolstack = host.client()
        for turn in range(4):
            watch, tx = ("control/shutdown", f"token {turn}"), {}
            for domid, guest in guests.items():
                guest.watch(*watch)
                assert guest.wait_watch() == watch
                tx[domid] = guest.start()
                guest.write("data/in-tx", f"turn {turn}", tx=tx[domid])

            def meanwhile():
                assert set(dom["maps"] for dom in host.sim.list().values()) == {0}
                for guest in guests.values():
                    guest.push(b"".join(packet(READ, b"name\0", i) for i in range(20)))
                with upstream(host) as client:
                    for domid in guests:
                        client.write(f"/local/domain/{domid}/control/shutdown", "event")

            toolstack.read("/")
            restart(host, meanwhile)
            toolstack.read("/")
            for domid, guest in guests.items():
                assert [guest.recv_reply().req_id for _ in range(20)] == list(range(20))
                assert guest.wait_watch() == watch
                assert guest.exists("data/in-tx") == bool(turn)
                guest.end(tx[domid])
                assert guest.read("data/in-tx") == b"turn %d" % turn
                with pytest.raises(XsError) as info:
                    guest.watch(*watch)
                assert info.value.name == "EEXIST"
                toolstack.write(f"/local/domain/{domid}/control/shutdown", "again")
                assert guest.wait_watch() == watch
                guest.unwatch(*watch)
        host.check()


def test_restart_in_the_middle(flavour):
    """A request half taken, a reply half given, requests that upstream answers meanwhile."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        for turn in range(5):
            large = packet(WRITE, b"data/v\0" + pattern(1900, turn), 7)
            # The reply does not fit, and the guest does not read before the restart.
            guest.push(packet(READ, b"data/v\0", 3) + large[:600] if turn else large[:600])
            wait_until(lambda: guest.req_cons == guest.req_prod)
            if turn:
                wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)
            restart(host, hurry=turn > 1)
            rest = large[600:] + packet(READ, b"data/v\0", 0)
            replies = exchange(guest, rest, 3 if turn else 2)
            assert [msg.req_id for msg in replies] == ([3, 7, 0] if turn else [7, 0])
            assert replies[-1].payload == pattern(1900, turn)
            if turn:
                assert replies[0].payload == pattern(1900, turn - 1)
        host.check()


def test_restart_wakes(flavour):
    """What was sent to a port that nobody held is lost, so both sides are rung after a restart."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        assert guest.read("name") == b"guest-7"
        with pytest.raises(xsclient.Timeout):
            while True:
                guest.wait_event(0.05)
        restart(host)
        guest.wait_event()
        assert guest.read("name") == b"guest-7"


class Talker:
    """A guest that never pauses, and collects what it gets."""

    def __init__(self, guest, octets):
        self.guest = guest
        self.octets = octets
        self.events, self.replies = [], []
        self._came = b""

    def go(self, timeout=None):
        """Send and read what can be; wait for an event if neither can be."""
        sent = self.guest.push(self.octets)
        self.octets = self.octets[sent:]
        got = self.guest.pull(4096)
        found, self._came = split(self._came + got)
        for msg in found:
            (self.events if msg.type == WATCH_EVENT else self.replies).append(msg)
        if not sent and not got:
            self.guest.wait_event(timeout)


@pytest.mark.parametrize("hurried", [False, True])
def test_restart_under_load(flavour, hurried):
    """A guest that never pauses: each request gets one answer, in order, and every event comes."""
    turns, per_turn = 6, 300
    total = turns * per_turn
    with Host(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        assert guest.wait_watch().path == "data"
        talker = Talker(guest, b"".join(
            packet(WRITE, b"data/%d\0x" % (i % 50), i) if i % 3 else packet(READ, b"name\0", i)
            for i in range(total)))
        for turn in range(turns):
            while len(talker.replies) < turn * 200 + 100:
                talker.go()
            if hurried:
                restart(host, hurry=True)
                continue
            host.proxy.ended = True
            host.proxy.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + xensim.TIMEOUT
            while host.proxy.alive():
                assert time.monotonic() < deadline
                try:
                    talker.go(0.02)
                except xsclient.Timeout:
                    pass
            host.start_proxy()
        while len(talker.replies) < total:
            talker.go()
        guest.send(READ, b"name\0", req_id=total)
        while len(talker.replies) <= total:
            talker.go()
        assert [msg.req_id for msg in talker.replies] == list(range(total + 1))
        assert {msg.payload for msg in talker.replies} == {b"OK\0", b"guest-7"}
        # The C daemon drops an event that equals one which it still has queued.
        writes = total - total // 3
        assert len(talker.events) == writes if flavour == "O" else len(talker.events) > 0
        host.check()


def test_introduced_while_away(flavour):
    """RELEASE, INTRODUCE and death while xsproxyd is down."""
    with Host(flavour) as host:
        stay, (again, domain) = host.add_guest(5), introduce(host, 6)
        host.add_guest(7)
        for guest in (stay, again):
            guest.watch("control", "t")
            guest.wait_watch()

        new = {}

        def meanwhile():
            new.update(introduce_past(host, 8))
            host.sim.destroy(7)
            with upstream(host) as client:
                client.release(6)
                xensim.home(client, 6)
                client.introduce(6, domain.gfn, domain.port)
                client.watch("@releaseDomain", "t")
                while client.is_introduced(7):
                    client.wait_event()

        restart(host, meanwhile)
        with pytest.raises(XsError):
            again.unwatch("control", "t")
        stay.unwatch("control", "t")
        assert new[8].read("name") == b"guest-8"
        assert host.sim.zombies() == []
        assert sorted(dom for dom, info in host.sim.list().items() if info["maps"]) == [5, 6, 8]
        host.check()


# xenstored ends and comes back


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_xenstored_ends(flavour, how):
    """Without a mirror: clients see their connections close, new ones are held, pages are let go.
    The next xenstored is used as soon as it is there, and serves what waits in the pages after
    INTRODUCE."""
    with Host(flavour, config=NO_MIRROR) as host:
        guest, domain = introduce(host, 7)
        guest.watch("data", "old")
        guest.wait_watch()
        old = host.client()
        old.read("/")
        host.daemon.kill(how)
        with pytest.raises((Closed, ConnectionError)):
            old.read("/")
        wait_until(lambda: host.sim.list()[7]["maps"] == 0)
        guest.push(packet(READ, b"name\0", 1) + packet(TRANSACTION_START, b"\0", 2))
        before = sockets(host.proxy)
        held = host.client()
        held.send(READ, b"/\0", req_id=9)
        wait_until(lambda: sockets(host.proxy) > before)

        host.sim.daemons.remove(host.daemon)
        host.start_daemon()
        assert held.recv_reply().req_id == 9
        xensim.home(held, 7)
        held.introduce(7, domain.gfn, domain.port)
        tape = Tape(guest)
        assert [tape.recv().req_id for _ in range(2)] == [1, 2]
        tape.ok(WATCH, "data", "old")
        tape.event("data")
        assert guest.error == 0
        host.check()
