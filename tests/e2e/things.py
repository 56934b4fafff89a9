# SPDX-License-Identifier: MIT
"""What guests, dom0's kernel and clients have, or are in the middle of, when who serves them is
moved: each thing is a generator that makes it, yields while they are moved, and then looks whether
all of it is there, once.

    moved(host, THINGS, lambda: host.enter("O"))
"""

from migration import tree
from ours import events_until_now, said
from relay import packet, pattern, wait_until
from xsclient import READ, WRITE, join

BIG = 2000  # octets; all daemons take such a value
REPLIES = 300  # of BIG octets: more than a socket holds
EVENTS = 100
LONG = 300  # octets of a name
# Octets of a request: in its header, before and in its payload. A client that sends but the header
# has the C daemon wait for the rest, and for nobody else.
CUTS = (1, 15, 17, 24)
RING_CUTS = (*CUTS, 16)


def ended(scene):
    assert next(scene, "ended") == "ended"


def moved(host, things, move):
    """All of @things are there before and after @move."""
    scenes = [thing(host) for thing in things]
    for scene in scenes:
        next(scene)
    move()
    for scene in scenes:
        ended(scene)


def home(domid):
    return f"/local/domain/{domid}"


def event(peer):
    """The next one of a guest, of dom0's kernel or of a client."""
    return peer.wait_watch() if hasattr(peer, "wait_watch") else peer.wait_event()


def quiet(*peers):
    """No event has come to any of them."""
    for peer in peers:
        if hasattr(peer, "wait_watch"):
            assert events_until_now(peer) == []
        else:
            peer.directory("/")
            assert not peer.events, peer.events


def watch(peer, path, token):
    peer.watch(path, token)
    assert event(peer) == (path, token)


def watches(host):
    """No event comes that nobody has caused, each comes once, and they can be ended."""
    guest, client, kernel = host.add_guest(11), host.client(), host.guest(0)
    data = f"{home(11)}/data"
    paths = {guest: "data", client: data, kernel: data}
    for peer, path in paths.items():
        watch(peer, path, "t")
    watch(guest, data, "absolute")
    yield
    quiet(*paths)
    host.dom0.write(f"{data}/x", "1")
    for peer, path in paths.items():
        found = {event(peer) for _ in range(2 if peer is guest else 1)}
        assert found == {(f"{path}/x", "t")} | ({(f"{data}/x", "absolute")} if peer is guest
                                                else set())
        peer.unwatch(path, "t")
        assert said(peer.unwatch, path, "t") == "ENOENT"
    guest.unwatch(data, "absolute")
    host.dom0.write(f"{data}/x", "2")
    quiet(*paths)


def unread_events(host):
    """As many as a ring, or a socket, holds: each comes once, in their order."""
    guest, client = host.add_guest(21), host.client()
    for peer, path in ((guest, "data"), (client, f"{home(21)}/data")):
        watch(peer, path, "t")
    for number in range(5):
        host.dom0.write(f"{home(21)}/data/{number}", "x")
    yield
    for number in range(5):
        assert event(guest) == (f"data/{number}", "t")
        assert event(client) == (f"{home(21)}/data/{number}", "t")
    quiet(guest, client)


def many_unread_events(host):
    """More than a ring holds, and more than xsproxyd keeps for who does not read."""
    guest, client = host.add_guest(31), host.client()
    for peer, path in ((guest, "data"), (client, f"{home(31)}/data")):
        watch(peer, path, "t")
    for number in range(EVENTS):
        host.dom0.write(f"{home(31)}/data/{number:0{LONG}}", "x")
    yield
    for number in range(EVENTS):
        assert event(guest) == (f"data/{number:0{LONG}}", "t")
        assert event(client) == (f"{home(31)}/data/{number:0{LONG}}", "t")
    quiet(guest, client)


def many_unread_replies(host):
    """More than a socket holds, one of them in part, and events behind them."""
    client = host.client()
    host.dom0.write("/big", pattern(BIG))
    watch(client, "/big", "t")
    for number in range(REPLIES):
        client.send(READ, join("/big"), req_id=number)
    host.dom0.write("/big/below", "1")
    yield
    for number in range(REPLIES):
        reply = client.recv_reply()
        assert (reply.req_id, reply.payload) == (number, pattern(BIG))
    assert event(client) == ("/big/below", "t")
    quiet(client)


def replies_in_part(host):
    """A ring that is full in the middle of the first one."""
    guest = host.add_guest(32)
    guest.write("data/big", pattern(BIG))
    for number in range(3):
        guest.send(READ, join("data/big"), req_id=number)
    wait_until(lambda: guest.get("rsp_prod") - guest.get("rsp_cons") == 1024)
    yield
    for number in range(3):
        reply = guest.recv_reply()
        assert (reply.req_id, reply.payload) == (number, pattern(BIG))
    assert guest.read("domid") == b"32"


