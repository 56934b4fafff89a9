# SPDX-License-Identifier: MIT
"""What survives an exchange of xenstored, whichever daemon takes the place of which: of each kind
of thing that a connection can have or be in the middle of."""

import re
import threading

import pytest

from control import Control
from harness import xensim
from ours import (HOLD, ask, events_until_now, quiesce, said, tracked_transactions,
                  tracked_watches, unquiesce)
from relay import FLAVOURS, introduce, packet, wait_until
from supervised import Refused, Supervised
from xsclient import READ, WATCH, WRITE, join

EVENTS = 500  # with their long paths more than is kept for who does not read, otherwise
LONG = 600


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param, log="info") as host:
        yield host
        host.check()


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


def test_all_goes_on(host, after):
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    guest.watch("data", "token")
    assert guest.wait_watch().path == "data"
    client = host.client()
    client.watch("/local/domain/7/data", "toolstack")
    client.wait_event()
    pid = host.daemon.pid
    host.replace(after)
    assert host.daemon.pid != pid
    assert guest.read("data/x") == b"1"
    guest.write("data/y", "2")
    assert guest.wait_watch().path == "data/y"
    assert client.wait_event().path == "/local/domain/7/data/y"
    assert client.read("/local/domain/7/data/y") == b"2"


def test_twice_and_back(host, after):
    """Also what the daemon that is exchanged has from the one before."""
    guest = host.add_guest(7)
    guest.watch("data", "t")
    guest.wait_watch()
    for daemon in (after, host.flavour, after):
        host.replace(daemon)
        guest.write("data/x", daemon)
        assert guest.wait_watch() == ("data/x", "t")
        assert events_until_now(guest) == []
    assert tracked_watches(host.dom0, 7) == [("data", "t")]


def test_requests_in_part(host, after):
    """A guest and a client halfway through a request, in its header and in its payload."""
    whole = packet(WRITE, b"data/half\0value", req_id=5)
    guests = {domid: host.add_guest(domid) for domid in (7, 8)}
    for cut, guest in zip((10, 24), guests.values()):
        guest.send_raw(whole[:cut])
    request = packet(READ, b"/local/domain/7/data/half\0", req_id=9)
    clients = [host.client() for _ in range(2)]
    for cut, client in zip((10, 24), clients):
        client.directory("/")
        client.send_raw(request[:cut])
    host.replace(after)
    for cut, guest in zip((10, 24), guests.values()):
        guest.send_raw(whole[cut:])
        assert guest.recv_reply().req_id == 5
    for cut, client in zip((10, 24), clients):
        client.send_raw(request[cut:])
        reply = client.recv_reply()
        assert (reply.req_id, reply.payload) == (9, b"value")


def test_transactions(host, after):
    """They conflict; until then they are there, and see the store as it is."""
    guest = host.add_guest(7)
    for who, path in ((guest, "data/tx"), (host.dom0, "/tx")):
        txs = [who.start() for _ in range(3)]
        who.write(path, "inside", tx=txs[0])
        who.write(path, "outside")
        host.replace(after)
        assert who.read(path, tx=txs[1]) == b"outside"
        assert said(who.end, txs[0]) == "EAGAIN"
        assert said(who.end, txs[1], commit=False) is None
        assert said(who.read, path, tx=txs[0]) in ("ENOENT", "EIO")
        tx = who.start()
        assert tx not in txs
        who.write(path, "again", tx=tx)
        who.end(tx)
        assert who.read(path) == b"again"
        assert said(who.end, txs[2]) == "EAGAIN"
        host.replace(host.flavour)
    assert tracked_transactions(host.dom0, 7) == set()


def test_nobody_reads(host, after):
    """A guest and a client with thousands of events that they have not read: each comes once."""
    guest, client = host.add_guest(7), host.client()
    guest.watch("data", "t")
    guest.wait_watch()
    client.watch("/local/domain/7/data", "t")
    client.wait_event()
    for number in range(EVENTS):
        host.dom0.write(f"/local/domain/7/data/{number:0{LONG}}", "x")
    host.replace(after)
    for number in range(EVENTS):
        assert client.wait_event() == (f"/local/domain/7/data/{number:0{LONG}}", "t")
        assert guest.wait_watch() == (f"data/{number:0{LONG}}", "t")
    assert events_until_now(guest) == []


