# SPDX-License-Identifier: MIT
"""What Xen's security advisories say a guest once did to xenstored, done again with xsproxy in
between: the same comes of it as natively, or it stops at xsproxy, and a bystander works through it
all. docs/security.md lists the advisories; those that are about a ring's indexes and lengths are
in test_hostile_ring.py, about replies and watches that pile up in test_hostile_load.py."""

import pytest

from hostile import (HOME, OFFENDER, Memory, both, domain, pipeline, replies, scene)
from ours import error_of, said
from relay import FLAVOURS, RING, destroy, introduce, packet, pattern, wait_until
from versions import EXPECT
from xsclient import (DIRECTORY, READ, RESET_WATCHES, RM, TRANSACTION_END,
                      TRANSACTION_START, WATCH, WRITE)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

FRIEND = 8


def names(messages):
    """Replies as what they are: a type, or an error's name."""
    return [error_of(msg) or msg.type for msg in messages]


def again(host, domid=OFFENDER):
    """The domain ends; another one gets its number. Its guest."""
    destroy(host, domid)
    said(host.dom0.rm, f"/local/domain/{domid}")
    return host.add_guest(domid)


def test_xsa_115_events_without_permission(flavour):
    """A guest watches what it may not read: an initial event, and then nothing."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        host.dom0.write("/secret/key", "1")
        for path in ("/secret", "/secret/key", "/secret/other", "@releaseDomain",
                     "@introduceDomain"):
            guest.watch(path, path)
        host.dom0.write("/secret/key", "2")
        host.dom0.write("/secret/other", "3")
        host.dom0.rm("/secret")
        host.add_guest(FRIEND)
        host.dom0.release(FRIEND)
        guest.write("data/x", "1")
        return sorted(guest.events)

    assert len(both(flavour, play)) == 5


def test_xsa_325_cleanup_of_a_broken_guest(flavour):
    """It breaks its ring, then ends: what it owned goes, who waits for that is told, its number
    can be used again."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        host.dom0.watch("@releaseDomain", "gone")
        assert host.dom0.wait_event().token == "gone"
        for i in range(20):
            guest.watch(f"data/{i}", "t")
            guest.write(f"data/{i}", "mine")
        guest.req_prod = guest.req_cons + 5000
        guest.notify()
        host.bystander.more(3)
        host.sim.destroy(OFFENDER)
        assert host.dom0.wait_event() == ("@releaseDomain", "gone")
        host.bystander.more(3)
        left = said(host.dom0.directory, f"{HOME}/data")
        assert not host.dom0.is_introduced(OFFENDER)
        assert not host.sim.zombies()
        said(host.dom0.rm, HOME)
        other = host.add_guest(OFFENDER)
        return left, other.read("domid"), said(other.directory, "data")

    assert both(flavour, play)[1:] == (b"7", [])


@pytest.mark.long
@pytest.mark.parametrize("deed", ["events", "transactions", "reads"])
def test_xsa_326_memory(flavour, deed):
    """Events of one's own making that one does not read; large nodes in as many transactions as
    there may be; every node read in a transaction. (Unread replies: test_hostile_load.py.)"""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, EXPECT[flavour].watch_limit)
        if deed == "events":
            replies(guest, b"".join(packet(WATCH, b"data\0%090d\0" % i) for i in range(90)), 90)
            pipeline(guest, b"".join(packet(WRITE, b"data/%03d\0" % i) for i in range(300)),
                     read=False)
            pipeline(guest, packet(RM, b"data\0"), read=False)
            wait_until(lambda: domain(host)["queued"] > 100000)
        else:
            value = pattern(1900)
            limit = EXPECT[flavour].tx_limit
            got = replies(guest, packet(TRANSACTION_START, b"\0") * limit, limit)
            for msg in got:
                tx = int(msg.payload[:-1])
                for i in range(40):
                    if deed == "transactions":
                        guest.write(f"data/{i}", value, tx=tx)
                    else:
                        guest.call(READ, b"data/%d\0" % i, tx=tx)
            assert domain(host)["transactions"] == limit
        memory.check()
        host.bystander.more(30)
        guest.reconnect()
        assert guest.read("name") == b"guest-7"
        assert domain(host)["queued"] == 0


