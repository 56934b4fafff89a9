# SPDX-License-Identifier: MIT
"""The bridge within its host: bells, real event channels, sockets, other programs, the wrapper."""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from bridge_bed import (
    BIND, BRIDGE, BUSY, ROOT, Stack, TIMEOUT, UNMAP, compile_c, wait_until)
import xensim
import xsclient
from xensim import BUILD

pytest_plugins = ("bridge_bed",)  # stack, cold, sim, tools


def test_bells_of_gone_domains_are_dropped(stack):
    with stack.owner() as owner:
        stack.introduce(7)
        with stack.client() as dom0:
            dom0.release(7)
            owner.flood([7, 8, 0x7ff0, 0x7fff], 0.2)
            dom0.directory("/")
        wait_until(lambda: not owner.lib.owner_bells_left(owner.arena))


def test_idle_daemon_sleeps(stack):
    """No bell, no wake-up: the eventfd becomes quiet after each burst."""
    with stack.owner() as owner:
        stack.introduce(7)
        stack.settle(owner, 7)
        owner.flood([0, 7], 0.3)
        wait_until(lambda: not owner.lib.owner_bells_left(owner.arena))
        time.sleep(0.3)

        def ticks():
            fields = pathlib.Path(f"/proc/{stack.daemon.pid}/stat").read_text().split()
            return int(fields[13]) + int(fields[14])

        before = ticks()
        time.sleep(0.5)
        assert ticks() - before <= 5  # it would be 50
        assert not select.select([owner.wake_stored], [], [], 0)[0]


@pytest.mark.long
def test_virq_under_a_flood_of_bells(stack):
    with stack.owner() as owner:
        for domid in (7, 8, 9):
            stack.introduce(domid)
        flood = threading.Thread(target=owner.flood, args=([0, 7, 9], 4))
        flood.start()
        try:
            stack.sim.destroy(8)
            owner.wait(UNMAP, 8)
            with stack.owner() as second:
                assert second.hello.type == BUSY
            with stack.client() as dom0:
                dom0.directory("/")
            assert flood.is_alive()
        finally:
            flood.join()
    assert stack.sim.zombies() == []


def run_driver(sim, tools, **env):
    directory = sim.dir / "xsproxy"
    directory.mkdir(mode=0o700)
    env = {**os.environ, "XSPROXY_DIR": str(directory), "LD_PRELOAD": f"{BRIDGE}:{tools['fake']}",
           **env}
    done = subprocess.run([tools["driver"]], env=env, stdout=subprocess.PIPE, check=True, text=True,
                          timeout=TIMEOUT)
    return [int(word) for word in done.stdout.split()]


def test_sources_are_served_fairly(sim, tools):
    """Real events without end, bells of two domains without end: everybody gets a share."""
    real, one, two, spurious, failed, rest = run_driver(sim, tools)
    assert real == 1000
    assert one == two == 3500
    assert spurious == failed == 0
    assert rest == 100


def test_real_event_channels_fail(sim, tools):
    """The C daemon would exit at a -1, and spin if the descriptor stayed."""
    real, one, two, spurious, failed, rest = run_driver(sim, tools, FAKE_FAILS="1")
    assert real == spurious == failed == 0
    assert one + two == 8000
    assert rest < 5


# Start-up in other ways.


def test_public_path_is_redirected(sim, tools):
    """The C daemon without the wrapper, which would have named the new path to it."""
    stack = Stack(sim, "C", tools, start=False)
    stack.start(XENSTORED_PATH="/var/run/xenstored/socket")
    assert stat.S_IMODE((stack.dir / "upstream").stat().st_mode) == 0o600
    assert not sim.path(xensim.SOCKET).exists()
    with stack.client() as dom0:
        dom0.directory("/")


def test_proxys_socket_is_left_alone(cold):
    """xsproxyd owns the public name, also when xenstored starts later."""
    public = cold.sim.path(xensim.SOCKET)
    public.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(public))
        listener.listen()
        inode = public.stat().st_ino
        cold.start(**({"XENSTORED_PATH": "/run/xenstored/socket"} if cold.flavour == "C" else {}))
        assert public.stat().st_ino == inode


