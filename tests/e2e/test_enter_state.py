# SPDX-License-Identifier: MIT
"""What survives xsproxyd's being put before a native xenstored, whichever daemon follows which."""

import pytest

import native_host
import things
from control import Control
from native_host import Native
from gate import Gate
from migration import ctl
from ours import quiesce, said, tracked_transactions, tracked_watches, unquiesce
from relay import FLAVOURS, introduce, wait_until
from supervised import LIVE_UPDATE, Refused
from versions import EXPECT
from xsclient import READ, TRANSACTION_START


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Native(request.param, log="info") as host:
        yield host
        host.check()


@pytest.fixture(name="c_host")
def c_host_fixture():
    with Native("C", log="info") as host:
        yield host
        host.check()


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


@pytest.fixture(name="other")
def other_fixture(host):
    """Where which one follows is of no matter: the other one."""
    return {"C": "O", "O": "C"}[host.flavour]


@pytest.fixture(name="gate")
def gate_fixture(host, tmp_path):
    """The native daemon's live update waits there."""
    gate = Gate(tmp_path / "gate", "live-update", LIVE_UPDATE)
    host.live_update = gate.path
    return gate


# --- what everybody has

@pytest.mark.parametrize("thing", things.THINGS, ids=lambda thing: thing.__name__)
def test_goes_on(host, after, thing):
    things.moved(host, [thing], lambda: host.enter(after))


@pytest.mark.parametrize("thing", things.OF_C, ids=lambda thing: thing.__name__)
def test_goes_on_from_c(c_host, after, thing):
    things.moved(c_host, [thing], lambda: c_host.enter(after))


def test_all_of_it(host, after):
    """And then it is as any host behind xsproxy: it is exchanged, and xsproxyd restarted."""
    more = things.OF_C if host.flavour == "C" else ()
    pid = host.daemon.pid

    def move():
        host.enter(after)
        assert host.is_behind() and host.daemon.pid != pid
        if host.serves == "O" and more:  # it writes nothing with a SET_TARGET
            return
        host.replace(host.flavour)
        host.proxy.kill()
        host.start_proxy()
    assert host.is_native()
    things.moved(host, (*things.THINGS, *more), move)


def test_a_daemon_in_the_foreground(after):
    """As xenstored.service of Xen starts it."""
    with Native("C", forks=False, log="info") as host:
        host.daemon.ended = True
        things.moved(host, things.THINGS, lambda: host.enter(after))


# --- who is in the way

@pytest.mark.parametrize("who", ("guest", "client"))
def test_a_transaction_is_in_the_way(host, other, who):
    """Who has it is named; nobody notices; once it has ended it can be begun anew."""
    peer = host.add_guest(7) if who == "guest" else host.client()
    watched = host.client()
    things.watch(watched, "/tx", "t")
    tx = peer.start()
    path = "data/tx" if who == "guest" else "/tx"
    peer.write(path, "x", tx=tx)
    with pytest.raises(native_host.InTheWay, match=named(host, who)):
        host.enter(other, patience=1.5)
    assert host.is_native()
    peer.end(tx)
    assert peer.read(path) == b"x"
    host.enter(other)
    assert host.is_behind() and peer.read(path) == b"x"
    if who == "client":
        assert things.event(watched) == ("/tx", "t")
    things.quiet(watched)


def named(host, who):
    if host.flavour == "O":
        return "D7: 1 tx" if who == "guest" else "A[0-9]+: 1 tx"
    return "Domain 7: [0-9]+ s" if who == "guest" else "Domain 0: [0-9]+ s"


def test_a_transaction_that_ends_meanwhile(host, after):
    """xenstored waits for it, and so does xsproxyd."""
    guest = host.add_guest(7)
    tx = guest.start()
    guest.write("data/tx", "x", tx=tx)

    def end(stage):
        if stage == native_host.WAITING:
            wait_until(lambda: host.asking.in_the_way)
            guest.end(tx)
    host.enter(after, at=end)
    assert guest.read("data/tx") == b"x"