def test_xsa_330_watches_and_resets(flavour):
    """WATCH and RESET_WATCHES without end: nothing is left of the watches before."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, 1)
        turns = 2000
        got = replies(guest, (packet(WATCH, b"data\0t\0") + packet(RESET_WATCHES, b"\0")) * turns,
                      2 * turns)
        assert {msg.type for msg in got} == {WATCH, RESET_WATCHES}
        memory.check()
        guest.watch("data", "last")
        host.dom0.write(f"{HOME}/data/x", "1")
        guest.read("name")
        assert [event for event in guest.events if event.path == "data/x"] == [("data/x", "last")]


@pytest.mark.parametrize("inside", [False, True])
def test_xsa_414_415_421_nodes_beyond_the_quota(flavour, inside):
    """Nodes with their parents up to the quota, and beyond, in a transaction or not; what fails
    leaves nothing behind, and a transaction does not add what may not be."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        tx = guest.start() if inside else 0
        octets = b"".join(packet(WRITE, b"data/%03d/a/b/c\0" % i, i, tx) for i in range(300))
        got = names(replies(guest, octets, 300))
        end = names(replies(guest, packet(TRANSACTION_END, b"T\0", tx=tx), 1))
        listed = replies(guest, packet(DIRECTORY, b"data\0"), 1)[0].payload
        nodes = sum(host.dom0.exists(f"{HOME}/data/{i:03}{tail}")
                    for i in range(240, 260) for tail in ("", "/a", "/a/b", "/a/b/c"))
        removed = names(replies(guest, packet(RM, b"data/000\0"), 1))
        return got, end, listed, nodes, removed

    got = both(flavour, play)[0]
    assert {WRITE} < set(got), "the quota was not reached"


def test_xsa_416_replies_that_keep_memory(flavour):
    """xenstored is done with a request when its reply is read: xsproxy reads it at once, whatever
    the guest does."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        guest.write("data/v", pattern(1900))
        pipeline(guest, packet(READ, b"data/v\0") * 8, read=False)
        wait_until(lambda: domain(host)["queued"] == 8 * (16 + 1900) - RING)
        assert domain(host)["requests"] == 0


def test_xsa_417_nodes_of_a_dead_domain(flavour):
    """What was granted to a domain that has gone is not the next one's with the same number; nor
    are its watches and transactions."""
    def play(host):
        friend = host.add_guest(FRIEND)
        friend.write("data/secret", "1")
        guest = host.add_guest(OFFENDER)
        friend.set_perms("data/secret", f"n{FRIEND}", f"b{OFFENDER}")
        path = f"/local/domain/{FRIEND}/data/secret"
        assert guest.read(path) == b"1"
        guest.watch(path, "old")
        tx = guest.start()
        guest.write("data/in-tx", "1", tx=tx)
        other = again(host)
        friend.write("data/secret", "2")
        result = [said(other.read, path), said(other.write, path, "3"),
                  error_of(other.call(READ, b"data/in-tx\0", tx=tx)),
                  friend.get_perms("data/secret"), list(other.events)]
        assert result[4] == []
        return result

    assert both(flavour, play)[0] == "EACCES"


def test_xsa_418_deep_nodes(flavour):
    """A path of hundreds of levels, made at once, renewed in a transaction, and removed."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        path = b"data" + b"/a" * 200 + b"\0"
        tx = guest.start()
        octets = (packet(WRITE, path + b"1") + packet(READ, path) +
                  packet(WRITE, path + b"2", tx=tx) + packet(RM, b"data/a\0", tx=tx) +
                  packet(TRANSACTION_END, b"T\0", tx=tx) + packet(RM, b"data/a\0") +
                  packet(READ, path))
        return names(replies(guest, octets, 7))

    assert both(flavour, play)[:2] == [WRITE, READ]


def test_xsa_419_cooperating_guests(flavour):
    """One makes nodes below the other's, which ends: they count for who made them, or go."""
    def play(host):
        friend = host.add_guest(FRIEND)
        result = []
        for _ in range(3):
            guest = again(host) if result else host.add_guest(OFFENDER)
            host.dom0.set_perms(f"{HOME}/data", f"n{OFFENDER}", f"b{FRIEND}")
            octets = b"".join(packet(WRITE, b"%s/data/%d\0" % (HOME.encode(), i))
                              for i in range(400))
            result.append(names(replies(friend, octets, 400)))
            result.append(said(guest.read, "data/1"))
        return result

    both(flavour, play)


