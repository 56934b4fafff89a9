# SPDX-License-Identifier: MIT
"""The simulator itself: what it models of Xen, and that both daemons run on it unmodified."""

import errno
import os
import signal
import subprocess
import time

import pytest
import xsclient
import xsguest
from dom0proc import Dom0Proc
from xensim import BUILD, FLAVOURS, SimError, XenSim, home, wait_readable
from xsclient import Event, Timeout, XsError

VIRQ_DOM_EXC = 3
QUIET = 0.05  # how long silence is listened to


@pytest.fixture
def sim():
    with XenSim() as machine:
        yield machine


@pytest.fixture
def proc(sim):
    with Dom0Proc(sim) as process:
        yield process


@pytest.fixture(params=FLAVOURS)
def daemon(sim, request):
    process = sim.start_daemon(request.param)
    process.flavour = request.param
    yield process
    sim.check()


@pytest.fixture
def dom0(sim, daemon):
    with sim.client() as client:
        yield client


class Handle:
    """An event channel handle of a Dom0Proc."""

    def __init__(self, proc, flags=0):
        self.proc = proc
        self.xce = proc.call("xenevtchn_open", None, flags)
        self.fd = proc.call("xenevtchn_fd", self.xce)

    def bind(self, domid, port):
        return self.proc.call("xenevtchn_bind_interdomain", self.xce, domid, port)

    def bind_virq(self, virq=VIRQ_DOM_EXC):
        return self.proc.call("xenevtchn_bind_virq", self.xce, virq)

    def unbind(self, port):
        self.proc.call("xenevtchn_unbind", self.xce, port)

    def notify(self, port):
        self.proc.call("xenevtchn_notify", self.xce, port)

    def readable(self, timeout=0):
        return self.proc.readable(self.fd, timeout)

    def pending(self):
        return self.proc.call("xenevtchn_pending", self.xce)

    def unmask(self, port):
        self.proc.call("xenevtchn_unmask", self.xce, port)

    def take(self):
        """Read a port that must be there, and unmask it."""
        assert self.readable(5)
        port = self.pending()
        self.unmask(port)
        return port

    def close(self):
        self.proc.call("xenevtchn_close", self.xce)


def fails(number, function, *args):
    with pytest.raises(OSError) as info:
        function(*args)
    assert info.value.errno == number, info.value


def no_event(guest):
    with pytest.raises(Timeout):
        guest.wait_event(QUIET)


# The xensim command.


def test_command_errors(sim):
    def run(*args, status):
        done = subprocess.run([BUILD / "xensim", *args], capture_output=True, text=True,
                              check=False, env={})
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith("xensim: ") and done.stderr.count("\n") == 1
    run(status=2)
    run("list", status=2)
    run("-d", "relative", "list", status=2)
    run("-d", sim.dir, "create", status=2)
    run("-d", sim.dir, "create", "x", status=2)
    run("-d", sim.dir, "create", "9-8", status=2)
    run("-d", sim.dir, "create", "40000", status=2)
    run("-d", sim.dir, "shutdown", "-r", "boredom", "7", status=2)
    run("-d", sim.dir, "frobnicate", "7", status=2)
    run("-d", sim.dir, "destroy", "7", status=1)
    run("-d", sim.dir, "shutdown", "7", status=1)
    run("-d", sim.dir, "destroy", "0", status=1)
    run("-d", sim.dir, "create", "0", status=1)
    run("-d", sim.dir, "init", status=1)
    run("-d", "/nonexistent/machine", "list", status=1)
    run("-d", "/tmp/" + "x" * 100, "init", status=1)


def test_domain_states(sim):
    first = sim.create(7)
    with pytest.raises(SimError, match="create 7: File exists"):
        sim.create(7)
    dom = sim.list()[7]
    assert (dom["state"], dom["port"], dom["maps"]) == ("running", "unbound", 0)
    sim.shutdown(7, "suspend")
    assert (sim.list()[7]["state"], sim.list()[7]["reason"]) == ("shutdown", "suspend")
    sim.resume(7)
    assert sim.list()[7]["state"] == "running"
    sim.destroy(7)
    assert list(sim.list()) == [0]
    assert sim.create(7) == first