def test_daemonised(cold):
    """Both fork after they have bound their socket, and have no standard error afterwards."""
    pidfile = cold.sim.dir / "pid"
    argv = [cold.sim.daemon_argv(cold.flavour)[0], "--pid-file", pidfile]
    env = cold.sim.env(BRIDGE, XSPROXY_DIR=cold.dir)
    subprocess.run(argv, env=env, check=True, timeout=TIMEOUT, capture_output=True)
    wait_until((cold.dir / "bridge").exists)
    with cold.owner() as owner:
        pid = owner.lib.owner_pid(owner.arena)
        assert pid == int(pidfile.read_text())
        try:
            cold.introduce(7)
            owner.wait(BIND, 7)
        finally:
            os.kill(pid, signal.SIGKILL)


def test_kernel_of_larger_pages(sim, tools, tmp_path):
    """Some ARM64 kernels' have 64 KiB, and oxenstored maps one of those; Xen's have 4."""
    stack = Stack(sim, "O", tools, start=False)
    library = compile_c(tmp_path, "large_pages.so", "large_pages.c")
    stack.daemon = sim.start_daemon("O", preloads=(BRIDGE, library), env={"XSPROXY_DIR": stack.dir},
                                    socket=None)
    stack.wait_serving()
    with stack.owner() as owner, stack.client() as dom0:
        stack.introduce(7)
        owner.wait(BIND, 7)
        owner.send(7, xsclient.GET_DOMAIN_PATH, b"7\0")
        assert owner.recv(7)[0] == xsclient.GET_DOMAIN_PATH
        dom0.release(7)
        owner.wait(UNMAP, 7)


def test_dom0_not_relayed(cold):
    cold.start(XSPROXY_DOM0="0")
    assert cold.sim.list()[0]["port"] == "bound"
    with cold.sim.guest(0) as kernel, cold.owner() as owner:
        assert owner.attach(0).mapped == 0
        kernel.write("/x", "from the kernel")
        cold.introduce(7)
        cold.settle(owner, 7)
        owner.ring(7)
        cold.sim.destroy(7)
        owner.wait(UNMAP, 7)
        assert kernel.read("/x") == b"from the kernel"


def use_bare(stack):
    """The daemon serves the public socket and real rings by itself, and has said so."""
    stack.start()
    port, gfn = stack.sim.create(7)
    with stack.sim.client() as dom0, stack.sim.guest(7) as guest:
        dom0.write("/x", "1")
        dom0.set_perms("/x", "n0", "r7")
        dom0.introduce(7, gfn, port)
        assert guest.read("/x") == b"1"
    assert stack.sim.list()[7]["maps"] == 1
    assert stack.daemon.text().count("WITHOUT xsproxy") == 1


def test_no_run_directory(cold):
    cold.dir.rmdir()
    use_bare(cold)


def test_run_directory_is_open_to_others(cold):
    cold.dir.chmod(0o750)
    use_bare(cold)
    assert list(cold.dir.iterdir()) == []


def test_run_directory_is_a_link(cold):
    cold.dir.rmdir()
    (cold.sim.dir / "real").mkdir(mode=0o700)
    cold.dir.symlink_to(cold.sim.dir / "real")
    use_bare(cold)


def test_link_cannot_listen(cold):
    """Noticed only after the daemon's socket was bound below the run directory."""
    (cold.dir / "bridge").mkdir()
    use_bare(cold)
    assert not (cold.dir / "upstream").exists()


# Everybody else.


def test_inert_in_a_shell(sim):
    directory = sim.dir / "xsproxy"
    directory.mkdir(mode=0o700)
    env = sim.env(BRIDGE, XSPROXY_DIR=directory,
                  XSPROXY_STORED_SOCKET=sim.dir / "file")
    done = subprocess.run(["/bin/sh", "-c", 'grep -c bridge.so /proc/self/maps; echo x > "$0" && '
                           'chmod 600 "$0" && rm "$0" && ls -A "$1"', sim.dir / "file", directory],
                          env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[0]) > 0
    assert len(done.stdout.split()) == 1 and done.stderr == ""


def test_inert_in_a_user_of_event_channels(sim, tools):
    directory = sim.dir / "xsproxy"
    directory.mkdir(mode=0o700)
    path = sim.dir / "socket"
    done = subprocess.run([tools["bystander"], path], capture_output=True, text=True, check=False,
                          env=sim.env(BRIDGE, XSPROXY_DIR=directory, XSPROXY_STORED_SOCKET=path))
    assert done.returncode == 0
    assert "pages" in done.stdout and "memfd" not in done.stdout
    assert list(directory.iterdir()) == [] and done.stderr == ""


def open_files(process):
    """What its descriptors are open on."""
    targets = []
    for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(fd))
    return targets