def held_back(peer):
    """It asks for a transaction, and is not answered. It is, before the daemon has been asked, and
    before it is asked anew."""
    while True:
        peer.send(TRANSACTION_START, b"\0", req_id=5)
        peer.send(READ, b"/local/domain/7/domid\0", req_id=6)
        begun = peer.recv_reply()
        if begun.req_id == 6:
            return
        assert peer.recv_reply().req_id == 6
        peer.end(int(begun.payload.rstrip(b"\0")))


def test_transactions_that_wait_meanwhile(c_host, after):
    """While the C daemon waits for one it begins no other; these are begun by the next daemon."""
    guest, client, other = c_host.add_guest(7), c_host.client(), c_host.add_guest(8)
    client.directory("/")
    tx = other.start()

    def start(stage):
        if stage == native_host.WAITING:
            for peer in (guest, client):
                held_back(peer)
            other.end(tx)
    c_host.enter(after, at=start)
    for peer, path in ((guest, "data/tx"), (client, "/tx")):
        begun = peer.recv_reply()
        assert (begun.type, begun.req_id) == (TRANSACTION_START, 5)
        begun = int(begun.payload.rstrip(b"\0"))
        peer.write(path, "x", tx=begun)
        peer.end(begun)
        assert peer.read(path) == b"x"


@pytest.mark.parametrize("who", ("guest", "client"))
def test_a_transaction_by_force(c_host, after, who):
    """Nobody knows it any more, and nothing of it is there. Others are as ever."""
    peer = c_host.add_guest(7) if who == "guest" else c_host.client()
    path = "data/tx" if who == "guest" else "/tx"
    tx = peer.start()
    peer.write(path, "x", tx=tx)
    c_host.enter(after, force=True)
    assert said(peer.read, path, tx=tx) in ("ENOENT", "EIO")
    assert said(peer.end, tx) in ("ENOENT", "EIO")
    assert not peer.exists(path)
    again = peer.start()
    peer.write(path, "y", tx=again)
    peer.end(again)
    assert peer.read(path) == b"y"


def test_half_a_request_is_in_the_way_of_oxenstored():
    with Native("O", log="info") as host:
        guest = host.add_guest(7)
        whole = things.packet(READ, b"domid\0", req_id=5)
        guest.send_raw(whole[:18])
        with pytest.raises(native_host.InTheWay, match="^D7: |\nD7: "):
            host.enter("C", patience=1.5)
        guest.send_raw(whole[18:])
        assert guest.recv_reply().payload == b"7"
        host.enter("C")
        assert guest.read("domid") == b"7"


def test_more_watches_than_oxenstored_takes(c_host):
    """Who has them is named, and all goes on, with each of them; unless it does not matter."""
    guest, takes = c_host.add_guest(7), EXPECT["O"].watch_limit
    for number in range(takes + 1):
        guest.watch(f"data/{number}", "t")
        guest.wait_watch()
    with pytest.raises(Refused, match=f"domain 7 has {takes + 1} watches, and the other daemon "
                                      f"takes {takes}; --force"):
        c_host.enter("O", watches=takes)
    assert c_host.is_native()
    guest.write(f"data/{takes}", "x")
    assert guest.wait_watch() == (f"data/{takes}", "t")
    guest.unwatch("data/0", "t")
    c_host.enter("O", watches=takes)
    guest.write(f"data/{takes}", "y")
    assert guest.wait_watch() == (f"data/{takes}", "t")
    assert len(tracked_watches(c_host.dom0, 7)) == takes


def test_a_watch_that_xsproxyd_would_not_take(c_host, after):
    """Nobody can be in the way by one."""
    guest = c_host.add_guest(7)
    for path, token in (("data/a", "t"), ("data/b", 4080 * "t")):
        guest.watch(path, token)
        guest.wait_watch()
    c_host.enter(after)
    assert tracked_watches(c_host.dom0, 7) == [("data/a", "t")]
    assert "is lost" in (c_host.sim.dir / "xsproxyd.log").read_text()
    guest.write("data/a", "1")
    assert guest.wait_watch() == ("data/a", "t")


