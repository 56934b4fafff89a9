# SPDX-License-Identifier: MIT
"""A guest that owns its page and its event channel: indexes that jump, run backwards or change
between two reads, lengths and types that change after they were read, events at full speed, a
reconnection at every step. It loses its own connection at most, as natively; the administrator
sees why; another guest works through it all and checks every answer."""

import random

import pytest

from hostile import HOME, OFFENDER, Memory, domain, ended, scene
from ours import OURS
from relay import FLAVOURS, RING, introduce, packet, pattern, same, wait_until
from versions import EXPECT
from xsclient import HEADER, READ, WATCH, WRITE
from xsguest import NOTIFY_ALWAYS, NOTIFY_LINUX, NOTIFY_NEVER

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

RINGIDX, PROTO = 2, 3
INDEXES = ("req_cons", "req_prod", "rsp_cons", "rsp_prod")
WHY = {RINGIDX: "ring indexes", PROTO: "longer than 4096"}


def moved(**fields):
    """A trick: add to indexes, then send an event."""
    def trick(guest):
        for name, by in fields.items():
            setattr(guest, name, getattr(guest, name) + by)
        guest.notify()
    return trick


def long(length, behind=b""):
    """A trick: a request that claims a length."""
    def trick(guest):
        guest.push(behind + packet(WRITE, b"data/x\0", length=length))
        guest.notify()
    return trick


TRICKS = {
    "request producer ahead": (moved(req_prod=1025), RINGIDX),
    "request producer far ahead": (moved(req_prod=2**31), RINGIDX),
    "request producer back": (moved(req_prod=-1), RINGIDX),
    "request consumer ahead": (moved(req_cons=1), RINGIDX),
    "request consumer back": (moved(req_cons=-1025), RINGIDX),
    "reply producer ahead": (moved(rsp_prod=1025), RINGIDX),
    "reply producer back": (moved(rsp_prod=-1), RINGIDX),
    "reply consumer ahead": (moved(rsp_cons=1), RINGIDX),
    "reply consumer far back": (moved(rsp_cons=-2**30), RINGIDX),
    "all at once": (moved(req_cons=77, req_prod=-5, rsp_cons=2**31, rsp_prod=12345), RINGIDX),
    "4097 octets": (long(4097), PROTO),
    "4097 octets behind others": (long(4097, packet(READ, b"name\0") * 9), PROTO),
    "2 GiB": (long(2**31), PROTO),
    # What 31 bits would make 8 of.
    "2 GiB and 8": (long(2**31 + 8), PROTO),
    "1 GiB and 8": (long(2**30 + 8), PROTO),
    "3 GiB": (long(2**31 + 2**30), PROTO),
    "4 GiB - 1": (long(2**32 - 1), PROTO),
}


def verdict(host, guest, home):
    """What became of a guest: the error in its page, and whether it is ignored even after it has
    set its indexes right."""
    # Something to say, and an event: the daemons look at a reply index only then.
    host.dom0.write(f"{home}/data/event", "")
    guest.notify()
    host.bystander.more(3)
    error = guest.error
    for name in INDEXES:
        setattr(guest, name, 0)
    guest.push(packet(READ, b"name\0"))
    guest.notify()
    host.bystander.more(3)
    return error, guest.req_cons == 0


def play_tricks(flavour, proxied, tricks):
    """Each trick by a domain of its own on one host."""
    verdicts = {}
    with scene(flavour, proxied) as host:
        for domid, name in enumerate(tricks, OFFENDER):
            guest = host.add_guest(domid)
            guest.watch("data", "t")
            guest.wait_watch()
            # Event by event, so that the direct daemon has read what went before.
            guest.read("name")
            guest.set_notify(NOTIFY_ALWAYS)
            tricks[name][0](guest)
            if proxied:
                ended(host, domid, WHY[tricks[name][1]])
            verdicts[name] = verdict(host, guest, f"/local/domain/{domid}")
    return verdicts


def test_tricks(flavour):
    """Every static trick ends the connection, with xenstored's own error; the OCaml daemon has no
    error field."""
    proxied = play_tricks(flavour, True, TRICKS)
    assert proxied == {name: (error, True) for name, (_, error) in TRICKS.items()}
    if flavour == "C":
        assert proxied == play_tricks(flavour, False, TRICKS)
        return
    # It takes a length beyond 4096 for one of 4096 and is out of step from then on; an exception
    # leaves its loop at every reply to be written by a broken index, but the guest lives on.
    tricks = {name: trick for name, trick in TRICKS.items()
              if trick[1] == RINGIDX and "reply" not in name}
    direct = play_tricks(flavour, False, tricks)
    assert {name: ignored for name, (_, ignored) in direct.items()} == dict.fromkeys(tricks, True)


