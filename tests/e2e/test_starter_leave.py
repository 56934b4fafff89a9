# SPDX-License-Identifier: MIT
"""What the starter does when xsproxyd leaves: a daemon becomes one without the bridge, which serves
guests' own rings, xsproxyd's clients and whoever comes."""

import errno
import os
import resource

import pytest

import xensim
import xsclient
from bridge_bed import BRIDGE, BUILD, wait_until
from leaving import LISTENER, Leaver, has
from relay import descriptors
from starting import AFRESH, LEFT, UPDATE, Bed
from xsclient import HEADER, READ
from xsguest import RSP_RING

pytest_plugins = ("bridge_bed",)

PAIRS = [(before, after) for before in xensim.FLAVOURS for after in xensim.FLAVOURS]
HOME = "/local/domain/7"


@pytest.fixture(name="bed")
def a_bed(sim, tools):
    with Bed(sim, tools) as bed:
        bed.conduct()
        yield bed


def native(bed, flavour):
    return bed.sim.daemon_argv(flavour)[0]


def new_client(bed):
    return xsclient.Client(bed.sim.path(xensim.SOCKET))


def begin(bed, before, *args):
    """A daemon behind the bridge, domains 7 and 8, and one who leaves, and has all that is theirs.
    """
    bed.serving(before, *args)
    with bed.client() as client:
        bed.introduce(client, 7, 8)
        client.write("/data", "x")
        client.set_perms("/data", "n0", "r7")
    leaver = bed.stack.enter_context(Leaver(bed))
    leaver.bind(0, 7, 8)
    return leaver


def leave(bed, leaver, after, rings={}, sockets={}):
    with bed.live_update() as talk:
        assert leaver.leave(talk, talk.wanted(), native(bed, after), rings, sockets) is None
    # It was the last one that had any of it, and it serves.
    with new_client(bed) as client:
        assert client.read("/data") == b"x"


# --- what goes on

@pytest.mark.parametrize("before, after", PAIRS)
def test_rings_and_sockets_go_on(bed, before, after):
    leaver = begin(bed, before)
    watcher, other = leaver.client(), leaver.client()
    guest, kernel = bed.sim.guest(7), bed.sim.guest(0)
    # Nobody will have an event for these.
    for asker in guest, kernel, other:
        asker.send(READ, b"/data\0", req_id=5)
    leaver.drain()
    leave(bed, leaver, after,
          {0: has(watches=[("/local/domain/8", "t0")]), 7: has(watches=[("data", "t7")])},
          {0: has(watches=[(HOME, "tc"), ("@releaseDomain", "tr")])})
    for asker in guest, kernel, other:
        reply = asker.recv_reply()
        assert (reply.type, reply.req_id, reply.payload) == (READ, 5, b"x")
        assert asker.get_perms("/data") == ["n0", "r7"]
    guest.write("data/x", "1")
    assert guest.wait_watch() == ("data/x", "t7")
    assert watcher.wait_event() == (f"{HOME}/data/x", "tc")
    other.write("/local/domain/8/y", "1")
    assert kernel.wait_watch() == ("/local/domain/8/y", "t0")
    tx = guest.start()
    guest.write("data/x", "2", tx=tx)
    guest.end(tx)
    assert guest.wait_watch() == ("data/x", "t7")
    guest.unwatch("data", "t7")
    watcher.unwatch(HOME, "tc")


@pytest.mark.parametrize("before, after", PAIRS)
def test_domains_come_and_go(bed, before, after):
    leaver = begin(bed, before)
    client = leaver.client()
    leave(bed, leaver, after, {}, {0: has(watches=[("@releaseDomain", "tr")])})
    bed.sim.destroy(8)
    assert client.wait_event() == ("@releaseDomain", "tr")
    assert not client.is_introduced(8) and client.is_introduced(7)
    assert bed.sim.zombies() == []
    with bed.sim.add_guest(client, 9) as guest:
        assert guest.read("domid") == b"9"
    client.release(7)
    assert not client.is_introduced(7)


def test_a_domain_dies_meanwhile(bed):
    """The C daemon finds out by itself."""
    leaver = begin(bed, "C")
    client = leaver.client()
    with bed.live_update() as talk:
        state = talk.wanted()
        bed.sim.destroy(8)
        assert leaver.leave(talk, state, native(bed, "C"), {},
                            {0: has(watches=[("@releaseDomain", "tr")])}) is None
    assert client.wait_event() == ("@releaseDomain", "tr")
    assert not client.is_introduced(8) and not client.exists("/local/domain/8/data")
    assert bed.sim.zombies() == []