def test_more_watches_by_force(c_host):
    guest, takes = c_host.add_guest(7), EXPECT["O"].watch_limit
    for number in range(takes + 1):
        guest.watch(f"data/{number}", "t")
        guest.wait_watch()
    c_host.enter("O")
    assert len(tracked_watches(c_host.dom0, 7)) == takes


# --- what happens meanwhile

def enter(host, after, gate, meanwhile, until=None):
    """@meanwhile happens while the native daemon serves nobody any more, and xsproxyd nobody yet;
    @until: a stage, instead."""
    def at(stage):
        if stage == native_host.WAITING:
            wait_until(lambda: native_host.executes(host.daemon.pid, gate.path))
            if not until:
                meanwhile()
            gate.open()
        if until and until in stage:
            meanwhile()
            host.may_start.set()
    if until:
        host.may_start.clear()
    host.enter(after, at=at)


@pytest.fixture(params=(None, "the state waits"), ids=("executed", "have"), name="until")
def until_fixture(request):
    return request.param


def test_requests_meanwhile(host, after, gate, until):
    scene = things.requests_meanwhile(host)
    next(scene)
    enter(host, after, gate, lambda: next(scene), until)
    things.ended(scene)


def test_as_many_clients_as_may_wait(host, after, gate):
    """In the listener's backlog, which is the native daemon's."""
    came = []

    def come():
        for number in range(2):
            came.append(host.client())
            came[-1].send(READ, b"/tool\0", req_id=number)
    enter(host, after, gate, come)
    for number, client in enumerate(came):
        assert client.recv_reply().req_id == number


def test_a_client_goes(host, after, gate, until):
    scene = things.a_client_goes(host)
    next(scene)
    enter(host, after, gate, lambda: next(scene), until)
    things.ended(scene)


@pytest.mark.parametrize("how", ("shutdown", "destroy"))
def test_a_domain_dies(host, after, gate, until, how):
    """Who waits for the end of domains is told, and so is who watches its nodes."""
    guests = {domid: host.add_guest(domid) for domid in (7, 8)}
    watcher = host.client()
    for path in ("@releaseDomain", "/local/domain/7/data"):
        things.watch(watcher, path, "t")
    things.watch(guests[8], "data", "t")
    enter(host, after, gate, lambda: getattr(host.sim, how)(7), until)
    assert watcher.wait_event(path="@releaseDomain")
    if how == "destroy":
        assert watcher.wait_event(path="/local/domain/7/data")
        wait_until(lambda: not host.dom0.is_introduced(7))
        assert host.add_guest(7).read("domid") == b"7"
    else:
        assert guests[7].read("domid") == b"7"
    host.sim.destroy(8)
    wait_until(lambda: not host.dom0.is_introduced(8))


def test_a_guest_without_its_event_channel(host, after):
    """It has closed that itself: it stays introduced, keeps its nodes and hinders nobody."""
    host.add_guest(7)
    guest = host.add_guest(8)
    host.sim.mute(7)
    host.enter(after)
    for flavour in ("C", "O"):
        host.replace(flavour)
        assert host.dom0.is_introduced(7)
        assert host.dom0.get_perms("/local/domain/7/data")[0] == "n7"
    assert guest.read("domid") == b"8"
    host.sim.destroy(7)
    wait_until(lambda: not host.dom0.is_introduced(7))
    assert host.add_guest(7).read("domid") == b"7"


def test_a_stubdomain_dies(host, after, gate):
    """It holds on to nobody any more, and whom it has served goes on."""
    if host.flavour == "O":
        pytest.skip("as long as a domain has a target oxenstored writes no state")
    guest = host.add_guest(7)
    host.add_guest(8)
    host.dom0.set_target(8, 7)
    enter(host, after, gate, lambda: host.sim.destroy(8))
    wait_until(lambda: not host.dom0.is_introduced(8))
    assert guest.read("domid") == b"7"


