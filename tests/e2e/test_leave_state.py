# SPDX-License-Identifier: MIT
"""What survives xsproxyd's leaving, whichever native xenstored takes its place."""

import os
import signal
import subprocess
import threading

import pytest

import native_host
import things
from control import Control
from gate import Gate
from harness import BUILD, DAEMONS, xensim
from native_host import Behind, Native
from ours import HOLD, QUIESCE, ask, quiesce, said, unquiesce
from relay import FLAVOURS, descriptors, introduce, packet, wait_until
from supervised import Refused
from xsclient import READ, TRANSACTION_END, WRITE

RECONNECTION = 1  # of server_features
LEAVING = "a native xenstored is given all"
BEFORE = "waiting for open transactions"
AT_REST = "connections are coming to rest"


def hosts(params):
    with Behind(params, log="info") as host:
        yield host
        host.check()
        host.dump()  # shown if the test has failed


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    yield from hosts(request.param)


@pytest.fixture(name="c_host")
def c_host_fixture():
    yield from hosts("C")


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


@pytest.fixture(name="other")
def other_fixture(host):
    """Where which one follows is of no matter: the other one."""
    return {"C": "O", "O": "C"}[host.flavour]


@pytest.fixture(name="gate")
def gate_fixture(after, tmp_path):
    """The native daemon waits there, with all that it has been given."""
    return Gate(tmp_path / "gate", DAEMONS[after], xensim.XEN_BIN / DAEMONS[after])