@pytest.mark.parametrize("before, after", PAIRS)
def test_nothing_is_left_of_xsproxy(bed, before, after):
    pid_file = bed.sim.dir / "pid"
    leaver = begin(bed, before, "--pid-file", pid_file)
    clients = [leaver.client() for _ in range(7)]
    pid = bed.daemon.pid
    leave(bed, leaver, after)
    assert bed.daemon.pid == pid and pid_file.read_text().strip() == str(pid)
    assert bed.proc("exe").readlink() == native(bed, after)
    reads_state = {"C": ["-U"], "O": ["--live", "--restart"]}[after]
    assert sorted(bed.argv()[1:]) == sorted(["--no-fork", "--pid-file", str(pid_file),
                                             *reads_state])
    assert BRIDGE.name not in bed.proc("maps").read_text()
    env = bed.environ()
    assert env["LD_PRELOAD"] == str(BUILD / "libxensim.so")
    assert {name for name in env if name.startswith(("XSPROXY_", "XENSTORED_"))} <= {
        "XSPROXY_DIR", "XSPROXY_STORED_DIR"}
    assert {domid: domain["bound_by"] for domid, domain in bed.sim.list().items()
            if domid} == {7: pid, 8: pid}
    links = {fd.name: link for fd, link in descriptors(bed.daemon).items() if int(fd.name) > 2}
    sockets = [name for name, link in links.items() if link.startswith("socket:")]
    # Of the C daemon's one is to its log.
    assert len(clients) + 1 <= len(sockets) <= len(clients) + 2, links
    assert not [link for link in links.values() if "memfd" in link], links
    for name in sockets:
        flags = bed.proc(f"fdinfo/{name}").read_text().split("flags:")[1].split()[0]
        assert not int(flags, 8) & os.O_NONBLOCK


@pytest.mark.parametrize("before", xensim.FLAVOURS)
def test_what_is_halfway(bed, before):
    """Requests of which a part was taken, replies of which a part was given, and whole ones."""
    leaver = begin(bed, before)
    client, unread = leaver.client(), leaver.client()
    guest = bed.sim.guest(7)
    request = HEADER.pack(READ, 6, 0, 6) + b"/data\0"
    reply = HEADER.pack(READ, 5, 0, 5) + b"first"
    more = HEADER.pack(READ, 7, 0, 6) + b"second"
    guest.push(request[:9])
    guest.set("req_cons", guest.get("req_prod"))
    guest.page_write(RSP_RING + guest.get("rsp_prod") % 1024, reply[:10])
    guest.set("rsp_prod", guest.get("rsp_prod") + 10)
    leaver.drain()
    leaver.sockets[1].send(reply[:20])
    leave(bed, leaver, "C", {7: has(request[:9], reply[10:] + more, len(reply) - 10)},
          {0: has(request[:18]), 1: has(b"", reply[20:] + more, len(reply) - 20)})
    for reader in guest, unread:
        assert [reader.recv_reply() for _ in range(2)] == [(READ, 5, 0, b"first"),
                                                           (READ, 7, 0, b"second")]
    guest.send_raw(request[9:])
    client.send_raw(request[18:])
    for reader in guest, client:
        assert reader.recv_reply() == (READ, 6, 0, b"x")


# --- what fails

def is_alone(bed):
    """It has nothing but its connection to xsproxyd; and the simulator what that never closes."""
    own = {str(bed.sim.dir), str(bed.sim.dir / "lock")}
    links = [link for fd, link in descriptors(bed.daemon).items() if int(fd.name) > 2]
    return [link.split(":")[0] for link in links if link not in own] == ["socket"]


def assert_as_it_was(bed, leaver, talk, before):
    """All of it is still the one's who wanted to leave; and a bridged daemon can go on."""
    assert not [path for path in bed.stored.iterdir() if path.suffix == ".new" or
                path.name in LEFT.values() and not path.stat().st_mtime_ns]
    assert leaver.virq_is_free()
    assert not os.get_blocking(leaver.listener.fileno())
    for sock in leaver.sockets:
        assert not os.get_blocking(sock.fileno())
    wait_until(lambda: is_alone(bed))
    with bed.sim.guest(7) as guest:
        leaver.drain()
        guest.notify()
        assert leaver.drain() == 1
    talk.restore(bed.left, bed.plan(f"daemon {native(bed, before)}"), bed.owner.memfd)
    assert talk.recv() is None, talk.octets
    assert bed.environ()["LD_PRELOAD"].startswith(str(BRIDGE))
    with bed.client() as client:
        assert client.read("/data") == b"x"