def test_a_domain_is_made(host, after, gate, until):
    """It is created before, and introduced afterwards, by who has been there all the time."""
    domain = host.sim.create(7)
    watcher = host.client()
    things.watch(watcher, "@introduceDomain", "t")
    enter(host, after, gate, lambda: None, until)
    things.quiet(watcher)
    native_host.xensim.home(host.dom0, 7)
    host.dom0.introduce(7, domain.gfn, domain.port)
    assert things.event(watcher) == ("@introduceDomain", "t")
    assert host.guest(7).read("domid") == b"7"
    introduce(host, 8)
    assert things.event(watcher) == ("@introduceDomain", "t")
    host.dom0.release(7)
    assert not host.dom0.is_introduced(7)


# --- what xsproxyd knows

def test_what_is_tracked(host, after, tmp_path):
    """As if xsproxyd had seen each WATCH: it can be exported, and the guest stopped."""
    guest = host.add_guest(7)
    watches = [("data", "one"), ("data", "two"), ("/local/domain/7/control/shutdown", "three"),
               ("@introduceDomain", "four")]
    for path, token in watches:
        things.watch(guest, path, token)
    guest.unwatch("data", "two")
    del watches[1]
    host.enter(after)
    assert sorted(tracked_watches(host.dom0, 7)) == sorted(watches)
    assert tracked_transactions(host.dom0, 7) == set()
    tx = guest.start()
    assert tracked_transactions(host.dom0, 7) == {tx}
    guest.end(tx)
    quiesce(host.dom0, 7)
    guest.send(READ, b"domid\0", req_id=1)
    page = guest.page()
    host.dom0.write("/local/domain/7/data/x", "1")
    assert guest.page() == page
    unquiesce(host.dom0, 7)
    assert guest.recv_reply().req_id == 1
    assert things.event(guest) == ("data/x", "one")
    stream = tmp_path / "stream"
    ctl(host, "export", 7, "-o", stream, "--resume")
    shown = ctl(host, "show", stream).decode()
    assert all(token in shown for _, token in watches) and "two" not in shown
    guest.unwatch("data", "one")
    assert sorted(tracked_watches(host.dom0, 7)) == sorted(watches[1:])


def test_xsproxyd_is_restarted(host, after):
    """What it has of the native daemon the next one finds: clients, and where they come to."""
    guest, client = host.add_guest(7), host.client()
    things.watch(guest, "data", "t")
    things.watch(client, "/local/domain/7/data", "t")
    host.enter(after)
    for restarted in (True, False):
        assert host.client().directory("/")
        host.dom0.write("/local/domain/7/data/x", "1")
        assert things.event(guest) == ("data/x", "t")
        assert things.event(client) == ("/local/domain/7/data/x", "t")
        things.quiet(guest, client)
        if restarted:
            host.proxy.kill()
            host.start_proxy()


def test_status(host, after):
    host.add_guest(7)
    host.add_guest(8)
    pause = host.enter(after)
    with Control(host) as control:
        status = control.run("status")
        assert (status["state"], status["exchange"]) == ("running", None)
        assert status["xenstored"] == {"name": native_host.DAEMONS[after], "pid": host.daemon.pid}
        last = status["last_exchange"]
        assert (last["outcome"], last["why"], last["pause_ms"]) == ("done", None, pause)
        assert control.state(7) == control.state(8) == "running"
    assert host.stages[0] == native_host.WAITING


def test_it_is_there_once(host):
    """Nothing is entered twice, and what is native is not replaced."""
    host.prepare()
    with pytest.raises(Refused, match="there is no xenstored with the bridge"):
        host.ask("replace")
    host.enter()
    with pytest.raises(Refused, match="there is a xenstored with the bridge already"):
        host.ask("enter", native="/usr/sbin/xenstored", **{"with": ""})
    assert host.add_guest(7).read("domid") == b"7"
