# SPDX-License-Identifier: MIT
"""What RELEASE and INTRODUCE find in the page of a guest that does not read, and leave there:
behind xsproxy whole messages; so a kernel that begins anew on it, as after a soft reset, finds its
way."""

import pytest

import xensim
from harness import Host
from relay import FLAVOURS, RING, introduce, packet, pattern, split, wait_until
from xsclient import READ, RESET_WATCHES, WATCH_EVENT, XsError

HOME = "/local/domain/7"

by_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


def unread(guest):
    """The octets of the page's replies and events that the guest has not read."""
    ring = guest.page()[RING:2 * RING]
    return bytes(ring[i % RING] for i in range(guest.rsp_cons, guest.rsp_prod))


def name(i, size):
    """A path of @size octets, as the guest's watch of `data` has it."""
    return f"data/{i:04}".ljust(size, "x")


def fill(host, guest, size):
    """Until the ring is full, and holds a part of an event."""
    guest.watch("data", "t")
    for i in range(RING // size + 1):
        host.dom0.write(f"{HOME}/{name(i, size)}", "1")
    wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)


def begin_anew(guest):
    """A kernel that does not look at what is in the ring; what it reads until it is answered."""
    guest.push(packet(RESET_WATCHES, b"\0", 1) + packet(READ, b"name\0", 2))
    came = []
    while not came or came[-1].req_id != 2:
        came.append(guest.recv_message())
    assert came[-1].payload == b"guest-7"
    return came


@by_flavour
@pytest.mark.parametrize("size", [30, 100, 180, 181, 250, 700])
def test_released_with_a_full_ring(flavour, size):
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        fill(host, guest, size)
        assert split(unread(guest))[1], "no part of an event is there"
        host.dom0.release(7)
        whole, rest = split(unread(guest))
        assert whole and not rest
        page = guest.page()
        xensim.home(host.dom0, 7)
        host.dom0.introduce(7, domain.gfn, domain.port)
        assert split(unread(guest))[0][:len(whole)] == whole
        assert guest.page()[:2 * RING] == page[:2 * RING]
        came = begin_anew(guest)
        assert came[:len(whole)] == whole
        assert [msg.req_id for msg in came[len(whole):]] == [1, 2]
        host.check()


def test_released_with_a_full_ring_natively():
    """The C daemon leaves a part of an event, and its INTRODUCE empties the ring."""
    with Host("C", proxied=False) as host:
        guest, domain = introduce(host, 7)
        fill(host, guest, 180)
        host.dom0.release(7)
        assert split(unread(guest))[1]
        xensim.home(host.dom0, 7)
        host.dom0.introduce(7, domain.gfn, domain.port)
        assert (guest.rsp_cons, guest.rsp_prod) == (0, 0)
        assert [msg.req_id for msg in begin_anew(guest)] == [1, 2]


def test_released_with_a_full_ring_natively_by_oxenstored():
    """It leaves the part, too, and has the port still, so there is no INTRODUCE with the same."""
    with Host("O", proxied=False) as host:
        guest, domain = introduce(host, 7)
        fill(host, guest, 180)
        host.dom0.release(7)
        assert split(unread(guest))[1]
        page = guest.page()
        xensim.home(host.dom0, 7)
        with pytest.raises(XsError, match="EINVAL"):
            host.dom0.introduce(7, domain.gfn, domain.port)
        assert guest.page() == page


@by_flavour
def test_released_while_the_event_is_being_read(flavour):
    """What the guest has begun to read is not taken back, and the log says so."""
    with Host(flavour) as host:
        guest, _ = introduce(host, 7)
        fill(host, guest, 180)
        host.dom0.control("quiesce", "7")  # so that the rest does not follow at once
        guest.rsp_cons = guest.rsp_prod - 1
        left = unread(guest)
        host.dom0.release(7)
        assert unread(guest) == left
        assert "in the middle of a message that it has begun to read" in host.proxy.text()


@by_flavour
def test_introduced_again_with_a_full_ring(flavour):
    """The page stays mapped: the rest of the event follows."""
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        fill(host, guest, 180)
        before = unread(guest)
        host.dom0.introduce(7, domain.gfn, domain.port)
        assert unread(guest) == before
        came = begin_anew(guest)
        assert [msg.type for msg in came[:-2]].count(WATCH_EVENT) == len(came) - 2 >= 5
        assert name(5, 180).encode() in came[-3].payload


@by_flavour
def test_unread_events_hold_nothing_up(flavour):
    """More than are kept for who does not read: INTRODUCE and RELEASE do not wait for them."""
    with Host(flavour) as host:
        guest, domain = introduce(host, 7)
        guest.watch("data", "t")
        for i in range(1400):
            host.dom0.write(f"{HOME}/{name(i % 700, 220)}", pattern(1, i))
        for _ in range(2):
            host.dom0.introduce(7, domain.gfn, domain.port)
        host.dom0.release(7)
        assert "did not settle" not in host.proxy.text()
        assert not split(unread(guest))[1]
        host.check()