def test_killed_in_the_middle(sim):
    """Whoever is killed, holding the lock or not, the machine goes on."""
    for _ in range(10):
        argv = [BUILD / "xensim", "-d", sim.dir, "create", "1-20000"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as creator:
            creator.stdout.readline()
            creator.kill()
        domids = [domid for domid in sim.list() if domid]
        assert domids == list(range(1, len(domids) + 1))
        sim.destroy(f"1-{len(domids)}")
    assert list(sim.list()) == [0]


def test_creation_is_fast(sim):
    start = time.monotonic()
    doms = sim.create_range(1, 2000)
    assert len(doms) == 2000 and len({dom.gfn for dom in doms.values()}) == 2000
    assert time.monotonic() - start < 4
    assert len(sim.list()) == 2001
    sim.destroy("1-2000")
    assert list(sim.list()) == [0]
    assert os.listdir(sim.dir / "pages") == ["0.1"]


# Event channels.


def test_events_coalesce_and_mask(sim, proc):
    port, _ = sim.create(7)
    handle = Handle(proc)
    local = handle.bind(7, port)
    with sim.guest(7) as guest:
        assert handle.take() == local, "binding makes our own port pending"
        no_event(guest)
        assert not handle.readable()

        guest.notify()
        guest.notify()
        assert handle.readable() and handle.readable(), "level-triggered"
        assert handle.pending() == local
        assert not handle.readable(), "coalesced"
        handle.unmask(local)
        assert not handle.readable(), "coalesced, not remembered twice"

        guest.notify()
        assert handle.pending() == local
        guest.notify()
        guest.notify()
        assert not handle.readable(), "masked"
        handle.unmask(local)
        assert handle.pending() == local, "remembered while masked"
        handle.unmask(local)
        assert not handle.readable()

        handle.notify(local)
        handle.notify(local)
        guest.wait_event()
        no_event(guest)


def test_bind_errors(sim, proc):
    port, _ = sim.create(7)
    handle = Handle(proc)
    fails(errno.ESRCH, handle.bind, 8, port)
    fails(errno.EINVAL, handle.bind, 7, port + 1)
    fails(errno.EINVAL, handle.bind, 7, 0)
    fails(errno.EINVAL, handle.bind, 7, 99999)
    local = handle.bind(7, port)
    fails(errno.EINVAL, handle.bind, 7, port)
    with Dom0Proc(sim) as other:
        fails(errno.EINVAL, Handle(other).bind, 7, port)
        fails(errno.ENOTCONN, Handle(other).notify, local)
        fails(errno.ENOTCONN, Handle(other).unbind, local)
    fails(errno.ENOTCONN, handle.notify, local + 1)
    handle.unbind(local)
    fails(errno.ENOTCONN, handle.notify, local)
    assert handle.bind(7, port) == local, "the lowest free port"
    proc.call("xenevtchn_restrict", handle.xce, 7)
    fails(errno.EACCES, handle.bind, 0, port)
    fails(errno.EACCES, handle.bind_virq)


@pytest.mark.parametrize("how", ["unbind", "close", "exit", "kill"])
def test_unbound_and_bound_again(sim, how):
    port, _ = sim.create(7)
    with Dom0Proc(sim) as first, Dom0Proc(sim) as second, sim.guest(7) as guest:
        old, new = Handle(first), Handle(second)
        local = old.bind(7, port)
        assert old.take() == local
        if how == "unbind":
            old.unbind(local)
        elif how == "close":
            old.close()
        elif how == "exit":
            first.process.stdin.close()
            first.process.wait()
        else:
            first.process.kill()
            first.process.wait()
        guest.notify()  # lost, without an error
        if how != "kill":
            assert sim.list()[7]["port"] == "unbound"
        local = new.bind(7, port)
        assert new.take() == local, "the binder's own port is pending once"
        assert not new.readable()
        no_event(guest)
        new.notify(local)
        guest.wait_event()
        guest.notify()
        assert new.take() == local


def test_descriptor_survives_in_child(sim, proc):
    """The channel lives as long as any process has the descriptor."""
    port, _ = sim.create(7)
    handle = Handle(proc, flags=1)
    handle.bind(7, port)
    child = proc.fork()
    with Dom0Proc(sim) as other:
        os.kill(proc.pid, signal.SIGSTOP)
        fails(errno.EINVAL, Handle(other).bind, 7, port)
        end_of_child = os.pidfd_open(child)
        os.kill(child, signal.SIGKILL)
        wait_readable(end_of_child)
        os.close(end_of_child)
        fails(errno.EINVAL, Handle(other).bind, 7, port)
        proc.process.kill()
        proc.process.wait()
        Handle(other).bind(7, port)


def test_fdopen(sim, proc):
    port, _ = sim.create(7)
    handle = Handle(proc)
    local = handle.bind(7, port)
    again = proc.call("xenevtchn_fdopen", None, handle.fd, 0)
    assert proc.call("xenevtchn_pending", again) == local
    proc.call("xenevtchn_unmask", again, local)
    with sim.guest(7) as guest:
        proc.call("xenevtchn_notify", again, local)
        guest.wait_event()
    fails(errno.EINVAL, proc.call, "xenevtchn_fdopen", None, 0, 0)
    fails(errno.EINVAL, proc.call, "xenevtchn_fdopen", None, handle.fd, 1)


def test_virq(sim, proc):
    handle = Handle(proc)
    virq = handle.bind_virq()
    fails(errno.EEXIST, handle.bind_virq)
    with Dom0Proc(sim) as other:
        fails(errno.EEXIST, Handle(other).bind_virq)
    sim.create(7)
    assert not handle.readable(), "not for a creation"
    sim.shutdown(7)
    assert handle.take() == virq
    sim.destroy(7)
    assert handle.take() == virq
    proc.close()
    with Dom0Proc(sim) as other:
        assert Handle(other).bind_virq() > 0


def test_many_ports_on_one_handle(sim, proc):
    doms = sim.create_range(1, 1000)
    handle = Handle(proc)
    locals_ = [handle.bind(domid, dom.port) for domid, dom in doms.items()]
    assert len(set(locals_)) == 1000
    assert sorted(handle.take() for _ in locals_) == sorted(locals_)
    assert not handle.readable()
    guests = [sim.guest(domid) for domid in doms]
    try:
        for guest in guests:
            guest.notify()
            guest.notify()
        assert sorted(handle.take() for _ in locals_) == sorted(locals_)
        assert not handle.readable()
        for local in locals_:
            handle.notify(local)
        for guest in guests:
            guest.wait_event()
    finally:
        for guest in guests:
            guest.close()


# Guests.


def test_guest_stops_and_starts(sim, proc):
    port, _ = sim.create(7)
    handle = Handle(proc)
    local = handle.bind(7, port)
    guest = sim.guest(7)
    fails(errno.EBUSY, sim.guest, 7)
    guest.halt()
    fails(errno.ENOTCONN, guest.notify)
    handle.notify(local)
    guest.run()
    guest.wait_event()
    guest.close()
    handle.notify(local)
    with sim.guest(7) as guest:
        guest.wait_event()
        sim.destroy(7)
        fails(errno.ENOTCONN, guest.notify)
        guest.halt()
        sim.create(7)
        fails(errno.ESRCH, guest.run)
        guest.page_write(0, b"late")
        with sim.guest(7) as successor:
            assert successor.page() == bytes(4096)
    fails(errno.ESRCH, sim.guest, 8)


def test_guest_killed(sim):
    """A guest's process is no domain: its port stays bound, and another may play on."""
    sim.create(7)
    with Dom0Proc(sim) as proc:
        handle = Handle(proc)
        local = handle.bind(7, 1)
        assert handle.take() == local
        player = subprocess.Popen([BUILD / "xsguest", "-d", sim.dir, "7", "read domid"],
                                  stdout=subprocess.PIPE)
        with player:
            assert handle.take() == local
            player.kill()
        handle.notify(local)
        with sim.guest(7) as guest:
            assert guest.req_prod >= 16, "at least the header was sent"
            guest.wait_event()
            assert sim.list()[7]["port"] == "bound"


# Mappings and zombies.


def test_grants(sim, proc):
    sim.create(7)
    sim.create(8)
    xgt = proc.call("xengnttab_open", None, 0)
    assert proc.call("xengnttab_set_max_grants", xgt, 32752) == 0
    page = proc.call("xengnttab_map_grant_ref", xgt, 7, 1, 3)
    with sim.guest(7) as guest:
        guest.page_write(0, b"A")
        assert proc.peek(page) == ord("A")
        proc.poke(page + 4095, ord("Z"))
        assert guest.page()[4095:] == b"Z"
    for domid, ref in ((9, 1), (7, 0), (7, 2)):
        fails(errno.EINVAL, proc.call, "xengnttab_map_grant_ref", xgt, domid, ref, 3)
    fails(errno.EINVAL, proc.call, "xengnttab_unmap", xgt, page + 4096, 1)
    assert sim.list()[7]["mapped_by"] == [proc.pid]
    assert proc.call("xengnttab_unmap", xgt, page, 1) == 0
    assert sim.list()[7]["maps"] == 0
    two = proc.call("xengnttab_map_grant_refs", xgt, 2, [7, 8], [1, 1], 3)
    assert proc.peek(two) == ord("A") and proc.peek(two + 4096) == 0
    fails(errno.EINVAL, proc.call, "xengnttab_map_grant_refs", xgt, 2, [7, 9], [1, 1], 3)
    assert (sim.list()[7]["maps"], sim.list()[8]["maps"]) == (1, 1)
    proc.call("xengnttab_close", xgt)
    assert proc.call("munmap", two, 8192) == 0
    assert (sim.list()[7]["maps"], sim.list()[8]["maps"]) == (0, 0)


def test_foreign_range(sim, proc):
    _, gfn = sim.create(7)
    xch = proc.call("xc_interface_open", None, None, 0)
    fails(errno.EINVAL, proc.call, "xc_map_foreign_range", xch, 7, 4096, 3, gfn + 1)
    fails(errno.ESRCH, proc.call, "xc_map_foreign_range", xch, 8, 4096, 3, gfn)
    page = proc.call("xc_map_foreign_range", xch, 7, 4096, 3, gfn)
    sim.destroy(7)
    assert sim.zombies() == [7]
    assert proc.call("munmap", page, 4096) == 0
    assert sim.zombies() == []
    proc.call("xc_interface_close", xch)


@pytest.mark.parametrize("how", ["unmap", "kill"])
def test_zombie(sim, proc, how):
    port, _ = sim.create(7)
    xgt = proc.call("xengnttab_open", None, 0)
    page = proc.call("xengnttab_map_grant_ref", xgt, 7, 1, 3)
    handle = Handle(proc)
    local = handle.bind(7, port)
    sim.destroy(7)
    dom = sim.list()[7]
    assert (dom["state"], dom["maps"], dom["ports"]) == ("zombie", 1, 1)
    assert "(null)         7  zombie" in sim.run("list")
    with pytest.raises(SimError, match="exists"):
        sim.create(7)
    fails(errno.EINVAL, proc.call, "xengnttab_map_grant_ref", xgt, 7, 1, 3)
    handle.notify(local)
    if how == "kill":
        proc.close()
    else:
        proc.call("xengnttab_unmap", xgt, page, 1)
        dom = sim.list()[7]
        assert (dom["state"], dom["maps"], dom["ports"]) == ("zombie", 0, 1)
        handle.unbind(local)
    assert sim.zombies() == []
    sim.create(7)


def test_zombie_by_port_alone(sim, proc):
    """A port that was forgotten shows, but the domain id is free, as on real Xen."""
    port, _ = sim.create(7)
    handle = Handle(proc)
    local = handle.bind(7, port)
    sim.destroy(7)
    assert sim.zombies() == [7]
    sim.create(7)
    assert handle.bind(7, port) != local


def test_mapping_is_not_inherited(sim, proc):
    sim.create(7)
    xgt = proc.call("xengnttab_open", None, 0)
    proc.call("xengnttab_map_grant_ref", xgt, 7, 1, 3)
    child = proc.fork()
    maps = f"/proc/{child}/maps"
    assert "/pages/7." in open(f"/proc/{proc.pid}/maps").read()
    assert "/pages/7." not in open(maps).read()


# The files of the machine.


def test_relative_directory_is_refused():
    done = subprocess.run(["cat", "/run/xen/x"], capture_output=True, text=True, check=False,
                          env={"XENSIM_DIR": "here", "LD_PRELOAD": str(BUILD / "libxensim.so")})
    assert done.returncode == 2
    assert done.stderr == "libxensim: XENSIM_DIR must be an absolute path: here\n"


def test_inert_without_directory(sim):
    env = sim.env()
    del env["XENSIM_DIR"]
    done = subprocess.run(["cat", "/proc/xen/xsd_port"], env=env, capture_output=True, check=False)
    assert done.returncode == 1 and b"No such file" in done.stderr
    done = subprocess.run(["xenstore-exists", "/"], env=env, check=False, capture_output=True)
    assert done.returncode == 1 and b"xs_open" in done.stderr


def test_paths(sim):
    def run(*argv):
        done = subprocess.run(argv, env=sim.env(), capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.stdout
    assert run("cat", "/proc/xen/xsd_port") == "33"
    run("touch", "/run/xen/a")
    run("mkdir", "/var/run/xenstored/b")
    run("touch", "/var/log/xen/c", "/var/lib/xenstored/d")
    for path in ("run/xen/a", "run/xenstored/b", "var/log/xen/c", "var/lib/xenstored/d"):
        assert (sim.dir / "root" / path).exists()
    assert run("ls", "/run/xen", "/run/xenstored") == "/run/xen:\na\n\n/run/xenstored:\nb\n"
    run("rm", "/var/run/xen/a")
    assert not (sim.dir / "root/run/xen/a").exists()


# The daemons.


def test_guest_requests(sim, dom0):
    with sim.add_guest(dom0, 7) as guest:
        assert guest.read("name") == b"guest-7"
        assert guest.get_domain_path(7) == "/local/domain/7"
        guest.mkdir("data/dir")
        guest.write("data/value", "x")
        assert set(guest.directory("data")) == {"dir", "value"}
        assert guest.get_perms("data/value") == ["n7"]
        guest.set_perms("data/value", "n7", "r9")
        assert dom0.get_perms("/local/domain/7/data/value") == ["n7", "r9"]
        guest.rm("data/dir")
        with pytest.raises(XsError) as info:
            guest.read("data/dir")
        assert info.value.name == "ENOENT"
        with pytest.raises(XsError) as info:
            guest.write("name", "mine")
        assert info.value.name == "EACCES"
        tx = guest.start()
        guest.write("data/value", "in tx", tx=tx)
        assert guest.read("data/value") == b"x"
        guest.end(tx)
        assert guest.read("data/value") == b"in tx"


def test_every_size(sim, dom0):
    """Messages of all sizes, among them all that do not fit the ring at once."""
    path = b"data/v\0"
    with sim.add_guest(dom0, 7) as guest:
        for size in [*range(0, 70), *range(960, 1090), *range(1950, 1980)]:
            value = bytes(i * 31 + size & 0xFF for i in range(size))
            guest.request(xsclient.WRITE, path + value)
            assert guest.read("data/v") == value
        # The longest requests are errors, but whole ones.
        for size in (3000, 4095, 4096):
            msg = guest.call(xsclient.READ, b"x" * (size - 1) + b"\0")
            assert msg.type == xsclient.ERROR
        assert guest.read("name") == b"guest-7"


@pytest.mark.parametrize("mode", [xsguest.NOTIFY_LINUX, xsguest.NOTIFY_ALWAYS])
def test_pipelined(sim, dom0, mode):
    with sim.add_guest(dom0, 7) as guest:
        guest.set_notify(mode)
        for i in range(40):
            guest.send(xsclient.READ, b"name\0", req_id=i)
        for i in range(40):
            assert guest.recv_reply()[1:] == (i, 0, b"guest-7")


def test_watches(sim, dom0):
    with sim.add_guest(dom0, 7) as guest:
        guest.watch("data", "token")
        assert guest.wait_watch() == Event("data", "token")
        guest.write("data/a", "1")
        assert guest.wait_watch() == Event("data/a", "token")
        dom0.write("/local/domain/7/data/a", "2")
        assert guest.wait_watch() == Event("data/a", "token")
        dom0.watch("/local/domain/7/data", "t0")
        assert dom0.wait_event() == Event("/local/domain/7/data", "t0")
        guest.write("data/b", "1")
        assert dom0.wait_event() == Event("/local/domain/7/data/b", "t0")
        assert guest.wait_watch() == Event("data/b", "token")
        guest.unwatch("data", "token")
        with pytest.raises(XsError):
            guest.unwatch("data", "token")


def test_dom0_kernel(sim, daemon, dom0):
    with sim.guest(0) as kernel:
        kernel.wait_event()
        kernel.write("/tool/kernel", "was here")
        assert dom0.read("/tool/kernel") == b"was here"


def test_domain_death(sim, daemon, dom0):
    guests = [sim.add_guest(dom0, domid) for domid in (7, 8)]
    dom0.watch("@releaseDomain", "r")
    dom0.wait_event()
    sim.shutdown(7)
    assert dom0.wait_event() == Event("@releaseDomain", "r")
    assert dom0.is_introduced(7), "shut down is not gone"
    sim.destroy(7)
    while dom0.is_introduced(7):
        assert dom0.wait_event() == Event("@releaseDomain", "r")
    assert sim.zombies() == []
    assert not dom0.is_introduced(7) and dom0.is_introduced(8)
    assert guests[1].read("name") == b"guest-8"
    for guest in guests:
        guest.close()


def test_release(sim, daemon, dom0):
    guest = sim.add_guest(dom0, 7)
    assert sim.list()[7]["maps"] == 1
    dom0.release(7)
    dom = sim.list()[7]
    assert dom["maps"] == 0
    # oxenstored forgets to unbind (semantics.md, section 5).
    assert dom["port"] == ("unbound" if daemon.flavour == "C" else "bound")
    guest.close()


def test_introduce_errors(sim, dom0):
    port, gfn = sim.create(7)
    for args in ((8, gfn, port), (7, gfn, port + 1)):
        with pytest.raises(XsError):
            dom0.introduce(*args)
    assert sim.list()[7]["port"] == "unbound"


def test_request_before_introduce(sim, daemon, dom0):
    """It waits in the ring; the C daemon clears the ring first (semantics.md, section 1)."""
    port, gfn = sim.create(7)
    home(dom0, 7)
    with sim.guest(7) as guest:
        guest.send(xsclient.READ, b"name\0", req_id=5)
        dom0.introduce(7, gfn, port)
        if daemon.flavour == "C":
            assert (guest.req_prod, guest.req_cons) == (0, 0)
            guest.send(xsclient.READ, b"name\0", req_id=5)
        assert guest.recv_reply()[1:] == (5, 0, b"guest-7")


def test_daemon_killed(sim, daemon, dom0):
    """Its ports are unbound and its mappings gone; the next daemon can bind everything."""
    port, gfn = sim.create(7)
    home(dom0, 7)
    dom0.introduce(7, gfn, port)
    with sim.guest(7) as guest:
        assert guest.read("name") == b"guest-7"
        daemon.kill()
        dom = sim.list()[7]
        assert (dom["maps"], dom["port"]) == (0, "unbound")
        guest.notify()
        sim.start_daemon(daemon.flavour, name="again")
        with sim.client() as client:
            home(client, 7)
            client.write("/local/domain/7/name", "reborn")
            client.introduce(7, gfn, port)
            assert guest.read("name") == b"reborn"


def test_daemon_killed_with_dying_domain(sim, daemon, dom0):
    guest = sim.add_guest(dom0, 7)
    os.kill(daemon.pid, signal.SIGSTOP)
    sim.destroy(7)
    assert sim.zombies() == [7]
    os.kill(daemon.pid, signal.SIGCONT)
    dom0.watch("@releaseDomain", "r")
    while sim.zombies():
        dom0.wait_event()
    guest.close()


def test_live_update(sim):
    """The C daemon hands its handle on through exec and rebinds the VIRQ."""
    daemon = sim.start_daemon("C")
    with sim.client() as dom0, sim.add_guest(dom0, 7) as guest:
        dom0.watch("@releaseDomain", "r")
        dom0.wait_event()
        dom0.control("live-update", "-f", daemon.process.args[0])
        dom0.control("live-update", "-c", "")
        assert dom0.control("live-update", "-s", "-t", "10") == "OK"
        with open(f"/proc/{daemon.pid}/cmdline", encoding="ascii") as cmdline:
            assert "-U" in cmdline.read()
        assert guest.read("name") == b"guest-7"
        dom = sim.list()[7]
        assert (dom["bound_by"], dom["mapped_by"]) == (daemon.pid, [daemon.pid])
        sim.destroy(7)
        assert dom0.wait_event() == Event("@releaseDomain", "r")
        assert sim.zombies() == []
    daemon.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_daemonized(sim, flavour):
    """As init starts it: double fork, chdir, pid file."""
    argv = [arg for arg in sim.daemon_argv(flavour)
            if arg not in ("--no-fork", "--output-pid")]
    pidfile = "/var/run/xen/xenstored.pid"
    subprocess.run([*argv, "--pid-file", pidfile], env=sim.env(), check=True, timeout=10)
    # dom0's kernel is told when the daemon is up.
    with sim.guest(0) as kernel:
        kernel.wait_event(10)
    pid = int(sim.path(pidfile).read_text())
    try:
        with sim.client() as dom0, sim.add_guest(dom0, 7) as guest:
            assert guest.read("name") == b"guest-7"
            assert sim.list()[7]["mapped_by"] == [pid]
    finally:
        os.kill(pid, signal.SIGKILL)


def test_500_domains(sim, daemon, dom0):
    doms = sim.create_range(1, 500)
    guests = {}
    try:
        for domid, (port, gfn) in doms.items():
            dom0.write(f"/local/domain/{domid}/name", f"guest-{domid}")
            dom0.set_perms(f"/local/domain/{domid}/name", "n0", f"r{domid}")
            guests[domid] = sim.guest(domid)
            dom0.introduce(domid, gfn, port)
        for domid, guest in guests.items():
            guest.send(xsclient.READ, b"name\0", req_id=domid)
        for domid, guest in guests.items():
            msg = guest.recv_reply()
            assert msg[1:] == (domid, 0, f"guest-{domid}".encode())
        dom0.watch("@releaseDomain", "r")
        sim.destroy("1-500")
        while sim.zombies() or dom0.is_introduced(500):
            dom0.wait_event()
        assert list(sim.list()) == [0]
    finally:
        for guest in guests.values():
            guest.close()


# The scripted guest.


def xsguest_run(sim, *args, **kwargs):
    return subprocess.run([BUILD / "xsguest", "-d", sim.dir, *args], capture_output=True, text=True,
                          check=False, timeout=20, **kwargs)


def test_script(sim, dom0):
    sim.add_guest(dom0, 7).close()
    done = xsguest_run(sim, "7", "boot", "-", input='write data/x "a \\x01\\"b"\nread data/x\n'
                       "tx 99 read name\nstart\ntx last read name\nend F\nrm nowhere/at/all\n")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["> READ domid", '< READ "7"']
    assert "* WATCH_EVENT control/shutdown FFFFFFFF82A5B180" in lines
    tail = lines[lines.index("> WRITE data/x \"a \\x01\\\"b\""):]
    assert tail[1:4] == ["< WRITE OK", "> READ data/x", '< READ "a \\x01\\"b"']
    assert tail[4] == "> READ name" and tail[5] in ("! ENOENT", "! EIO")
    assert tail[6] == "> TRANSACTION_START" and tail[7].startswith("< TRANSACTION_START ")
    assert tail[8:12] == ["> READ name", '< READ "guest-7"', "> TRANSACTION_END F",
                          "< TRANSACTION_END OK"]


def test_script_waits_for_an_event(sim, dom0):
    sim.add_guest(dom0, 7).close()
    argv = [BUILD / "xsguest", "-d", sim.dir, "7", "boot", "wait-path control/shutdown",
            "read control/shutdown"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as guest:
        for line in guest.stdout:
            if line == "< TRANSACTION_END OK\n":
                dom0.write("/local/domain/7/control/shutdown", "poweroff")
        assert line == '< READ "poweroff"\n'
    assert guest.returncode == 0
    done = xsguest_run(sim, "-t", "0.1", "7", "watch data t", "wait-path data/never")
    assert done.returncode == 1
    assert done.stderr == "xsguest: data/never: Connection timed out\n"


def test_script_errors(sim):
    sim.create(7)
    for args, status in ((("7", "dance"), 2), (("7", "read"), 2), (("x", "read y"), 2), ((), 2),
                         (("7",), 2), (("8", "read x"), 1), (("-t", "0.1", "7", "read x"), 1)):
        done = xsguest_run(sim, *args)
        assert done.returncode == status, args
        assert done.stderr.startswith("xsguest: ") and done.stderr.count("\n") == 1, args
