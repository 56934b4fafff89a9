# SPDX-License-Identifier: MIT
"""[limits] of xsproxy.conf: a guest has a bound of its own, whatever xenstored allows; dom0's ring
and other guests go on while it does its worst; a toolstack connection may have tens of thousands of
watches; and whoever is at its bound can still end watches, costs others nothing, and is named in
the log."""

import pathlib

import pytest

from hostile import OFFENDER, domain, pipeline, refused, replies, scene
from ours import add_watches, limits, running, tracked_watches
from relay import FLAVOURS, packet
from test_hostile_load import watch_text
from xsclient import ERROR, READ, RESET_WATCHES, UNWATCH, WATCH

MANY = 100000  # upstream's quota


def unlimited(flavour, tmp_path):
    """The arguments that have xenstored refuse nothing."""
    args = limits(flavour, tmp_path, watches=MANY)
    return args + ("-Q", "memory=2000000000", "-q", "memory=2000000000") if flavour == "C" else args


def count(messages, type_):
    return sum(msg.type == type_ for msg in messages)


def errors(messages):
    return {msg.payload for msg in messages if msg.type == ERROR}


def log_lines(host, words):
    return [line for line in host.proxy.text().splitlines() if words in line]


def watches(numbers, size=40, type_=WATCH):
    return b"".join(packet(type_, watch_text(i, size), i) for i in numbers)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_guest_reaches_its_bound(flavour, tmp_path):
    """As many watches as it may have, and not one more; those that are there can be ended, all the
    same after a restart of xsproxyd. Others, dom0's ring too, have no such bound."""
    most = 200
    with scene(flavour, daemon_args=unlimited(flavour, tmp_path),
               config=f"[limits]\nwatches = {most}\n") as host:
        guest = host.add_guest(OFFENDER)
        got = replies(guest, watches(range(most + 50)), most + 50)
        assert [msg.type for msg in got] == [WATCH] * most + [ERROR] * 50
        assert errors(got) == {b"ENOMEM\0"}
        assert refused(host, "WATCH", "ENOMEM") == 50
        assert log_lines(host, f"d{OFFENDER} s") and log_lines(
            host, f"it has {most} watches; raise [limits] watches in xsproxy.conf")
        # An UNWATCH under way makes no room yet, and takes none.
        got = replies(guest, watches(range(20), type_=UNWATCH) + watches(range(20)), 40)
        assert [msg.type for msg in got] == [UNWATCH] * 20 + [WATCH] * 20
        host.proxy.kill()
        host.start_proxy()
        host.bystander.more()
        got = replies(guest, watches([1000]) + watches([7], type_=UNWATCH) + watches([1000]), 3)
        assert [msg.type for msg in got] == [ERROR, UNWATCH, WATCH]
        with host.client() as client:
            # Nor may somebody else give it more; to the others this bound means nothing.
            assert add_watches(client, OFFENDER, [("data/more", "t")]) == "ENOMEM"
            assert len(tracked_watches(client, OFFENDER)) == most
            for i in range(most + 50):
                client.watch(f"/x{i}", "t")
        dom0 = host.guest(0)
        got = replies(dom0, watches(range(most + 50)), most + 50)
        assert count(got, WATCH) == most + 50


