# SPDX-License-Identifier: MIT
"""`xsproxyctl enter` and `leave` on a host with a real daemon, and with stand-ins for those whom
they tell what to do: xsproxyd, systemd, and the live-update program.

    with native("C") as host, Scene(host, tmp_path) as scene:
        assert scene.ctl("enter")[0] == 0
        assert scene.called == [...]
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import xensim
from fake_control import FakeControl, Refused
from harness import DAEMONS, Host

CTL = xensim.BUILD / "xsproxyctl"
EXPECTS = "waiting for the native xenstored's state"
XENSTORED, SOCKET, SERVICE, KEEPER = UNITS = (
    "xsproxy-xenstored.service", "xsproxy.socket", "xsproxy.service", "xsproxy-keeper.service")
LOCK = "xsproxyctl.lock"
DROP_IN = "systemd/system/xsproxy.socket.d/enter.conf"

# Too small for any state; and what is said of it.
NO_DISK = ("/run/xenstored has no room for twice what xenstored has in memory, which this takes; "
           "free some, or remount it larger")
SMALL = "mkdir -p /run/xenstored; mount -t tmpfs -o size=4k small /run/xenstored; "

# Both /run and what Xen's start reads are the test's own.
MOUNT = 'mount --bind "$1" /run; mount --bind "$2" /etc/default; {}shift 2; exec "$@"'

# It says what it was told, and does what the test says.
SYSTEMCTL = """#!/bin/sh
cd {dir} || exit
echo "$*" >>called
case $1 in
is-active)
    [ ! -e silent ] || exit 1
    cat "$2" 2>/dev/null || {{ echo inactive; exit 3; }}
    exit
    ;;
start)
    [ ! -e fails ] || exit 1
    shift
    for unit; do [ -e "skips $unit" ] || echo active >"$unit"; done
    ;;
stop)
    shift
    for unit; do rm -f "$unit"; done
    ;;
