# SPDX-License-Identifier: MIT
"""The simulator itself: what it models of Xen."""

import errno
import os
import signal
import subprocess
import time

import pytest
from dom0proc import Dom0Proc
from xensim import BUILD, SimError, XenSim, wait_readable
from xsclient import Timeout
from xsguest import NOTIFY_LINUX, NOTIFY_NEVER

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


def test_a_guest_that_waits_nudges(sim, proc):
    """The other side gets events meanwhile, unless the guest is one that never sends any."""
    port, _ = sim.create(7)
    handle = Handle(proc)
    local = handle.bind(7, port)
    handle.take()  # binding makes our own port pending
    for nudge, mode in ((0, NOTIFY_LINUX), (QUIET, NOTIFY_NEVER), (QUIET, NOTIFY_LINUX)):
        sim.nudge = nudge
        with sim.guest(7) as guest:
            guest.set_notify(mode)
            with pytest.raises(Timeout):
                guest.wait_event(3 * QUIET)
            assert handle.readable() == (nudge > 0 and mode == NOTIFY_LINUX)
    assert handle.take() == local


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
