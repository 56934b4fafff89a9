# SPDX-License-Identifier: MIT
"""A guest that takes all it can get: half requests for ever, replies and events that nobody reads,
watches and transactions up to upstream's quota and far beyond, churn at full speed. What it costs
stays within the bounds of docs/architecture.md, the administrator sees what it was refused, and
another guest works through it all and checks every answer."""

import re

import pytest

from hostile import (HOME, OFFENDER, Memory, arena, ctl, domain, pipeline, refused, replies,
                     scene)
from ours import QUIESCE, ask, limits, watch_pages
from relay import FLAVOURS, RING, destroy, introduce, packet, pattern, same, wait_until
from versions import EXPECT
from xsclient import (ERROR, READ, RESET_WATCHES, TRANSACTION_END, TRANSACTION_START, UNWATCH,
                      WATCH, WRITE)

pytestmark = [pytest.mark.long, pytest.mark.parametrize("flavour", FLAVOURS)]

KIB = 1024
UNREAD = 256 * KIB  # fifo.h, FIFO_RUNNING


HALVES = {
    "an octet": b"\1",
    "no header": packet(WRITE, b"")[:15],
    "no payload": packet(WRITE, b"", length=4096),
    "half a payload": packet(WRITE, b"data/x\0" + pattern(2000), length=4096),
    "all but an octet": packet(WRITE, b"data/x\0" + pattern(4088), length=4096),
}


def test_half_requests(flavour):
    """Many guests that never finish a request: each costs a page at most, can be released and
    introduced again, and only QUIESCE says that it is in the middle of something."""
    with scene(flavour) as host:
        guests = {}
        for domid in range(OFFENDER, OFFENDER + 4 * len(HALVES)):
            guests[domid] = introduce(host, domid)
        before = arena(host)
        for (guest, _), half in zip(guests.values(), list(HALVES.values()) * 4):
            guest.send_raw(half)
            guest.notify()
            wait_until(lambda guest=guest: guest.req_cons == guest.req_prod)
        assert arena(host) - before <= len(guests) * 4 * KIB
        host.bystander.more(50)
        assert ask(host.dom0, QUIESCE, OFFENDER) == "EBUSY"
        for domid, (guest, where) in guests.items():
            assert domain(host, domid)["state"] == "running"
            host.dom0.release(domid)
            for name in ("req_cons", "req_prod", "rsp_cons", "rsp_prod"):
                setattr(guest, name, 0)
            host.dom0.introduce(domid, where.gfn, where.port)
            assert guest.call(READ, b"/local/domain\0").req_id


@pytest.mark.parametrize("size", [10, 500, 2000])
def test_replies_never_read(flavour, size):
    """Requests until no more is taken, without reading: at most 16 KiB wait before the next one is
    left in the ring. What was taken is answered as soon as the guest does read."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.write("data/v", pattern(size))
        memory = Memory(host, EXPECT[flavour].watch_limit)
        count = 3 * UNREAD // (16 + size)
        octets = b"".join(packet(READ, b"data/v\0", i) for i in range(count))
        left = pipeline(guest, octets, read=False)
        assert left, "all of it was taken"
        wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)
        host.bystander.more(50)
        assert domain(host)["queued"] <= 16 * KIB + 32 * (16 + size)
        memory.check()
        got = replies(guest, left, count)
        assert [msg.req_id for msg in got] == list(range(count))
        assert all(msg.payload == pattern(size) for msg in got)


def test_events_never_read(flavour):
    """Events up to the limit of what is kept for a guest that does not read, and beyond, where they
    stay with xenstored, which drops or blocks as it does without us. What waits comes in order."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.watch("data", "t" * 200)
        guest.wait_watch()
        memory = Memory(host, EXPECT[flavour].watch_limit)
        source = host.client()
        sent, size = 0, 16 + len("data/0000") + 202
        while (sent + 101) * size < UNREAD:
            replies_to = [source.send(WRITE, f"{HOME}/data/{sent + i:04}\0".encode())
                          for i in range(100)]
            assert [source.recv_reply().req_id for _ in replies_to] == replies_to
            sent += 100
            wait_until(lambda: domain(host)["queued"] == sent * size - RING)
            memory.check()
        # Now one that does not wait: what becomes of it beyond the limit is xenstored's business.
        for i in range(sent, sent + 200):
            source.send(WRITE, f"{HOME}/data/{i:04}\0".encode())
        wait_until(lambda: domain(host)["queued"] > UNREAD - size)
        host.bystander.more(50)
        assert domain(host)["queued"] <= UNREAD
        memory.check()
        for i in range(sent + 200):
            assert guest.wait_watch() == (f"data/{i:04}", "t" * 200)
        assert domain(host)["state"] == "running"


def watch_text(i, size):
    """A WATCH payload of @size octets."""
    head = b"data/%06d\0" % i
    return head + b"t" * (size - len(head) - 1) + b"\0"