esac
"""

# Its interpreter has the name of ours.
PROGRAM = """#!{dir}/starter
case "$*" in *--help*) exit 0 ;; esac
echo "$*" >>{dir}/executed
read -r what <{dir}/becomes
[ "$what" != native ] || exec {native} "$@"
"""


@contextlib.contextmanager
def native(flavour, env=True):
    """A host with a daemon that knows nothing of xsproxy, but with @env where it is here."""
    with Host(flavour, proxied=False, start=False) as host:
        host.daemon = host.sim.start_daemon(
            flavour, env={"XSPROXY_DIR": host.run_dir} if env else None)
        yield host


class Xsproxyd(FakeControl):
    """Its control socket. `outcome` is what an exchange comes to: None, it is done; the class of
    an error; or "gone", it ends in the middle, and the next one is there at once."""

    def __init__(self, scene):
        self.scene = scene
        self.outcome = self.last = self.exchange = None
        self.told = []  # commands with their arguments, but for status
        self.becomes = "nothing"
        self.hindrance = None  # why it cannot leave
        self.state = "waiting"
        super().__init__(scene.host.run_dir / "control")

    def _run_status(self):
        daemon = self.scene.host.daemon
        return {"state": self.state, "exchange": self.exchange, "last_exchange": self.last,
                "xenstored": {"name": daemon.process.args[0].rpartition("/")[2],
                              "pid": daemon.pid}}

    def _run_domains(self, index):
        return {"domains": [], "next": None} if index == 0 else None

    def _run_replace(self, check, reads):
        assert check and reads
        return {}

    def _run_enter(self, **arguments):
        self.told.append(("enter", arguments))
        yield {"stage": EXPECTS}
        self.scene.become(self.becomes)
        yield from self._finish()
        return {"pause_ms": 5}

    def _run_leave(self, check=False, **arguments):
        if check:
            if self.hindrance:
                raise Refused(self.hindrance, "Unchanged")
            return {}
        self.told.append(("leave", arguments))
        yield {"stage": "connections are coming to rest"}
        if self.becomes == "native":
            self.scene.start_native()
        yield from self._finish()
        return {"pause_ms": 5}

    def _finish(self):
        if self.outcome == "gone":
            raise ConnectionResetError
        if self.outcome:
            raise Refused("it is full", self.outcome)
        yield {"stage": "the new xenstored is told of watches and transactions"}


class Scene:
    """@systemd: it runs there; @xsproxyd: its control socket answers"""

    def __init__(self, host, directory, systemd=True, xsproxyd=True):
        self.host = host
        self.mount = ""  # more that is done before a command
        self.dir = pathlib.Path(directory)
        self.run = self.dir / "run"
        self.etc = self.dir / "etc"
        self.bin = self.dir / "bin"
        for path in (self.run, self.etc, self.bin):
            path.mkdir()
        (self.etc / "xen").write_text("")
        self.pid_file = self.run / "xenstore.pid"
        self.pid_file.write_text(f"{host.daemon.pid}\n")
        if systemd:
            (self.run / "systemd/system").mkdir(parents=True)
        self._write(self.bin / "systemctl", SYSTEMCTL.format(dir=self.bin))
        shutil.copy("/bin/sh", self.dir / "starter")
        os.mkfifo(self.dir / "becomes")
        self._write(self.dir / "live-update", PROGRAM.format(
            dir=self.dir, native=xensim.XEN_BIN / DAEMONS[host.flavour]))
        self.config = self.dir / "xsproxy.conf"
        self.configure(host.socket)
        self.xsproxyd = Xsproxyd(self) if xsproxyd else None

    def __enter__(self):
        if self.start("enter", "--help").wait():
            pytest.skip("this needs the right to mount")
        return self

    def __exit__(self, *_):
        if self.xsproxyd:
            self.xsproxyd.stop()
        self.host.daemon.ended = True  # the program is not the daemon

    def _write(self, path, text):
        path.write_text(text)
        path.chmod(0o755)

    def configure(self, socket, live_update="live-update"):
        self.config.write_text(f"[xsproxy]\nrun-dir = {self.host.run_dir}\nsocket = {socket}\n"
                               f"[xenstored]\nlive-update = {self.dir / live_update}\n")

    # --- what there is

    def unit(self, name, state="active"):
        """A unit is in that state already."""
        (self.bin / name).write_text(f"{state}\n")

    @property
    def called(self):
        """What systemctl was told, and not asked."""
        path = self.bin / "called"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not line.startswith("is-active")]

    @property
    def executed(self):
        """The arguments of each live update."""
        path = self.dir / "executed"
        return path.read_text().splitlines() if path.exists() else []

    def become(self, what):
        """Once the program is executed: `native` has it become that daemon again."""
        with open(self.dir / "becomes", "w", encoding="ascii") as fifo:
            fifo.write(f"{what}\n")

    def start_native(self):
        """A daemon without the bridge takes the place of the one that runs."""
        host = self.host
        host.daemon.kill()
        host.daemon = host.sim.start_daemon(host.flavour, name="native")
        self.pid_file.write_text(f"{host.daemon.pid}\n")

    def untouched(self):
        """Whether there is nothing of ours but what there was."""
        names = {path.name for path in self.host.run_dir.iterdir()} - {"control", LOCK}
        below = self.run / "systemd/system"
        return not names and not (below.exists() and list(below.iterdir()))

    def mark(self, name):
        return self.host.run_dir / name

    # --- the command

    def start(self, *args):
        """It runs from now on."""
        env = self.host.tool_env(PATH=f"{self.bin}:{os.environ['PATH']}")
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", MOUNT.format(self.mount), "sh", self.run, self.etc, CTL,
             *map(str, args), "--config", self.config], env=env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def ctl(self, *args):
        """(its status, its output, its complaints)"""
        with self.start(*args) as process:
            try:
                out, err = process.communicate(timeout=xensim.TIMEOUT)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                raise
        return process.returncode, out, err


class Whole(Scene):
    """The units run: xsproxyd is started by the test, and xenstored by a thread of it."""

    def __init__(self, host, directory):
        super().__init__(host, directory, xsproxyd=False)
        self.config = host._config()
        self.pid_file.unlink()
        self.pid_file.symlink_to(host.sim.dir / "xenstore.pid")