def requests_in_part(host):
    """Of guests and of clients."""
    guests = {cut: host.add_guest(40 + cut) for cut in RING_CUTS}
    clients = {cut: host.client() for cut in CUTS}
    requests = {guest: packet(WRITE, b"data/half\0value", req_id=5) for guest in guests.values()}
    for cut, client in clients.items():
        requests[client] = packet(WRITE, b"/half/%d\0value" % cut, req_id=5)
    for peers in (guests, clients):
        for cut, peer in peers.items():
            peer.send_raw(requests[peer][:cut])
    host.dom0.directory("/")
    yield
    for peers in (guests, clients):
        for cut, peer in peers.items():
            peer.send_raw(requests[peer][cut:])
            reply = peer.recv_reply()
            assert (reply.type, reply.req_id) == (WRITE, 5)
    for cut in CUTS:
        assert host.dom0.read(f"/half/{cut}") == b"value"
    for cut in RING_CUTS:
        assert host.dom0.read(f"{home(40 + cut)}/data/half") == b"value"


def store(host):
    """Values, permissions, and those of a domain that has died since, which are nobody's."""
    for domid in (51, 52):
        host.add_guest(domid)
    for path, value, perms in (
            ("/tree/octets", bytes(range(1, 256)) * 7, ("n51", "r0", "b52")),
            ("/tree/nul", b"a\0b", ("b0",)), ("/tree/empty", b"", ("w52", "n51")),
            ("/tree" + "/deep" * 40, b"x", ("n0", "r51")),
            ("/secret", b"x", ("n0", "r52"))):
        host.dom0.write(path, value)
        host.dom0.set_perms(path, *perms)
    for number in range(200):
        host.dom0.write(f"/tree/many/{number:030}", number)
    host.sim.destroy(52)
    wait_until(lambda: not host.dom0.is_introduced(52))
    before = content(host)
    yield
    assert content(host) == before
    assert said(host.add_guest(52).read, "/secret") == "EACCES"


def content(host):
    """Of what no other thing changes; the C daemon goes on showing who is dead."""
    return {path: (value, [perm for perm in perms if perm[1:] != "52"])
            for path, (value, perms) in tree(host.dom0).items()
            if path.startswith(("/tree", "/secret", home(51)))}


def who_may_watch_domains(host):
    guest, other = host.add_guest(61), host.add_guest(63)
    host.add_guest(62)
    host.dom0.set_perms("@releaseDomain", "n0", "r61")
    watch(other, "@releaseDomain", "t")
    yield
    watch(guest, "@releaseDomain", "t")
    quiet(guest)
    # Where xsproxyd cannot know whether somebody died, all who wait for that are told.
    assert set(events_until_now(other)) <= {("@releaseDomain", "t")}
    host.sim.destroy(62)
    assert event(guest) == ("@releaseDomain", "t")
    quiet(other)


def target(host):
    """A stubdomain may still do what its domain may."""
    host.add_guest(71)
    stub = host.add_guest(72)
    host.dom0.set_target(72, 71)
    stub.write(f"{home(71)}/data/x", "1")
    yield
    stub.write(f"{home(71)}/data/x", "2")
    assert host.dom0.read(f"{home(71)}/data/x") == b"2"
    other = host.add_guest(73)
    assert said(other.write, f"{home(71)}/data/x", "3") == "EACCES"


def transactions(host):
    """Those that are begun afterwards; nobody has one meanwhile."""
    guest = host.add_guest(81)
    yield
    for peer, path in ((guest, "data/tx"), (host.dom0, "/tx")):
        for commit in (False, True):
            tx = peer.start()
            peer.write(path, "x", tx=tx)
            assert not peer.exists(path)
            peer.end(tx, commit=commit)
            assert peer.exists(path) == commit


def requests_meanwhile(host):
    """Of guests, dom0's kernel and clients, also of one that comes then: each is answered once.
    They are sent when it goes on."""
    guest, kernel, client = host.add_guest(7), host.guest(0), host.client()
    host.dom0.write("/tool/x", "1")
    kernel.read("/tool/x")
    client.read("/tool/x")
    yield
    late = host.client()
    for peer in (guest, kernel, client, late):
        path = "domid" if peer is guest else "/tool/x"
        for number in range(3):
            peer.send(READ, join(path), req_id=number)
    yield
    for peer, value in ((guest, b"7"), (kernel, b"1"), (client, b"1"), (late, b"1")):
        for number in range(3):
            reply = peer.recv_reply()
            assert (reply.req_id, reply.payload) == (number, value)
    quiet(guest, kernel, client, late)


def a_client_goes(host):
    """When it goes on; another one stays."""
    goes, stays = host.client(), host.client()
    for client in (goes, stays):
        watch(client, "/x", "t")
    yield
    goes.close()
    yield
    host.dom0.write("/x", "1")
    assert event(stays) == ("/x", "t")
    quiet(stays)


# What every daemon hands over, and what oxenstored waits for the end of.
THINGS = (watches, unread_events, store, who_may_watch_domains, transactions)
OF_C = (many_unread_events, many_unread_replies, replies_in_part, requests_in_part, target)