@pytest.fixture(params=xensim.FLAVOURS, name="begun")
def begun_fixture(bed, request):
    """(leaver, talk, flavour): the daemon has given its state."""
    leaver = begin(bed, request.param)
    clients = [leaver.client() for _ in range(4)]
    with bed.live_update() as talk:
        bed.left = talk.wanted()
        yield leaver, talk, request.param
    for client in clients:
        client.close()


@pytest.mark.parametrize("daemon, why", [
    ("/nonexistent/xenstored", "cannot start /nonexistent/xenstored: No such file or directory"),
    ("/etc", "cannot start /etc: it is no program"),
    (None, "neither the plan nor the command line names a daemon"),
    ("xenstored", "record 1 of the connections makes no sense")])
def test_no_such_daemon(bed, begun, daemon, why):
    leaver, talk, before = begun
    assert leaver.leave(talk, bed.left, daemon)[1] == why
    assert f"xsproxy: {why}\n" in bed.daemon.text()
    assert_as_it_was(bed, leaver, talk, before)


@pytest.mark.parametrize("name", ["xenstored", "oxenstored"])
def test_a_daemon_that_cannot_be_executed(bed, begun, name):
    """Found out when all else is done."""
    leaver, talk, before = begun
    program = bed.sim.dir / name
    program.write_bytes(b"\0")
    program.chmod(0o755)
    assert leaver.leave(talk, bed.left, program) == (
        errno.ENOEXEC, f"cannot start {program}: Exec format error")
    assert_as_it_was(bed, leaver, talk, before)


@pytest.mark.parametrize("rings, sockets, who", [
    ({7: has(b"\2")}, {}, "d7"), ({}, {2: has(b"", b"z", 1)}, "socket 2")])
def test_what_oxenstored_has_no_place_for(bed, begun, rings, sockets, who):
    leaver, talk, before = begun
    assert leaver.leave(talk, bed.left, native(bed, "O"), rings, sockets) == (
        errno.EBUSY,
        f"oxenstored has no place for what {who} has sent in part, or is to get yet")
    assert_as_it_was(bed, leaver, talk, before)


def test_a_state_that_is_none(bed, begun):
    leaver, talk, before = begun
    assert leaver.leave(talk, b"xenstore", native(bed, "C"))[0] == errno.EBADMSG
    assert_as_it_was(bed, leaver, talk, before)


def test_the_virq_is_taken(bed, begun):
    """Somebody else would have it; the C daemon would end."""
    leaver, talk, before = begun
    assert leaver.ask("bind-virq") > 0
    assert leaver.leave(talk, bed.left, native(bed, "O")) == (
        errno.EEXIST, "cannot bind VIRQ_DOM_EXC: File exists")
    leaver.ask("unbind-virq")
    assert_as_it_was(bed, leaver, talk, before)


def test_too_few_descriptors(bed, begun):
    """It may have no more than some of the sockets, and says so after the last one."""
    leaver, talk, before = begun
    limit = resource.prlimit(bed.daemon.pid, resource.RLIMIT_NOFILE)
    # 0 to 2, to xsproxyd, three of LEAVE, a socket
    resource.prlimit(bed.daemon.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
    err, why = leaver.leave(talk, bed.left, native(bed, "C"))
    assert err == errno.EMFILE and why.startswith("not all descriptors came: ")
    resource.prlimit(bed.daemon.pid, resource.RLIMIT_NOFILE, limit)
    assert_as_it_was(bed, leaver, talk, before)


@pytest.mark.parametrize("ends", ("it says something else", "it ends", "a socket too many"))
def test_xsproxyd_breaks_off(bed, begun, ends):
    """Then the next one is asked, and may leave as well."""
    leaver, talk, before = begun
    leaver.tell(talk, bed.left, leaver.conns(native(bed, before), {}, {}))
    if ends == "it ends":
        talk.close()
    else:
        if ends == "a socket too many":
            leaver.give(talk, leaver.sockets[:1])
        else:
            talk.send(AFRESH)
        assert talk.recv() is None
    with bed.conductor.accept(UPDATE) as again:
        assert leaver.leave(again, bed.left, native(bed, before)) is None
    with new_client(bed) as client:
        assert client.read("/data") == b"x"


def test_fewer_sockets_than_there_are(bed, begun):
    leaver, talk, before = begun
    leaver.tell(talk, bed.left, leaver.conns(native(bed, "C"), {}, {}), missing=1)
    talk.send(LISTENER, leaver.listener.fileno())
    assert talk.failed()[0] == errno.EMFILE
    assert_as_it_was(bed, leaver, talk, before)