def test_quiesced_held_leased(host, after):
    guests = {domid: host.add_guest(domid) for domid in (17, 18)}
    quiesce(host.dom0, 17)
    control = Control(host)
    control.run("quiesce", domid=18, lease=True)
    assert ask(host.dom0, HOLD, 19) == b"OK\0"
    for guest in guests.values():
        guest.send(READ, b"domid\0", req_id=1)
    pages = {domid: guest.page() for domid, guest in guests.items()}
    host.replace(after)
    late, _ = introduce(host, 19, lambda guest: guest.send(READ, b"domid\0", req_id=2))
    host.dom0.directory("/")
    assert {domid: guest.page() for domid, guest in guests.items()} == pages
    assert late.get("rsp_prod") == 0
    unquiesce(host.dom0, 17)
    unquiesce(host.dom0, 19)
    control.close()
    assert {guests[17].recv_reply().req_id, guests[18].recv_reply().req_id} == {1}
    assert late.recv_reply().req_id == 2


def test_domains_come_and_go(host, after):
    """INTRODUCE, RELEASE and death are as ever afterwards; one that died meanwhile is gone."""
    host.may_start.clear()
    guests = {domid: introduce(host, domid) for domid in (7, 8, 9)}
    watcher = host.client()
    for special in ("@introduceDomain", "@releaseDomain"):
        watcher.watch(special, special)
        watcher.wait_event()

    def destroy():
        host.sim.destroy(9)
        host.may_start.set()
    replace_with(host, after, destroy)
    wait_until(lambda: not host.dom0.is_introduced(9))
    assert watcher.wait_event(path="@releaseDomain")
    introduce(host, 10)
    assert watcher.wait_event(path="@introduceDomain")
    host.dom0.release(8)
    assert watcher.wait_event(path="@releaseDomain")
    host.sim.destroy(7)
    wait_until(lambda: not host.dom0.is_introduced(7))
    assert host.dom0.is_introduced(10) and not host.dom0.is_introduced(8)
    guest, domain = guests[8]
    guest.close()
    host.dom0.introduce(8, domain.gfn, domain.port)
    assert host.guest(8).get_domain_path(8) == "/local/domain/8"


@pytest.mark.parametrize("how", ("shutdown", "destroy"))
def test_end_is_told(host, after, how):
    """Who waits for the end of domains is told of one, and so is who watches its nodes."""
    host.add_guest(7)
    watcher = host.client()
    for path in ("@releaseDomain", "/local/domain/7/data"):
        watcher.watch(path, "t")
        watcher.wait_event()
    host.may_start.clear()

    def end():
        getattr(host.sim, how)(7)
        host.may_start.set()
    replace_with(host, after, end)
    assert watcher.wait_event(path="@releaseDomain")
    if how == "destroy":
        assert watcher.wait_event(path="/local/domain/7/data")


def replace_with(host, after, meanwhile):
    """@meanwhile is called while there is no xenstored."""
    def wait():
        wait_until(lambda: "the state waits" in (host.sim.dir / "xsproxyd.log").read_text())
        meanwhile()
    thread = threading.Thread(target=wait)
    thread.start()
    host.replace(after)
    thread.join()


def test_client_comes_meanwhile(host, after):
    came = []

    def come():
        came.append(host.client())
        came[0].send(READ, b"/tool\0")
        host.may_start.set()
    host.may_start.clear()
    replace_with(host, after, come)
    assert came[0].recv_reply().type == READ


def test_target(host, after):
    """A stubdomain may still do what its domain may; oxenstored cannot hand that on."""
    host.add_guest(7)
    stub = host.add_guest(8)
    host.dom0.set_target(8, 7)
    stub.write("/local/domain/7/data/x", "1")
    if host.serves == "O":
        with pytest.raises(Refused, match="a stubdomain serves another domain"):
            host.replace(after)
    else:
        host.replace(after)
    stub.write("/local/domain/7/data/x", "2")
    assert host.dom0.read("/local/domain/7/data/x") == b"2"


