# SPDX-License-Identifier: MIT
"""A guest's ring as guests use it: indexes that wrap, messages in pieces, rings that are full, no
event more than Linux sends; reconnection; and what a guest gets that breaks the rules."""

import itertools
import time

import pytest

import xsclient
from harness import Host
from relay import (FLAVOURS, RING, SIZES, Tape, exchange, introduce, packet, pattern, same,
                   split, wait_until)
from xensim import TIMEOUT
from xsclient import READ, RESET_WATCHES, WATCH, WATCH_EVENT, WRITE
from xsguest import NOTIFY_ALWAYS, NOTIFY_LINUX

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

INDEXES = ("req_cons", "req_prod", "rsp_cons", "rsp_prod")
ERROR_NONE, ERROR_COMM, ERROR_RINGIDX, ERROR_PROTO = range(4)
HOME = "/local/domain/7"


def set_indexes(guest, requests, replies):
    for name, value in zip(INDEXES, (requests, requests, replies, replies)):
        setattr(guest, name, value)


def caught_up(guest):
    return guest.req_cons == guest.req_prod


@pytest.mark.parametrize("requests, replies", [
    (2**32 - 1, 2**32 - 1), (2**32 - 16, 2**32 - 17), (2**32 - 1024, 5), (3, 2**32 - 3000),
    (2**31 - 20, 2**31 - 900)])
def test_indexes_wrap(flavour, requests, replies):
    """Near 2^32 all is as it is at 0. Proxied only: the C daemon itself zeroes them."""
    def play(requests, replies):
        with Host(flavour) as host:
            guest, _ = introduce(host, 7, lambda guest: set_indexes(guest, requests, replies))
            assert guest.req_prod == requests
            tape = Tape(guest)
            for size in (*range(1, 30), *SIZES[2:]):
                tape.call(WRITE, payload=(b"data/v\0" + pattern(size))[:max(size, 8)])
                tape.call(READ, "data/v")
                tape.call(WATCH, "data/v", f"token {size}")
                tape.event("data/v")
            sent = guest.req_prod - requests, guest.rsp_prod - replies
            return tape.messages, [n % 2**32 for n in sent]

    messages, (sent, came) = play(requests, replies)
    assert (messages, [sent, came]) == play(0, 0)
    assert sent > 6000 and came > 6000, "no wrap was seen"


@pytest.mark.long
@pytest.mark.parametrize("mode", [NOTIFY_LINUX, NOTIFY_ALWAYS])
@pytest.mark.parametrize("cut", [1, 15, 16, 17, 20, 500, 1024])
def test_pieces(flavour, cut, mode):
    """Requests in pieces, each taken before the next one is written."""
    octets = b"".join(
        packet(type_, payload, req_id) for req_id, (type_, payload) in enumerate((
            (READ, b"name\0"), (WRITE, b"data/a\0" + pattern(100)), (WATCH, b"data/a\0token\0"),
            (READ, b"data/a\0"), (WRITE, b"data/a\0" + pattern(1200)), (READ, b"data/a\0"))))

    def scenario(host):
        guest = host.add_guest(7)
        guest.set_notify(mode)
        came, left = b"", octets
        deadline = time.monotonic() + TIMEOUT
        while left or len([msg for msg in split(came)[0] if msg.type != WATCH_EVENT]) < 6:
            assert time.monotonic() < deadline
            if left and caught_up(guest):
                assert guest.push(left[:cut]) == len(left[:cut])
                left = left[cut:]
            elif not left and guest.rsp_prod == guest.rsp_cons:
                guest.wait_event()
            came += guest.pull(cut)
        messages, rest = split(came)
        assert not rest
        return messages

    messages = same(flavour, scenario)
    assert messages[-1].payload == pattern(1200)