@pytest.mark.parametrize("size", [40, 4064])
def test_watches_beyond_the_quota(flavour, size):
    """Thousands, small or as large as can be, pipelined: as many as natively succeed, the others
    get the native error, and there are refusals to see. Again and again, after RESET_WATCHES and
    after a reconnection: no more memory is taken than by the first ones."""
    total, limit = 2000 if size < 100 else 200, EXPECT[flavour].watch_limit
    octets = b"".join(packet(WATCH, watch_text(i, size), i) for i in range(total))

    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, limit)
        for again in range(4):
            got = replies(guest, octets, total)
            assert sum(msg.type == WATCH for msg in got) == limit
            assert got[-1].payload == EXPECT[flavour].watch_quota.encode() + b"\0"
            assert domain(host)["watches"] == limit
            memory.check()
            pages = watch_pages(host.dom0, OFFENDER)
            assert sum(map(len, pages)) == limit
            if again % 2:
                guest.call(RESET_WATCHES, b"\0")
            else:
                guest.reconnect()
            assert domain(host)["watches"] == 0
        assert refused(host, "WATCH", EXPECT[flavour].watch_quota) == 4 * (total - limit)
        assert f"WATCH: {EXPECT[flavour].watch_quota}" in ctl(host, "domains")
        # Of which one is known as long as the flight recorder has it.
        assert re.search(rf"WATCH( of data/\d{{6}})? was refused with "
                         rf"{EXPECT[flavour].watch_quota}: it has {limit} watches;",
                         host.proxy.text())


def test_transactions_beyond_the_quota(flavour):
    """Thousands of TRANSACTION_START: the same answers as natively, and few lines in the log."""
    total = 3000
    octets = b"".join(packet(TRANSACTION_START, b"\0", i) for i in range(total))

    def scenario(host):
        guest = host.add_guest(OFFENDER)
        return replies(guest, octets, total) + replies(guest, packet(RESET_WATCHES, b"\0"), 1)

    got = same(flavour, scenario)
    assert sum(msg.type == TRANSACTION_START for msg in got) == EXPECT[flavour].tx_limit

    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, EXPECT[flavour].watch_limit)
        said = len(host.proxy.text())
        replies(guest, octets, total)
        expect = EXPECT[flavour]
        assert domain(host)["transactions"] == expect.tx_limit
        assert refused(host, "TRANSACTION_START", expect.tx_quota) == total - expect.tx_limit
        assert host.proxy.text()[said:].count("\n") <= 3
        memory.check()
        replies(guest, packet(RESET_WATCHES, b"\0"), 1)
        assert domain(host)["transactions"] == 0


def test_high_quotas(flavour, tmp_path):
    """An administrator who raises upstream's quotas to thousands gets what they cost, no more."""
    watches, transactions = 3000, 1500
    with scene(flavour, daemon_args=limits(flavour, tmp_path, watches, transactions)) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, watches + 1)
        got = replies(guest, b"".join(packet(WATCH, watch_text(i, 400), i)
                                      for i in range(watches + 100)), watches + 100)
        assert watches <= sum(msg.type == WATCH for msg in got) <= watches + 1
        got = replies(guest, packet(TRANSACTION_START, b"\0") * (transactions + 100),
                      transactions + 100)
        assert transactions <= sum(msg.type == TRANSACTION_START for msg in got) <= transactions + 1
        memory.check()
        ends = [packet(TRANSACTION_END, b"F\0", tx=int(msg.payload[:-1]))
                for msg in got if msg.type == TRANSACTION_START]
        got = replies(guest, b"".join(ends[::2]), len(ends[::2]))
        assert {msg.type for msg in got} == {TRANSACTION_END}
        guest.reconnect()
        assert (domain(host)["watches"], domain(host)["transactions"]) == (0, 0)
        # All extents are back, but for those that the pool keeps at hand, and the transactions'.
        assert arena(host) - memory.before[0] <= (256 + 16 + 1) * 4 * KIB


@pytest.mark.parametrize("size", [30, 2000])
def test_churn(flavour, size):
    """WATCH and UNWATCH, pipelined, thousands of times, and never a moment without a request under
    way: the log of watches does not grow."""
    pairs = 4000 if size < 100 else 700
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, 64)
        octets = b"".join(packet(WATCH, watch_text(i % 32, size), 1) +
                          packet(UNWATCH, watch_text(i % 32, size), 2) for i in range(pairs))
        for at in range(0, len(octets), len(octets) // 8):
            pipeline(guest, octets[at:at + len(octets) // 8])
            memory.check()
        guest.reconnect()
        assert domain(host)["watches"] == 0
        assert guest.read("name") == b"guest-7"


def test_many_offenders(flavour):
    """Six domains that take all they can at the same time, and stay so: the bystander works,
    the bound holds for their sum, and it all comes back when they go."""
    with scene(flavour) as host:
        limit = EXPECT[flavour].watch_limit
        domids = range(OFFENDER, OFFENDER + 6)
        before = arena(host)
        guests = [host.add_guest(domid) for domid in domids]
        memory = Memory(host, limit, len(domids))
        for guest in guests:
            replies(guest, b"".join(packet(WATCH, watch_text(i, 4064), i) for i in range(limit)),
                    limit)
            pipeline(guest, packet(READ, b"name\0") * 1000, read=False)
            guest.push(packet(WRITE, length=4096))
        host.bystander.more(100)
        memory.check()
        # One after the other by its own way out.
        for i, domid in enumerate(domids):
            if i % 2:
                host.dom0.release(domid)
            else:
                destroy(host, domid)
        host.bystander.more(20)
        wait_until(lambda: arena(host) - before <= 256 * 4 * KIB + len(guests) * 8 * KIB)


def test_error_answers_stay_with_the_offender(flavour):
    """While one guest floods with requests that fail, the other's refusals stay at none."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        got = replies(guest, packet(READ, b"/tool\0") * 500 + packet(0x100, b"8\0") * 500, 1000)
        assert {msg.type for msg in got} == {ERROR}
        assert refused(host, "QUIESCE", "EACCES") == 500
        assert domain(host, 200)["refusals"] == []