def test_permissions(host, after):
    """Of nodes, and who may watch domains come and go."""
    guest = host.add_guest(7)
    host.add_guest(8)
    host.dom0.write("/local/domain/8/data/secret", "x")
    host.dom0.set_perms("/local/domain/8/data/secret", "n8", "r7")
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    host.replace(after)
    assert guest.read("/local/domain/8/data/secret") == b"x"
    assert host.dom0.get_perms("/local/domain/8/data/secret") == ["n8", "r7"]
    guest.watch("@releaseDomain", "t")
    guest.wait_watch()
    host.sim.destroy(8)
    assert guest.wait_watch() == ("@releaseDomain", "t")
    assert said(guest.read, "/local/domain/8/data/secret") in ("ENOENT", "EACCES")


def test_who_is_gone_stays_gone(host, after):
    """A new domain of the same number may not read what the old one could."""
    host.dom0.write("/secret", "x")
    host.add_guest(7)
    host.dom0.set_perms("/secret", "n0", "r7")
    host.sim.destroy(7)
    wait_until(lambda: not host.dom0.is_introduced(7))
    host.replace(after)
    again = host.add_guest(7)
    assert said(again.read, "/secret") == "EACCES"


def test_dom0_kernel(host, after):
    kernel = host.guest(0)
    kernel.wait_event()
    kernel.call(WATCH, join("backend", "kernel"))
    kernel.wait_watch()
    host.replace(after)
    host.dom0.write("/local/domain/0/backend/vif", "1")
    assert kernel.wait_watch() == ("backend/vif", "kernel")
    domain = host.sim.create(7)
    kernel.introduce(7, domain.gfn, domain.port)
    assert host.dom0.is_introduced(7)


def test_refused(host):
    """Nobody notices."""
    guest = host.add_guest(7)
    tx = guest.start()
    with pytest.raises(Refused, match="cannot be started"):
        host.ask("replace", **{"with": str(xensim.XEN_BIN / "nothing/xenstored")})
    assert guest.read("domid") == b"7"
    assert said(guest.end, tx) == "EAGAIN"
    with pytest.raises(Refused, match="cannot be started"):
        host.ask("replace", **{"with": str(xensim.XEN_BIN / "nothing/xenstored")})
    assert guest.read("domid") == b"7"


def test_without_a_keeper(host):
    host.keeper.kill()
    wait_until(lambda: "the keeper is gone" in host.proxy.text())
    with pytest.raises(Refused, match="there is no keeper; start xsproxy-keeper"):
        host.replace()
    assert host.add_guest(7).read("domid") == b"7"


def test_control(host):
    """What the C daemon was told for as long as it runs it knows for longer."""
    if host.flavour == "O":
        pytest.skip("oxenstored has no such command")
    for number in (50, 40):
        assert host.dom0.control("quota", "set", "watches", str(number)) == "OK"
    host.dom0.control("log", "on")
    for daemon in ("C", "O", "C"):
        host.replace(daemon)
    assert re.search(r"^watches *: *40 ", host.dom0.control("quota"), re.M)


def test_domain_that_is_being_made(host, after):
    """Its nodes are there, its ring is not: no state says whose they are."""
    host.sim.create(7)
    xensim.home(host.dom0, 7)
    with pytest.raises(Refused, match="domain 7 is being made; try again"):
        host.replace(after)
    host.sim.destroy(7)
    host.replace(after)
    assert host.dom0.read("/local/domain/7/name") == b"guest-7"


def test_a_domain_is_introduced_once_more():
    """oxenstored refuses that with another frame than it has; the C daemon had none."""
    with Supervised("C") as host:
        port, gfn = host.sim.create(7)
        host.dom0.introduce(7, gfn, port)
        host.dom0.write("/local/domain/7/store/ring-ref", str(gfn))
        host.replace("O")
        host.dom0.introduce(7, gfn, port)
        host.replace()
        host.dom0.introduce(7, gfn, port)
        assert said(host.guest(7).read, "store") == "EACCES"  # it is served