@pytest.mark.parametrize("mode", [NOTIFY_LINUX, NOTIFY_ALWAYS])
def test_full_reply_ring(flavour, mode):
    """The guest reads nothing until its ring is full to the brim: only then will it tell that it
    has read. Then it reads octet by octet, or all at once."""
    count = 40

    def scenario(host):
        guest = host.add_guest(7)
        guest.set_notify(mode)
        host.dom0.write(f"{HOME}/data/v", pattern(300))
        octets = b"".join(packet(READ, b"data/v\0", i) for i in range(count))
        assert len(octets) < RING
        messages = []
        for step in (1, 7, RING):
            came = b""
            guest.push(octets)
            wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)
            while len(came) < count * (16 + 300):
                got = guest.pull(step)
                came += got
                if not got:
                    guest.wait_event()
            messages += split(came)[0]
        return messages

    messages = same(flavour, scenario)
    assert [msg.req_id for msg in messages] == list(range(count)) * 3


@pytest.mark.parametrize("eager", [False, True])
def test_large_both_ways(flavour, eager):
    """Requests and replies larger than their rings at the same time: nobody waits for ever."""
    def scenario(host):
        octets = b"".join(packet(WRITE, b"data/v\0" + pattern(1900, i), i) +
                          packet(READ, b"data/v\0", i) for i in range(30))
        return exchange(host.add_guest(7), octets, 60, eager)

    messages = same(flavour, scenario)
    assert [msg.payload for msg in messages[1::2]] == [pattern(1900, i) for i in range(30)]


@pytest.mark.long
def test_replies_in_two_writes(flavour):
    """Upstream finds room for a part of a reply only, again and again, while we read: oxenstored
    does not look for room again by itself, and would go on after 20 s. (By itself it does so to
    guests.)"""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        octets = b"".join(packet(READ, b"data/v\0", i) for i in range(20))
        for turn in range(2000):
            if turn % 1000 == 0:
                host.dom0.write(f"{HOME}/data/v", pattern(500 if turn else 700))
            messages = exchange(guest, octets, 20, eager=True)
            assert [msg.req_id for msg in messages] == list(range(20))


def test_features(flavour):
    """A guest is offered what upstream offers. (test_later.py has those of 4.21 and 4.22.)"""
    def scenario(host):
        guest = host.add_guest(7)
        guest.read("name")
        return [guest.server_features]

    same(flavour, scenario)


def test_indexes_reset(flavour):
    """hvmloader empties an idle ring by zeroing all its indexes, without a word."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        assert guest.wait_watch().path == "data"
        for _ in range(3):
            set_indexes(guest, 0, 0)
            assert guest.read("name") == b"guest-7"
        guest.write("data/x", "1")
        assert guest.wait_watch().path == "data/x"


# Reconnection by the guest


def reconnect_scenario(host):
    """What was before is gone: watches, transactions, octets under way both ways."""
    guest = host.add_guest(7)
    tape = Tape(guest)
    host.dom0.write(f"{HOME}/data/v", pattern(1500))
    for turn in range(3):
        tape.ok(WATCH, "data", "old")
        tape.event("data")
        tx = tape.start()
        tape.ok(WRITE, payload=b"data/in-tx\0x", tx=tx)
        # A reply that does not fit and is not read, and half a request behind it.
        guest.push(packet(READ, b"data/v\0") + packet(WRITE, b"data/half\0x", length=700))
        wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING and caught_up(guest))
        guest.reconnect()
        tape.messages.append([guest.get(name) for name in INDEXES])
        assert guest.connection == ERROR_NONE
        tape.call(READ, "data/v")
        tape.call(READ, "data/in-tx")
        assert tape.call(READ, "data/v", tx=tx).type == xsclient.ERROR
        host.dom0.write(f"{HOME}/data/{turn}", "no event for the old watch")
        tape.ok(WATCH, "data", "new")
        tape.event("data")
        host.dom0.write(f"{HOME}/data/{turn}", "x")
        tape.event(f"data/{turn}")
        tape.ok(RESET_WATCHES, payload=b"\0")
    assert xsclient.Message(WATCH_EVENT, 0, 0, b"data/0\0new\0") in tape.messages
    return tape.messages


def test_reconnect(flavour):
    """oxenstored can do it by itself; for the C daemon we do it."""
    with Host(flavour) as host:
        messages = reconnect_scenario(host)
    assert [message for message in messages if isinstance(message, list)] == [[0, 0, 0, 0]] * 3
    if flavour == "O":
        with Host("O", proxied=False) as host:
            direct = reconnect_scenario(host)
        # Only it numbers transactions anew after a reconnect.
        for ours, theirs in itertools.zip_longest(messages, direct):
            if isinstance(ours, list) or ours.type == xsclient.TRANSACTION_START:
                continue
            assert ours._replace(tx_id=bool(ours.tx_id)) == \
                theirs._replace(tx_id=bool(theirs.tx_id))


def test_reconnect_repairs(flavour):
    """A guest that comes out of a crash kernel, say: the indexes are nonsense, then it asks."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "old")
        guest.connection = 1
        set_indexes(guest, 12345, 99)
        guest.req_prod = 7
        guest.reconnect()
        assert guest.error == ERROR_NONE
        assert guest.read("name") == b"guest-7"