def test_xsa_425_release_at_any_time(flavour):
    """RELEASE and INTRODUCE, as a soft reset does, whatever the guest has under way: unread
    replies, half a request, transactions, a target, a broken ring."""
    with scene(flavour, config="[guard]\nrelease = pass\n") as host:
        guest, where = introduce(host, OFFENDER)
        host.add_guest(FRIEND)
        for turn in range(24):
            if turn % 4 == 0:
                pipeline(guest, packet(READ, b"/local/domain/7\0") * 60, read=False)
            if turn % 3 == 0:
                guest.push(packet(WRITE, b"data", length=3000))
            if turn % 2:
                guest.push(packet(TRANSACTION_START, b"\0") * 3)
            if turn % 5 == 0:
                host.dom0.set_target(FRIEND, OFFENDER)
            if turn % 6 == 0:
                guest.req_prod += 3000
            guest.notify()
            # A target stays introduced at first; asking again is what toolstacks do.
            said(host.dom0.release, OFFENDER)
            said(host.dom0.release, OFFENDER)
            guest.page_write(2 * RING, bytes(28))
            host.dom0.introduce(OFFENDER, where.gfn, where.port)
            guest.reconnect()
            assert guest.call(READ, b"domid\0").payload in (b"7", b"ENOENT\0", b"EACCES\0")
        host.bystander.more(20)


def test_xsa_440_conflicts(flavour):
    """Two transactions that remove the same nodes, both committed; and transactions that conflict
    with their own guest's writes and with dom0's."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        result = []
        for turn in range(20):
            replies(guest, b"".join(packet(WRITE, b"data/n/%d\0" % i) for i in range(50)), 50)
            one, other = guest.start(), guest.start()
            for tx in (one, other):
                said(guest.read, "data/x", tx=tx)
                guest.rm("data/n", tx=tx)
            if turn % 2:
                (host.dom0 if turn % 4 == 1 else guest).write(f"{HOME}/data/x", turn)
            result += [said(guest.end, one), said(guest.end, other),
                       said(guest.directory, "data/n"), said(guest.read, "data/x")]
        return result

    assert "EAGAIN" in both(flavour, play)


def test_xsa_483_quotas_of_a_number_used_again(flavour):
    """Every quota is used up, then the domain ends: the next one of that number gets as much."""
    def play(host):
        result = []
        for turn in range(3):
            guest = again(host) if turn else host.add_guest(OFFENDER)
            for octets, count in (
                    (b"".join(packet(WRITE, b"data/%d\0" % i) for i in range(1100)), 1100),
                    (b"".join(packet(WATCH, b"data\0%d\0" % i) for i in range(150)), 150),
                    (packet(TRANSACTION_START, b"\0") * 20, 20)):
                got = names(replies(guest, octets, count))
                result.append([got.count(name) for name in (WRITE, WATCH, TRANSACTION_START)])
        return result

    result = both(flavour, play)
    assert result[:3] == result[3:6] == result[6:]


def test_xsa_484_reset_in_a_transaction(flavour):
    """RESET_WATCHES under the id of an open transaction, of one that has failed, of none."""
    def play(host):
        guest = host.add_guest(OFFENDER)
        result = []
        for turn in range(12):
            guest.watch("data", f"t{turn}")
            tx = guest.start()
            guest.start()
            if turn % 3 == 0:
                result.append(error_of(guest.call(READ, b"data/absent\0", tx=tx)))
            msg = guest.call(RESET_WATCHES, b"\0", tx=tx if turn % 4 else 4711)
            result.append((msg.type, error_of(msg)))
            result.append(error_of(guest.call(READ, b"name\0", tx=tx)))
            assert guest.call(RESET_WATCHES, b"\0").type == RESET_WATCHES
            guest.events.clear()
            host.dom0.write(f"{HOME}/data/x", "no event")
            result.append((said(guest.end, tx), list(guest.events)))
            if host.proxied:
                assert domain(host)["watches"] == domain(host)["transactions"] == 0
        return result

    both(flavour, play)


def test_xsa_512_reconnections(flavour):
    """Watches and a reconnection, again and again: none of them is left, here or in xenstored,
    which never sees a reconnection but a RESET_WATCHES."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, 60)
        octets = b"".join(packet(WATCH, b"data\0%d\0" % i) for i in range(60))
        for _ in range(60):
            assert {msg.type for msg in replies(guest, octets, 60)} == {WATCH}
            guest.reconnect()
            memory.check()
        guest.watch("data", "last")
        assert domain(host)["watches"] == 1
        host.dom0.write(f"{HOME}/data/x", "1")
        guest.read("name")
        assert [event for event in guest.events if event.path == "data/x"] == [("data/x", "last")]