def headers(*lengths, types=(99,)):
    """A ring full of headers; whatever multiple of 16 is taken as a payload, a header follows."""
    count = RING // HEADER.size
    return b"".join(HEADER.pack(types[i % len(types)], i, 0, lengths[i % len(lengths)])
                    for i in range(count))


def churn(guest, octets):
    """Have requests taken, about so many octets or until the guest is ignored: reply after reply is
    thrown away, the request ring is always full."""
    taken, last = 0, guest.req_cons

    def step():
        nonlocal taken, last
        now = guest.req_cons
        taken, last = taken + (now - last) % 2**32, now
        guest.rsp_cons = guest.rsp_prod
        guest.req_prod = now + RING
        guest.notify()
        return taken >= octets or guest.error

    wait_until(step)


def lives(guest):
    """Whether the guest gets a new life by reconnecting."""
    guest.set_notify(NOTIFY_LINUX)
    guest.reconnect()
    return guest.read("name") == f"guest-{guest.domid}".encode()


# The length word of header i, and the type's.
LENGTH, TYPE = 12, 0


@pytest.mark.long
@pytest.mark.parametrize("word, values", [
    ("length", (0, 4096)), ("length", (16, 1008)), ("length", (32, 1024)), ("length", (4096, 2048)),
    ("type", (99, OURS[0])), ("type", (OURS[-1], 0xFFFFFFFF)), ("type", (15, 16))])
def test_words_that_change(flavour, word, values):
    """Lengths and types change all the time, between two good ones. All that can be seen is one or
    the other: the connection lives, and xenstored never gets a broken message."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.set_notify(NOTIFY_NEVER)
        guest.page_write(0, headers(0))
        base = TYPE if word == "type" else LENGTH
        # Only two of the headers: each word must change as often as it can.
        blows = [(base + offset, value) for value in values for offset in (0, RING // 2)]
        with guest.hammer(*blows, notify=64):
            churn(guest, 200 * RING)
        assert domain(host)["state"] == "running"
        assert lives(guest)


def test_length_that_turns_bad(flavour):
    """Between a good and a bad length: sooner or later the bad one is read, once, and that is the
    end; xenstored never sees it. Again and again, with a domain anew."""
    with scene(flavour) as host:
        for domid in range(OFFENDER, OFFENDER + 24):
            guest = host.add_guest(domid)
            guest.set_notify(NOTIFY_NEVER)
            guest.page_write(0, headers(0))
            bad = (4097, 2**31, 2**32 - 16, 2**16)[domid % 4]
            with guest.hammer((LENGTH, 0), (LENGTH, bad), notify=256):
                churn(guest, 4096 * RING)
            assert guest.error == PROTO
            ended(host, domid, WHY[PROTO])
            host.dom0.release(domid)
        assert "xenstored ended" not in host.proxy.text()


@pytest.mark.parametrize("field", INDEXES)
def test_index_that_runs(flavour, field):
    """An index that takes every value in turn, at full speed."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.set_notify(NOTIFY_NEVER)
        guest.page_write(0, headers(16))
        with guest.hammer((field, getattr(guest, field), 7), notify=16):
            assert wait_until(lambda: guest.error) == RINGIDX
            host.bystander.more(20)
        ended(host, OFFENDER, WHY[RINGIDX])


@pytest.mark.long
@pytest.mark.parametrize("fields", [("req_prod",), ("rsp_cons",), ("req_prod", "rsp_cons"),
                                    ("req_cons", "rsp_prod")])