def test_what_a_guests_watches_take(tmp_path):
    """Long ones reach the bound of memory first. What is dead counts for little: near the bound it
    changes all of them again and again."""
    with scene("C", daemon_args=unlimited("C", tmp_path),
               config="[limits]\nwatch-memory = 2MiB\n") as host:
        guest = host.add_guest(OFFENDER)
        got = replies(guest, watches(range(700), 4000), 700)
        there = count(got, WATCH)
        assert 500 <= there <= 512
        assert errors(got) == {b"ENOMEM\0"}
        assert log_lines(host, "its watches take all they may; raise [limits] watch-memory")
        assert domain(host)["memory"] <= 2 << 20
        assert not errors(replies(guest, watches(range(there // 10), 4000, UNWATCH), there // 10))
        for i in range(there // 10, 3 * there, 20):
            octets = watches(range(i + there - there // 10, i + there - there // 10 + 20), 4000)
            assert not errors(replies(guest, watches(range(i, i + 20), 4000, UNWATCH) + octets, 40))
        replies(guest, packet(RESET_WATCHES, b"\0"), 1)
        assert domain(host)["memory"] == 0


def test_one_guest_takes_not_what_others_need(tmp_path):
    """A guest that does its worst with the bounds as they are by default: as many watches as it
    gets, as long as can be, replies that it does not read, half a request. dom0's ring and another
    guest get the watches that they want."""
    with scene("C", daemon_args=unlimited("C", tmp_path)) as host:
        guest = host.add_guest(OFFENDER)
        got = replies(guest, watches(range(3000), 4064), 3000)
        assert 1900 <= count(got, WATCH) < 2100
        pipeline(guest, packet(READ, b"name\0") * 1000, read=False)
        assert domain(host)["memory"] <= (8 << 20) + (400 << 10)
        other = host.add_guest(OFFENDER + 1)
        for ring in (host.guest(0), other):
            got = replies(ring, watches(range(60), 1000), 60)
            assert count(got, WATCH) == 60


# --- connections of the toolstack

def cpu(host):
    """ns of processor time that xsproxyd has used."""
    return int(pathlib.Path(f"/proc/{host.proxy.pid}/schedstat").read_text("ascii").split()[0])


class Pipe:
    """A client that sends many requests without waiting for each, reading all the while."""

    def __init__(self, client):
        self.client = client

    def ask(self, type_, numbers, size=250, window=100):
        """Payloads of the errors among the replies."""
        found = []
        numbers = list(numbers)
        for at in range(0, len(numbers), window):
            part = numbers[at:at + window]
            ids = [self.client.send(type_, watch_text(i, size)) for i in part]
            for req_id in ids:
                msg = self.client.recv_reply()
                assert msg.req_id == req_id
                if msg.type == ERROR:
                    found.append(msg.payload)
        self.client.events.clear()
        return found


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_many_watches_of_a_client(flavour):
    """20,000 watches of one connection, all of them changed once: nothing is refused, and those
    that are there are known. (The C daemon goes through a list for each.)"""
    total = 20000 if flavour == "O" else 8000
    with running(flavour) as host:
        with host.client() as client:
            pipe = Pipe(client)
            assert not pipe.ask(WATCH, range(total))
            for i in range(0, total, 500):
                assert not pipe.ask(WATCH, range(total + i, total + i + 500))
                assert not pipe.ask(UNWATCH, range(i, i + 500))
            assert pipe.ask(UNWATCH, range(100)) == [b"ENOENT\0"] * 100
            assert pipe.ask(WATCH, range(total, total + 100)) == [b"EEXIST\0"] * 100
            assert not pipe.ask(UNWATCH, range(total, 2 * total, 2))
            assert not log_lines(host, "refused")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_client_at_its_bound(flavour):
    """A connection that has all it may have: WATCH is refused, which the log says; UNWATCH never
    is; with some gone there is room for as many, however often; and what it goes on asking for
    costs xsproxyd no more than before."""
    with running(flavour, config="[limits]\nclient-memory = 1MiB\n") as host:
        with host.client() as client:
            pipe = Pipe(client)
            first = cpu(host)
            assert not pipe.ask(WATCH, range(2000))
            each = (cpu(host) - first) / 2000
            there = 2000
            while not (found := pipe.ask(WATCH, range(there, there + 500))):
                there += 500
            assert set(found) == {b"ENOMEM\0"}
            there += 500 - len(found)
            assert log_lines(host, "raise [limits] client-memory")
            before = cpu(host)
            assert pipe.ask(WATCH, range(MANY, MANY + 2000)) == [b"ENOMEM\0"] * 2000
            assert not pipe.ask(UNWATCH, range(there // 10))
            assert cpu(host) - before < 8 * each * 2000
            gone, top = there // 10, there
            for _ in range(20):
                step = there // 20
                assert not pipe.ask(WATCH, range(top, top + step))
                assert not pipe.ask(UNWATCH, range(gone, gone + step))
                top, gone = top + step, gone + step
            assert not pipe.ask(UNWATCH, range(gone, top))
            assert not pipe.ask(WATCH, range(1000))