def xsproxyctl(host, *args):
    """What it says."""
    done = subprocess.run([BUILD / "xsproxyctl", *args, "--control", host.run_dir / "control"],
                          capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def leave(host, after):
    """And xsproxyd and its keeper end: they are not needed."""
    host.leave(after)
    assert native_host.flavour_of(host.daemon.pid) == after and host.is_native()
    host.dismiss()


# --- what everybody has

@pytest.mark.parametrize("thing", things.THINGS, ids=lambda thing: thing.__name__)
def test_goes_on(host, after, thing):
    things.moved(host, [thing], lambda: leave(host, after))
    assert host.is_native()


def test_one_that_sends_and_does_not_read(host):
    """A request that is to be refused behind an answer that it does not take holds up nobody."""
    guest = host.add_guest(7)
    host.dom0.write("/local/domain/7/data/large", 2000 * "x")
    # No event is on its way when xenstored stands still: its requests are taken.
    for number in range(60):
        guest.watch("data", f"{number:0700}")
        guest.wait_watch()
    refused = packet(QUIESCE, 1100 * b"7", req_id=9)
    os.kill(host.daemon.pid, signal.SIGSTOP)
    guest.send_raw(b"".join(packet(WRITE, b"data/x\0x", req_id=1) for _ in range(8)) +
                   packet(READ, b"data/large\0", req_id=2) + refused[:16])
    wait_until(lambda: guest.req_cons == guest.req_prod)
    os.kill(host.daemon.pid, signal.SIGCONT)
    guest.send_raw(refused[16:])
    leave(host, "C")
    while guest.recv_reply().req_id != 9:
        pass
    assert guest.read("domid") == b"7"


@pytest.mark.parametrize("thing", (things.many_unread_events, things.replies_in_part,
                                   things.requests_in_part), ids=lambda thing: thing.__name__)
def test_goes_on_with_c(host, thing):
    things.moved(host, [thing], lambda: leave(host, "C"))
    assert host.is_native()


def test_a_target(c_host, after):
    """oxenstored's state does not say who has whom; it is told once it serves."""
    things.moved(c_host, [things.target], lambda: leave(c_host, after))


def test_what_a_guest_may_ask_for(host, after):
    """Of a C daemon no reconnection: firmware that asked for one would wait for ever."""
    guest = host.add_guest(7)
    guest.read("domid")
    assert bool(guest.server_features & RECONNECTION) == (host.flavour == "O")
    leave(host, after)
    guest.read("domid")
    assert bool(guest.server_features & RECONNECTION) == (after == "O")
    assert guest.read("domid") == b"7"


def test_while_xsproxyd_is_there(host, after):
    """It takes nothing that is the daemon's, and says nothing to anybody, until it ends."""
    guest, client = host.add_guest(7), host.client()
    things.watch(guest, "data", "t")
    things.watch(client, "/local/domain/7/data", "t")
    host.leave(after)
    for command, word in (("status", "xenstored   a native"), ("check", "xenstored: a native")):
        assert f"{word} one serves; this xsproxyd has left" in xsproxyctl(host, command)
    for number in range(20):
        guest.write(f"data/{number}", "1")
        assert things.event(guest) == (f"data/{number}", "t")
        assert things.event(client) == (f"/local/domain/7/data/{number}", "t")
    host.proxy.kill()
    things.quiet(guest, client)
    assert guest.read("domid") == b"7"


def test_all_of_it(host, after):
    """From a host that was native before, to one that is behind xsproxyd again, and back."""
    with Native(host.flavour, log="info") as native:
        def there_and_back():
            for _ in range(2):
                native.enter(after)
                leave(native, native.flavour)
        things.moved(native, things.THINGS, there_and_back)
        native.check()


# --- what is refused

def refused(host, after, why, **kwargs):
    """Nobody notices."""
    pid = host.daemon.pid
    with pytest.raises(Refused, match=why):
        host.leave(after, **kwargs)
    assert host.is_behind()
    return host.daemon.pid == pid


def test_a_transaction_is_in_the_way(host, other):
    paths = {host.add_guest(7): "data/tx", host.client(): "/tx"}
    txs = {peer: peer.start() for peer in paths}
    assert refused(host, other, "^(domain 7|python3 .pid [0-9]+, uid 0.) has an open transaction, "
                   "which would get lost; wait, or --force")
    for peer, path in paths.items():
        peer.write(path, "x", tx=txs[peer])
        peer.end(txs[peer])
        assert peer.read(path) == b"x"
    leave(host, other)


def test_a_transaction_that_ends_meanwhile(host, after):
    guest, client = host.add_guest(7), host.client()
    txs = {guest: guest.start(), client: client.start()}

    def end(stage):
        if stage == BEFORE:
            guest.write("data/tx", "x", tx=txs[guest])
            guest.end(txs[guest])
            client.send(WRITE, b"/tx\0x", tx=txs[client])
            client.send(TRANSACTION_END, b"T\0", tx=txs[client])
    host.leave(after, at=end)
    assert [client.recv_reply().type for _ in range(2)] == [WRITE, TRANSACTION_END]
    assert guest.read("data/tx") == client.read("/tx") == b"x"


@pytest.mark.long
@pytest.mark.parametrize("who", ("guest", "client"))
def test_a_transaction_by_force(host, other, who):
    """The native daemon does not know it, and nothing of it is there. Others are as ever."""
    peer = host.add_guest(7) if who == "guest" else host.client()
    path = "data/tx" if who == "guest" else "/tx"
    tx = peer.start()
    peer.write(path, "x", tx=tx)
    host.leave(other, force=True)
    assert said(peer.end, tx) in ("ENOENT", "EIO")
    assert not peer.exists(path)
    things.moved(host, [things.transactions], lambda: None)


@pytest.mark.parametrize("thing", (things.many_unread_events, things.replies_in_part,
                                   things.requests_in_part), ids=lambda thing: thing.__name__)
def test_what_oxenstored_cannot_have(host, thing):
    """xenstored is not even asked, and xsproxyd can be asked again."""
    def try_it():
        assert refused(host, "O", "(domain [34][0-9]|python3 .*) has sent a request in part, or "
                       "does not take what it is to get, and oxenstored has no place for that")
    things.moved(host, [thing], try_it)
    leave(host, "O")


@pytest.mark.parametrize("thing", (things.many_unread_events, things.replies_in_part,
                                   things.requests_in_part), ids=lambda thing: thing.__name__)
def test_what_oxenstored_turns_out_not_to_have(host, thing):
    """It may come when xenstored is being asked already."""
    def try_it():
        assert not refused(host, "O", "oxenstored has no place for what d[34][0-9] has sent in "
                           "part, or is to get yet", whole=False)
    things.moved(host, [thing], try_it)
    leave(host, "O")


@pytest.mark.parametrize("thing", (things.many_unread_events, things.replies_in_part,
                                   things.requests_in_part), ids=lambda thing: thing.__name__)
def test_what_becomes_whole_meanwhile(host, thing):
    """Who goes on is not in the way: clients are heard until all is whole, and guests, which are
    asked for nothing else from then on, until they take no more."""
    scene = thing(host)
    next(scene)
    guest = host.add_guest(7)
    went_on = []

    def go_on(stage):
        if stage == BEFORE:
            went_on.append(threading.Thread(target=things.ended, args=[scene]))
            went_on[0].start()
    host.leave("O", at=go_on)
    went_on[0].join()
    host.dismiss()
    assert guest.read("domid") == b"7"


def test_who_goes_on_at_rest(host):
    """The rest of a request, and what a full ring has no room for, when no other is taken."""
    guests = [host.add_guest(domid) for domid in (7, 8)]
    scene = things.replies_in_part(host)
    next(scene)
    request = packet(WRITE, b"data/half\0value", req_id=5)
    guests[0].send_raw(request[:20])
    host.dom0.directory("/")
    at_rest = []

    def go_on(stage):
        if stage != AT_REST:
            return
        guests[0].send_raw(request[20:])
        guests[1].send(READ, b"domid\0", req_id=6)
        at_rest.append(threading.Thread(target=things.ended, args=[scene]))
        at_rest[0].start()
    host.leave("O", at=go_on)
    at_rest[0].join()
    host.dismiss()
    assert guests[0].recv_reply().type == WRITE
    assert guests[1].recv_reply().payload == b"8"
    assert host.dom0.read("/local/domain/7/data/half") == b"value"


def test_who_does_not_read(host, other):
    def try_it():
        assert refused(host, other, "^python3 .pid .*has sent more than it takes the answers of")
    things.moved(host, [things.many_unread_replies], try_it)
    leave(host, other)


def test_who_stands_still(host, other):
    guest = host.add_guest(7)
    quiesce(host.dom0, 7)
    assert refused(host, other, "a domain is quiesced or held")
    unquiesce(host.dom0, 7)
    assert ask(host.dom0, HOLD, 9) == b"OK\0"
    assert refused(host, other, "a domain is quiesced or held")
    unquiesce(host.dom0, 9)
    assert guest.read("domid") == b"7"
    leave(host, other)
    assert guest.read("domid") == b"7"


def test_a_frame_that_nobody_knows(c_host):
    """oxenstored could not map the ring, and the domain would be gone."""
    guest = c_host.add_guest(7)
    c_host.dom0.rm("/local/domain/7/store/ring-ref")
    assert not refused(c_host, "O", "domain 7|d7")
    assert guest.read("domid") == b"7"
    leave(c_host, "C")
    assert guest.read("domid") == b"7"


@pytest.mark.parametrize("what, why", ((b"\0", "cannot start .*: Exec format error"),
                                       (None, "cannot start .*: No such file")))
def test_no_daemon(host, after, tmp_path, what, why):
    guest = host.add_guest(7)
    things.watch(guest, "data", "t")
    path = tmp_path / DAEMONS[after]
    if what:
        path.write_bytes(what)
        path.chmod(0o755)
    assert not refused(host, after, why, path=str(path))
    things.quiet(guest)
    leave(host, after)
    things.quiet(guest)


def test_without_a_keeper(host, other):
    host.keeper.kill()
    wait_until(lambda: "the keeper is gone" in host.proxy.text())
    assert refused(host, other, "there is no keeper")


# --- what happens meanwhile

def leave_with(host, after, gate, meanwhile):
    """@meanwhile happens while the native daemon has everything, and does not serve yet."""
    def at(stage):
        if stage == LEAVING:
            wait_until(lambda: native_host.executes(host.daemon.pid, gate.path))
            meanwhile()
            gate.open()
    host.leave(after, at=at, path=str(gate.path))
    wait_until(host.is_native)


@pytest.fixture(params=(LEAVING, "xenstored was asked"), ids=("leaving", "asked"), name="when")
def when_fixture(request):
    return request.param


def test_requests_meanwhile(host, after, gate, when):
    scene = things.requests_meanwhile(host)
    next(scene)

    def at(stage):
        if stage.startswith(when):
            next(scene)
        if stage == LEAVING:
            gate.open()
    host.leave(after, at=at, path=str(gate.path))
    things.ended(scene)


def test_a_client_goes(host, after, gate):
    scene = things.a_client_goes(host)
    next(scene)
    leave_with(host, after, gate, lambda: next(scene))
    things.ended(scene)


@pytest.mark.parametrize("how", ("shutdown", "destroy"))
def test_a_domain_dies(host, after, gate, how):
    """And others after it. oxenstored is told of the first one with the next one, as ever."""
    guests = {domid: host.add_guest(domid) for domid in (7, 8)}
    watcher = host.client()
    things.watch(watcher, "@releaseDomain", "t")
    leave_with(host, after, gate, lambda: getattr(host.sim, how)(7))
    host.dismiss()  # it has mapped their pages still
    host.sim.destroy(8)
    assert watcher.wait_event(path="@releaseDomain")
    wait_until(lambda: not host.dom0.is_introduced(8))
    if how == "destroy":
        wait_until(lambda: not host.dom0.is_introduced(7))
        assert host.add_guest(7).read("domid") == b"7"
    else:
        assert guests[7].read("domid") == b"7"


def test_a_domain_is_made(host, after):
    domain = host.sim.create(7)
    watcher = host.client()
    things.watch(watcher, "@introduceDomain", "t")
    leave(host, after)
    things.quiet(watcher)
    xensim.home(host.dom0, 7)
    host.dom0.introduce(7, domain.gfn, domain.port)
    assert things.event(watcher) == ("@introduceDomain", "t")
    assert host.guest(7).read("domid") == b"7"
    introduce(host, 8)
    assert things.event(watcher) == ("@introduceDomain", "t")
    host.dom0.release(7)
    assert not host.dom0.is_introduced(7)


# --- afterwards

def test_an_xsproxyd_that_comes_later(host, after):
    """It touches nothing, however often it is started, until it is to enter."""
    guest, client = host.add_guest(7), host.client()
    things.watch(client, "/x", "t")
    leave(host, after)
    for _ in range(2):
        host.start_proxy()
        with Control(host) as control:
            assert control.run("status")["state"] == "waiting"
        assert guest.read("domid") == b"7" and host.is_native()
        with host.client() as new:
            new.write("/x", "1")
        assert things.event(client) == ("/x", "t")
        host.proxy.kill()
    host.dismiss()
    host.enter(host.flavour)
    assert guest.read("domid") == b"7" and host.is_behind()
    host.dom0.write("/x", "2")
    assert things.event(client) == ("/x", "t")
    things.quiet(client)


def test_there_and_back(host, after):
    """And once more: xsproxyd is started anew, for the one that has left is nobody's any more."""
    guest, client = host.add_guest(7), host.client()
    guest.watch("data", "t")
    guest.wait_watch()
    client.watch("/local/domain/7/data", "c")
    client.wait_event()
    for daemon in (after, "C", "O"):
        host.leave(daemon)
        assert host.is_native()
        host.dismiss()
        guest.write("data/native", daemon)
        assert guest.wait_watch().path == "data/native"
        assert client.wait_event().path == "/local/domain/7/data/native"
        host.enter(after)
        assert host.is_behind()
        guest.write("data/behind", daemon)
        assert guest.wait_watch().path == "data/behind"
        assert client.wait_event().path == "/local/domain/7/data/behind"


def test_nothing_is_left(host, after):
    """Of all that was handed to and fro: no descriptor in the daemon, no page of who has gone."""
    def descriptors_of_native():
        leave(host, after)
        host.dom0.directory("/")
        found = list(descriptors(host.daemon).values())
        assert not [name for name in found if "memfd" in name or "xsproxy" in name], found
        return len(found)
    host.add_guest(7)
    clients = [host.client() for _ in range(5)]
    for client in clients:
        things.watch(client, "/x", "t")
    before = descriptors_of_native()
    for _ in range(2):
        host.enter(host.flavour)
        assert descriptors_of_native() == before
    host.sim.destroy(7)
    wait_until(lambda: not host.dom0.is_introduced(7))
    wait_until(lambda: not host.sim.zombies())
