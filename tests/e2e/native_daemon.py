# SPDX-License-Identifier: MIT
"""A daemon that was started as Debian's init script does, without xsproxy: it goes to the
background, and is nobody's child; and what asks it to become another program."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading

import xensim
import xsclient
from relay import packet, wait_until
from xsclient import CONTROL, ERROR, join

ROOT_DIR = "/run/xenstored"  # as the init script has it
ASK_S = 0.05  # before oxenstored is asked again
HOLD_S = "1"  # for how long a daemon waits before it says for whom
OK, BUSY = b"OK", b"BUSY"


class Orphan:
    """As subprocess.Popen, for a process that is not our child: how it ended nobody says."""

    returncode = 0

    def __init__(self, pid):
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def poll(self):
        return self.returncode if self._ends_within(0) else None

    def wait(self, timeout=None):
        if not self._ends_within(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def _ends_within(self, timeout):
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return poll.poll(None if timeout is None else timeout * 1000)

    def send_signal(self, sig):
        signal.pidfd_send_signal(self._fd, sig)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Forked(xensim.Daemon):
    """A daemon in the background."""

    def __init__(self, name, pid, log):  # pylint: disable=super-init-not-called
        self.name, self.log = name, log
        self.polite = self.ended = False
        self.process = Orphan(pid)

    def check(self):
        if not self.alive():
            raise AssertionError(f"{self.name} (pid {self.pid}) has ended")

    def wait(self, timeout=xensim.TIMEOUT):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise xsclient.Timeout(f"{self.name} does not end") from err


def start(sim, flavour, *args, pid_file, forks=True, **env):
    """The first daemon of a host. @forks: as the init script has it, else as a unit may."""
    argv = sim.daemon_argv(flavour, *args, "--pid-file", pid_file)
    env = {"XENSTORED_ROOTDIR": ROOT_DIR, **env}
    sim.nudge = xensim.NUDGE if flavour == "O" else 0
    if not forks:
        return sim.start("native", argv, env=env, polite=False)
    argv.remove("--no-fork")
    parent = sim.start("native", argv, env=env, ready=False)
    parent.ended = True
    assert parent.wait() == 0, parent.text()
    pid = wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
    daemon = Forked("native", int(pid), sim.dir / "native.log")
    sim.daemons.append(daemon)
    return daemon


def flavour_of(pid):
    """C or O, by what it executes; None when it is neither, or has ended."""
    try:
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {"xenstored": "C", "oxenstored": "O"}.get(name)


class LiveUpdate(threading.Thread):
    """A daemon is asked to execute @program, again and again until it does, as xsproxyctl asks;
    for as long as the answer is awaited that comes in another way, for this one need not come.

    in_the_way: what it said last of those whose transactions and the like it waits for.
    """

    def __init__(self, path, flavour, program, force=False):
        super().__init__(daemon=True)
        self._path = path
        self._client = xsclient.Client(path)
        self._flavour = flavour
        self._file = ["-f", str(program)]
        # Never -F with oxenstored, which would never execute it.
        self._state = ["-s", "-t", HOLD_S, *["-F"] * (force and flavour == "C")]
        self._ended = threading.Event()
        self.in_the_way = None
        self.start()

    def stop(self):
        self._ended.set()
        with contextlib.suppress(OSError):  # more than once
            self._client.sock.shutdown(socket.SHUT_RDWR)
        self.join()
        self._client.close()

    def give_up(self):
        """stop(), and nothing is to be executed later. C: it forgets that with who has asked."""
        self.stop()
        if self._flavour == "O":
            with xsclient.Client(self._path) as client:
                assert client.control("live-update", "-a") == OK.decode()

    def run(self):
        ask = self._ask_c if self._flavour == "C" else self._ask_o
        with contextlib.suppress(xsclient.Closed, xsclient.Timeout, OSError):
            while not self._ended.is_set() and not ask():
                pass

    def _ask_c(self):
        """Both at once, for the first holds back every transaction that is to be started.

        Return: whether that has been done.
        """
        self._send(self._file, self._state)
        heard = self._hear()
        assert heard == OK, heard
        return self._is_done(self._hear())

    def _ask_o(self):
        """It looks at what it waits for only when it is asked something."""
        self._send(self._file)
        heard = self._hear()
        assert heard == OK, heard
        while not self._ended.wait(ASK_S):
            self._send(self._state)
            if self._is_done(self._hear()):
                return True
        return False

    def _send(self, *requests):
        payloads = [join("live-update", *words) for words in requests]
        self._client.send_raw(b"".join(packet(CONTROL, payload) for payload in payloads))

    def _hear(self):
        said = self._client.recv(xensim.TIMEOUT)
        if said.type == ERROR:  # by xsproxyd, which is there, and has had the question, too
            return OK
        assert said.type == CONTROL, said
        return said.payload.rstrip(b"\0")

    def _is_done(self, text):
        if text not in (OK, BUSY):
            self.in_the_way = text.decode()
        return text == OK