def test_index_that_wavers(flavour, fields):
    """An index between two values that are both possible, or were: what is taken twice or skipped
    is the guest's own loss. xsproxyd keeps no index of its own, so it may also find them broken."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.set_notify(NOTIFY_NEVER)
        guest.page_write(0, headers(0, 16, 496))
        blows = [(field, guest.get(field) + by) for by in (0, 256, 1024) for field in fields]
        with guest.hammer(*blows, notify=16):
            host.bystander.more(300)
        if guest.error:
            ended(host, OFFENDER, WHY[RINGIDX])
        else:
            assert lives(guest)


def test_whole_page_at_random(flavour):
    """All words of the page at once, indexes too, with seeds that stay the same. Requests that the
    C daemon itself dies of (docs/daemons.md, "What ends a daemon") are kept out: all types are
    unknown ones."""
    with scene(flavour) as host:
        for seed in range(10):
            rand = random.Random(seed)
            domid = OFFENDER + seed
            guest = host.add_guest(domid)
            guest.set_notify(NOTIFY_NEVER)
            guest.page_write(0, headers(0, 16, 4096, types=(99, *OURS)))
            blows = [(name, rand.choice((0, 16, 1024, 2**32 - 16)), rand.choice((0, 16, 1, 1024)))
                     for name in (*INDEXES, "connection") if rand.random() < 0.6]
            blows += [(LENGTH + 16 * rand.randrange(64), rand.choice((0, 32, 4096, 4112)))
                      for _ in range(20)]
            with guest.hammer(*blows, notify=rand.choice((1, 100, 10000))):
                host.bystander.more(40)
            host.dom0.release(domid)


def test_events_at_full_speed(flavour):
    """Nothing but events. The other guest goes on, and the log stays silent."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        said = len(host.proxy.text())
        memory = Memory(host, EXPECT[flavour].watch_limit)
        with guest.hammer(notify=1):
            host.bystander.more(200)
        assert len(host.proxy.text()) == said
        memory.check()
        assert guest.read("name") == b"guest-7"


SCRIPT = (packet(WATCH, b"data\0t\0", 1) + packet(READ, b"name\0", 2) +
          packet(WRITE, b"data/v\0" + pattern(1500), 3) + packet(READ, b"data/v\0", 4))


def test_reconnect_at_every_step(flavour):
    """After every so many octets of a script, with replies read or not, finished or not: the guest
    reconnects, twice at once sometimes, and all is new."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        cuts = (*range(0, 80), *range(80, len(SCRIPT), 97), len(SCRIPT))
        for step, cut in enumerate(cuts):
            left = SCRIPT[:cut]
            while left:
                left = left[guest.push(left):]
                if step % 2:
                    guest.pull(step)
                if left and guest.req_prod - guest.req_cons == RING:
                    guest.wait_event()
            if step % 3 == 0:
                guest.connection = 1
                guest.notify()
            guest.reconnect()
            assert [guest.get(name) for name in INDEXES] == [0] * 4
            assert guest.read("domid") == b"7"
            assert not guest.events, "an event of the connection before"
        assert domain(host)["watches"] == 0
        assert not domain(host)["transactions"]


def test_reconnect_at_full_speed(flavour):
    """`connection` is set all the time, so a reconnection begins as soon as one ends."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.watch("data", "t")
        memory = Memory(host, EXPECT[flavour].watch_limit)
        said = len(host.proxy.text())
        with guest.hammer(("connection", 1), notify=8):
            host.bystander.more(100)
        memory.check()
        assert lives(guest)
        assert domain(host)["watches"] == 0
        # A few lines a minute, however often it happens.
        assert host.proxy.text()[said:].count("\n") <= 40


def test_ended_guest_stays_ended(flavour):
    """Events, indexes set right, `connection`: nothing but RELEASE brings it back."""
    with scene(flavour) as host:
        guest, where = introduce(host, OFFENDER)
        guest.push(packet(READ, length=4097))
        wait_until(lambda: guest.error)
        page = guest.page_read(RING, RING)
        with guest.hammer(("req_prod", 0), ("connection", 0), ("connection", 1), notify=8):
            host.bystander.more(50)
        assert guest.page_read(RING, RING) == page
        ended(host)
        host.dom0.introduce(OFFENDER, where.gfn, where.port)
        host.bystander.more(5)
        ended(host)
        host.dom0.release(OFFENDER)
        guest.page_write(0, bytes(4096))
        host.dom0.introduce(OFFENDER, where.gfn, where.port)
        assert guest.call(READ, b"/local/domain/7\0").req_id


def test_guest_without_event_channel(flavour):
    """It never takes an event, nor sends one after the first: what it asked is served."""
    def scenario(host):
        guest = host.add_guest(OFFENDER)
        guest.set_notify(NOTIFY_NEVER)
        guest.halt()
        host.dom0.write(f"{HOME}/data/x", "1")
        guest.run()
        guest.push(packet(READ, b"data/x\0", 5))
        guest.notify()
        return [guest.recv_message()]

    assert [msg.payload for msg in same(flavour, scenario)] == [b"1"]