# Faults


def oversize(length):
    return lambda guest: guest.push(packet(READ, b"name\0", length=length))


def broken(**fields):
    def fault(guest):
        for name, offset in fields.items():
            setattr(guest, name, getattr(guest, name.replace("prod", "cons")) + offset)
        guest.notify()
    return fault


FAULTS = {
    "oversize": (oversize(4097), ERROR_PROTO),
    "oversize-huge": (oversize(0xFFFFFFFF), ERROR_PROTO),
    "oversize-behind-good": (
        lambda guest: guest.push(packet(READ, b"name\0") * 20 + packet(READ, length=5000)),
        ERROR_PROTO),
    "oversize-late": (lambda guest: guest.push(packet(READ, length=0x10000)[:15])
                      and wait_until(lambda: caught_up(guest))
                      and guest.push(b"\0"), ERROR_PROTO),
    "requests": (broken(req_prod=1025), ERROR_RINGIDX),
    "requests-back": (broken(req_prod=-1), ERROR_RINGIDX),
    "replies": (broken(rsp_prod=1025), ERROR_RINGIDX),
    "replies-back": (broken(rsp_prod=-4), ERROR_RINGIDX),
    "both": (broken(req_prod=5000, rsp_prod=2**31), ERROR_RINGIDX),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(flavour, fault):
    """The page says what is wrong, as the C daemon does; watches and transactions are gone, the
    other guest does not notice, and RELEASE and INTRODUCE heal it."""
    commit, error = FAULTS[fault]
    proxies = (True, False) if flavour == "C" else (True,)
    for proxied in proxies:
        with Host(flavour, proxied) as host:
            guest, domain = introduce(host, 7)
            other = host.add_guest(8)
            other.watch("data", "t")
            other.wait_watch()
            Tape(guest).ok(WATCH, "data", "t")
            guest.start()
            guest.rsp_cons = guest.rsp_prod
            commit(guest)
            # The direct C daemon looks at reply indexes only when it has something to say.
            host.dom0.write(f"{HOME}/data/x", "event")
            assert wait_until(lambda: guest.error) == error

            before = guest.page_read(RING, RING), guest.rsp_prod
            guest.notify()
            host.dom0.write(f"{HOME}/data/x", "no event")
            assert other.read("name") == b"guest-8"
            host.dom0.write("/local/domain/8/data/x", "event")
            while other.wait_watch().path != "data/x":
                pass
            assert (guest.page_read(RING, RING), guest.rsp_prod) == before
            host.check()

            host.dom0.release(7)
            xsclient.Requests.mkdir(host.dom0, f"{HOME}/data")
            host.dom0.set_perms(f"{HOME}/data", "n7")
            guest.error = ERROR_NONE
            set_indexes(guest, 0, 0)
            host.dom0.introduce(7, domain.gfn, domain.port)
            guest.write("data/new", "life")
            assert guest.read("data/new") == b"life"
            host.check()


def test_fault_ends_tracking(flavour):
    """Nothing of the ended session is left upstream: no watch and no transaction."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        for i in range(5):
            guest.watch(f"data/{i}", "t")
            guest.start()
        assert host.dom0.control("get-domain-watches", "7").count("\n") >= 5
        guest.push(packet(READ, length=4097))
        wait_until(lambda: guest.error == ERROR_PROTO)
        wait_until(lambda: "t" not in host.dom0.control("get-domain-watches", "7").split())
        assert host.dom0.control("get-domain-transactions", "7").strip() == ""