def test_inert_in_xenconsoled(stack):
    """It opens event channels as xenstored does, and shares its preloads in some set-ups."""
    inode = (stack.dir / "bridge").stat().st_ino
    argv = [xensim.XEN_BIN / "xenconsoled", "-i", "--log=hv", f"--log-dir={stack.sim.dir}"]
    console = stack.sim.start(
        "xenconsoled", argv, BRIDGE, stack.tools["no_console"], ready=False,
        env={"XSPROXY_DIR": stack.dir, "XENSTORED_PATH": stack.dir / "upstream"})
    wait_until(lambda: any("evtchn" in target for target in open_files(console)))
    maps = pathlib.Path(f"/proc/{console.pid}/maps").read_text()
    assert BRIDGE.name in maps and "xsproxy-rings" not in maps
    assert not any(word in target for target in open_files(console)
                   for word in ("xsproxy-rings", "eventpoll"))
    assert (stack.dir / "bridge").stat().st_ino == inode
    console.check()


def test_inert_without_xen_libraries():
    """Where there is nothing to pass on to, the libc part still works."""
    done = subprocess.run(["cat", "/proc/self/comm"], env={"LD_PRELOAD": str(BRIDGE)},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "cat\n" and done.stderr == ""


def test_a_plugin_of_any_xen(tmp_path):
    """Libraries have Xen's version in their names, and are found also where only a plug-in has
    them."""
    libraries = []
    for name in ("libxenctrl.so.9.9", "libxenevtchn.so.2", "libxengnttab.so.3"):
        libraries.append(compile_c(tmp_path, name, "next_xen.c", "-shared", "-fPIC",
                                   f"-Wl,-soname,{name}"))
    plugin = compile_c(tmp_path, "plugin.so", "next_xen.c", "-DPLUGIN", "-Wl,--no-as-needed",
                       *libraries, f"-Wl,-rpath,{tmp_path}")
    script = f"import ctypes; print(ctypes.CDLL('{plugin}').answers())"
    done = subprocess.run(["/usr/bin/python3", "-c", script], env={"LD_PRELOAD": str(BRIDGE)},
                          capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_no_release_is_named():
    """The bridge needs no library of Xen's, nor names the version of one."""
    needed = subprocess.run(["readelf", "-d", BRIDGE], capture_output=True, text=True, check=True)
    assert re.findall(r"NEEDED.*\[(.*)\]", needed.stdout) == ["libc.so.6"]
    assert not re.findall(rb"libxen[a-z]+\.so\.[0-9]", BRIDGE.read_bytes())


# The wrapper.


WRAPPER = ROOT / "systemd/xenstored-wrapper"


def wrapper_env(stack, **extra):
    env = stack.sim.env(**xensim.SAY_READY, XSPROXY_DIR=stack.dir, XSPROXY_BRIDGE=BRIDGE,
                        XSPROXY_XENSTORED=stack.sim.daemon_argv(stack.flavour)[0])
    return {**env, **{key: str(value) for key, value in extra.items()}}


def start_wrapped(stack, **extra):
    argv = [WRAPPER, *stack.sim.daemon_argv(stack.flavour)[1:]]
    stack.daemon = xensim.Daemon("wrapped", [str(arg) for arg in argv], wrapper_env(stack, **extra),
                                 stack.sim.dir / "wrapped.log")
    stack.sim.daemons.append(stack.daemon)
    stack.daemon.wait_ready()


def test_wrapper_starts_the_daemon(cold):
    cold.dir.rmdir()  # the wrapper makes it
    start_wrapped(cold)
    assert stat.S_IMODE(cold.dir.stat().st_mode) == 0o700
    cold.wait_serving()
    assert "xsproxy" not in cold.daemon.text()
    with cold.owner() as owner:
        assert owner.lib.owner_pid(owner.arena) == cold.daemon.pid  # it became the daemon


@pytest.mark.parametrize("bridge", ["missing.so", "/dev/null"])
def test_wrapper_without_the_bridge(cold, bridge):
    start_wrapped(cold, XSPROXY_BRIDGE=cold.sim.dir / bridge)
    assert "WITHOUT xsproxy" in cold.daemon.text()
    with cold.sim.client() as dom0:
        dom0.directory("/")
    environ = pathlib.Path(f"/proc/{cold.daemon.pid}/environ").read_bytes().decode()
    assert f"LD_PRELOAD={BUILD}/libxensim.so\0" in environ and "XENSTORED_PATH" not in environ
    assert list(cold.dir.iterdir()) == []
