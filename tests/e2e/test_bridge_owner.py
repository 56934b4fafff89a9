# SPDX-License-Identifier: MIT
"""The bridge and its owner: one that is silent, talks nonsense, dies, is another one."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from bridge_bed import (ACK, BIND, BUSY, FETCH, HELLO, KEEP, KEPT, LINK_TIMEOUT, MAP, MSG, Msg,
                        TIMEOUT, wait_until)

pytest_plugins = ("bridge_bed",)  # stack, cold, sim, tools


def test_silent_owner_is_killed(stack):
    with stack.owner(lambda msg: None) as owner:
        start = time.monotonic()
        stack.introduce(7)
        # One wait for all of it.
        assert LINK_TIMEOUT <= time.monotonic() - start < 2 * LINK_TIMEOUT
        assert owner.closed.wait(TIMEOUT)
        # It may write to a ring no more, whatever happens to its domain next.
        assert owner.process.wait(TIMEOUT) == -signal.SIGKILL
    wait_until(lambda: "does not answer, killed" in stack.daemon.text())
    with stack.owner() as owner:
        assert owner.attach(7)[:2] == (1, 1)


def status(process, name):
    text = (pathlib.Path("/proc") / str(process.pid) / "status").read_text(encoding="ascii")
    return re.search(rf"^{name}:\s*(\S+)", text, re.M)[1]


def switches(process):
    """How often it has gone to sleep."""
    return int(status(process, "voluntary_ctxt_switches"))


def test_the_machine_stands_still(stack):
    """A time in which xenstored did not run is none that its owner had for an answer."""
    def answer(msg):
        if msg.type == MAP:
            wait_until(lambda: status(stack.daemon, "State") == "S")
            os.kill(stack.daemon.pid, signal.SIGSTOP)
            try:
                since, before = time.monotonic(), switches(stack.daemon)
                wait_until(lambda: time.monotonic() - since > LINK_TIMEOUT)
            finally:
                os.kill(stack.daemon.pid, signal.SIGCONT)
            wait_until(lambda: switches(stack.daemon) > before)
        return 0

    with stack.owner(answer) as owner:
        stack.introduce(7)
        owner.wait(BIND, 7)
        assert owner.process.poll() is None
    assert "does not answer" not in stack.daemon.text()


NONSENSE = {
    "sequence": lambda msg: MSG.pack(ACK, msg.seq + 1, msg.domid, 0),
    "type": lambda msg: MSG.pack(MAP, msg.seq, msg.domid, 0),
    "positive": lambda msg: MSG.pack(ACK, msg.seq, msg.domid, 1),
    "errno": lambda msg: MSG.pack(ACK, msg.seq, msg.domid, -5000),
    "short": lambda msg: MSG.pack(ACK, msg.seq, msg.domid, 0)[:-1],
    "long": lambda msg: MSG.pack(ACK, msg.seq, msg.domid, 0) + b"x",
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_dropped(stack, kind):
    with stack.owner(NONSENSE[kind]) as owner:
        start = time.monotonic()
        stack.introduce(7)
        assert time.monotonic() - start < LINK_TIMEOUT
        assert owner.closed.wait(TIMEOUT)
        assert owner.process.wait(TIMEOUT) == -signal.SIGKILL
        assert owner.types(7) == [MAP]
    with stack.owner() as owner:
        assert owner.attach(7)[:2] == (1, 1)


def test_owner_that_talks_is_dropped(stack):
    with stack.owner() as owner:
        owner.sock.send(MSG.pack(ACK, 0, 0, 0))
        assert owner.closed.wait(TIMEOUT)
    wait_until(lambda: "without being asked" in stack.daemon.text())


# What it keeps.


def fetch(owner):
    """What is kept: its descriptor, or None. The owner must not be serving."""
    owner.sock.send(MSG.pack(FETCH, 0, 0, 0))
    octets, fds, _, _ = socket.recv_fds(owner.sock, 64, 8)
    assert Msg(*MSG.unpack(octets)).type == KEPT
    assert len(fds) <= 1
    return fds[0] if fds else None


def keep(owner, text):
    fd = os.memfd_create("kept")
    os.write(fd, text)
    socket.send_fds(owner.sock, [MSG.pack(KEEP, 0, 0, 0)], [fd])
    os.close(fd)


def kept_text(owner):
    fd = fetch(owner)
    text = os.pread(fd, 100, 0)
    os.close(fd)
    return text


def test_it_keeps_what_the_last_one_gave(stack):
    with stack.owner(serve=False) as owner:
        assert fetch(owner) is None
        keep(owner, b"one")
        assert kept_text(owner) == b"one"
        keep(owner, b"two")
    with stack.owner(serve=False) as owner:
        assert kept_text(owner) == b"two"
        keep(owner, b"three")  # and is gone at once
    with stack.owner(serve=False) as owner:
        assert kept_text(owner) == b"three"
    maps = (pathlib.Path("/proc") / str(stack.daemon.pid) / "maps").read_text()
    assert "memfd:kept" not in maps


def test_it_keeps_within_a_round_trip(stack):
    """What comes before the answer is carried out, and does not pass for it."""
    def answer(msg):
        if msg.type == MAP:
            keep(owner, b"kept")
        return 0

    with stack.owner(answer) as owner:
        stack.introduce(7)
        owner.wait(BIND, 7)
    with stack.owner(serve=False) as owner:
        assert kept_text(owner) == b"kept"


# Owners come and go.


def test_second_owner_is_busy(stack):
    with stack.owner() as first:
        with stack.owner() as second:
            assert second.hello.type == BUSY
            assert second.sock.recv(64) == b""
        stack.introduce(7)
        assert first.wait(MAP, 7)


def test_next_owner_at_once(stack):
    """Also when the daemon has not noticed yet that the old one has gone."""
    for _ in range(20):
        with stack.owner() as owner:
            assert owner.hello.type == HELLO


def test_next_owner_comes_first(stack):
    """It connects, the old one goes, and the daemon learns of both at the same time."""
    with stack.owner() as first, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as second:
        second.settimeout(TIMEOUT)
        stack.daemon.process.send_signal(signal.SIGSTOP)
        try:
            second.connect(str(stack.dir / "bridge"))
            first.close()
        finally:
            stack.daemon.process.send_signal(signal.SIGCONT)
        octets, fds, _, _ = socket.recv_fds(second, 64, 8)
        assert Msg(*MSG.unpack(octets)).type == HELLO
        for fd in fds:
            os.close(fd)


def test_killed_owner_is_replaced(stack):
    script = ("import socket, sys, time\n"
              "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              "s.connect(sys.argv[1])\n"
              "socket.recv_fds(s, 64, 8)\n"
              "print('connected', flush=True)\n"
              "time.sleep(1000)\n")
    for domid in (7, 8):
        with subprocess.Popen([sys.executable, "-c", script, str(stack.dir / "bridge")],
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            with stack.owner() as owner:
                assert owner.hello.type == BUSY
            process.kill()
        start = time.monotonic()
        stack.introduce(domid)
        assert time.monotonic() - start < LINK_TIMEOUT
    with stack.owner() as owner:
        for domid in (7, 8):
            assert owner.attach(domid)[:2] == (1, 1)
        stack.introduce(9)
        assert owner.wait(BIND, 9)


def test_owner_dies_in_a_round_trip(stack):
    def die(_msg):
        owner.sock.shutdown(socket.SHUT_RDWR)

    with stack.owner(die) as owner:
        start = time.monotonic()
        stack.introduce(7)
        assert time.monotonic() - start < LINK_TIMEOUT


def test_owner_dies_before_it_wakes_the_daemon(stack):
    """Bells without their wake-up must be heard, at the latest when the owner's end is noticed."""
    domids = range(1, 41)
    with stack.owner() as owner:
        for domid in domids:
            stack.introduce(domid)
            stack.settle(owner, domid)
        wait_until(lambda: not owner.lib.owner_bells_left(owner.arena))
        for domid in domids:
            owner.lib.owner_ring_and_die(owner.arena, domid)
    with stack.owner() as owner:
        wait_until(lambda: not owner.lib.owner_bells_left(owner.arena), timeout=5)


def test_stranger_is_refused(stack):
    os.chmod(stack.dir, 0o711)
    os.chmod(stack.sim.dir, 0o711)
    os.chmod(stack.dir / "bridge", 0o666)
    script = ("import os, socket, sys\n"
              "os.setuid(65534)\n"
              "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              "s.connect(sys.argv[1])\n"
              "sys.exit(len(s.recv(64)))\n")
    assert subprocess.run([sys.executable, "-c", script, str(stack.dir / "bridge")],
                          check=False).returncode == 0
    with stack.owner() as owner:
        assert owner.hello.type == HELLO


# Bells.
