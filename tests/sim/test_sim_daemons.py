# SPDX-License-Identifier: MIT
"""Both daemons on the simulator, unmodified and without the proxy; and the scripted guest."""

import os
import signal
import subprocess

import pytest
import xsclient
import xsguest
from xensim import BUILD, FLAVOURS, XenSim, home
from xsclient import Event, XsError


@pytest.fixture
def sim():
    with XenSim() as machine:
        yield machine


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
    # oxenstored forgets to unbind (docs/daemons.md, "Mapping and binding").
    assert dom["port"] == ("unbound" if daemon.flavour == "C" else "bound")
    guest.close()


def test_introduce_errors(sim, dom0):
    port, gfn = sim.create(7)
    for args in ((8, gfn, port), (7, gfn, port + 1)):
        with pytest.raises(XsError):
            dom0.introduce(*args)
    assert sim.list()[7]["port"] == "unbound"


def test_request_before_introduce(sim, daemon, dom0):
    """It waits in the ring; the C daemon clears the ring first (docs/daemons.md,
    "INTRODUCE")."""
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
    argv = [arg for arg in sim.daemon_argv(flavour) if arg != "--no-fork"]
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
