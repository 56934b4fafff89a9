# SPDX-License-Identifier: MIT
"""A simulated machine for tests, and the Xenstore daemons on it.

    with XenSim() as sim:
        daemon = sim.start_daemon("C")          # or "O", directly over the simulator
        port, gfn = sim.create(7)
        with sim.client() as dom0, sim.guest(7) as guest:
            dom0.introduce(7, gfn, port)
            guest.read("domid")
"""

import collections
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading

import xsclient
import xsguest
from xsguest import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
XEN_VERSION = subprocess.run([ROOT / "tests/xen-version"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.strip()
XEN_BIN = pathlib.Path(os.environ.get("XEN_BIN", f"/usr/lib/xen-{XEN_VERSION}/bin"))
FLAVOURS = ("C", "O")
TIMEOUT = 20.0
NUDGE = 0.2  # s
SOCKET = "/run/xenstored/socket"

Domain = collections.namedtuple("Domain", "port gfn")

# The simulator prints that line when the process first waits in its loop (lib/ready.c).
SAY_READY = {"XENSIM_SAY_READY": "1"}
READY = b"libxensim: ready\n"

# As the paths are rewritten in lib/paths.c.
_REDIRECTS = (
    ("/var/run/", "run/"),
    ("/run/", "run/"),
    ("/var/log/", "var/log/"),
    ("/var/lib/", "var/lib/"),
)


class SimError(Exception):
    """The xensim command failed."""


class Daemon:
    """A process on the machine, its output in files of the machine's directory."""

    def __init__(self, name, argv, env, log, polite=True, **popen):
        self.name = name
        self.polite = polite
        self.log = pathlib.Path(log)
        self.ended = False  # because it was told to
        self._ready = threading.Event()
        with open(self.log, "ab") as err:
            self.process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                **popen)
        self._copier = threading.Thread(target=self._copy, daemon=True)
        self._copier.start()

    def _copy(self):
        # A pipe rather than the file itself: a line can be waited for.
        with open(self.log, "ab", buffering=0) as out, self.process.stdout as pipe:
            for line in pipe:
                out.write(line)
                if READY in line:
                    self._ready.set()
        self._ready.set()

    @property
    def pid(self):
        return self.process.pid

    def text(self, names=False):
        """What it has written. What it calls a domain depends on when its mirror is whole: only who
        is about @names looks at that."""
        text = self.log.read_text(errors="replace")
        return text if names else re.sub(r"\b(d\d+)\([^() ]+\)(?= s\d+: |: )", r"\1", text)

    def wait_ready(self, timeout=TIMEOUT):
        """Wait until it waits in its loop, which SAY_READY has to ask for."""
        if not self._ready.wait(timeout):
            raise xsclient.Timeout(f"{self.name} did not start:\n{self.text()}")
        self.check()

    def alive(self):
        return self.process.poll() is None

    def check(self):
        """Fail with the log when the process has ended."""
        # Its output ends just before it does.
        self._copier.join(0)
        if not self._copier.is_alive():
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                pass
        if not self.alive():
            raise AssertionError(
                f"{self.name} ended with {self.process.returncode}:\n{self.text()}")

    def wait(self, timeout=TIMEOUT):
        """Wait for its end; the exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise xsclient.Timeout(f"{self.name} does not end:\n{self.text()}") from err
        self._copier.join(timeout)
        return status

    def kill(self, sig=signal.SIGKILL):
        """Send a signal and wait for the end."""
        self.ended = True
        self.process.send_signal(sig)
        return self.wait()

    def stop(self):
        """Whatever its state: end it, politely at first if it is of that kind."""
        if not self.alive():
            return self.wait()
        if not self.polite:
            return self.kill()
        self.ended = True
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.wait(5)
        except xsclient.Timeout:
            return self.kill()


class XenSim(xsclient.Closing):
    """The machine in @directory; without one, in a new directory that goes with the object."""

    def __init__(self, directory=None, init=True):
        self._own = directory is None
        if directory is None:
            # Memory, where there is any: the kernel writes a page on disk back at will.
            base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            directory = tempfile.mkdtemp(prefix="xensim-", dir=base)
        self.dir = pathlib.Path(directory).absolute()
        self.daemons = []
        self.nudge = 0
        if init:
            try:
                self.run("init")
            except BaseException:
                self.close()
                raise

    def close(self):
        """Stop the daemons that were started here; remove the directory if it was made here."""
        while self.daemons:
            self.daemons.pop().stop()
        if self._own:
            shutil.rmtree(self.dir, ignore_errors=True)

    def check(self):
        """Fail with its log when a daemon has ended that was not told to."""
        for daemon in self.daemons:
            if not daemon.ended:
                daemon.check()

    # The xensim command.

    def run(self, *args):
        """Run xensim; its output. Raises SimError with what it said."""
        done = subprocess.run(
            [BUILD / "xensim", "-d", self.dir, *map(str, args)], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise SimError(done.stderr.strip())
        return done.stdout

    def create(self, domid):
        """Create a domain: its (port, gfn)."""
        return Domain(*map(int, self.run("create", domid).split()))

    def create_range(self, first, last):
        """Create many: {domid: (port, gfn)}."""
        lines = self.run("create", f"{first}-{last}").splitlines()
        return {first + i: Domain(*map(int, line.split())) for i, line in enumerate(lines)}

    def shutdown(self, domid, reason="poweroff"):
        self.run("shutdown", "-r", reason, domid)

    def resume(self, domid):
        self.run("resume", domid)

    def mute(self, domid):
        """The guest closes its event channel to xenstored, and lives on."""
        self.run("mute", domid)

    def destroy(self, *domids):
        """Destroy domains, each a number or a string such as "5-9"."""
        self.run("destroy", *domids)

    def list(self):
        """{domid: what `xensim list --json` says about it}."""
        return {dom["domid"]: dom for dom in json.loads(self.run("list", "--json"))}

    def zombies(self):
        return [domid for domid, dom in self.list().items() if dom["state"] == "zombie"]

    # The machine from inside.

    def path(self, path):
        """Where processes of the machine find the absolute path of a host."""
        for prefix, to in _REDIRECTS:
            if str(path).startswith(prefix):
                return self.dir / "root" / (to + str(path)[len(prefix):])
        raise ValueError(path)

    def env(self, *preloads, **extra):
        """The environment of a process of the machine; @preloads come before the simulator."""
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("XENSTORED_", "XENSIM_")) and key != "LD_PRELOAD"}
        env["XENSIM_DIR"] = str(self.dir)
        env["LD_PRELOAD"] = ":".join(str(lib) for lib in (*preloads, BUILD / "libxensim.so"))
        env.update({key: str(value) for key, value in extra.items()})
        return env

    def start(self, name, argv, *preloads, ready=True, env=None, **popen):
        """Start a process of the machine; with @ready, wait until it waits in its loop.

        @popen: what subprocess.Popen takes, and polite=False to end it with SIGKILL only.
        """
        env = self.env(*preloads, **(SAY_READY if ready else {}), **(env or {}))
        daemon = Daemon(name, [str(arg) for arg in argv], env,
                        self.dir / f"{name}.log", **popen)
        self.daemons.append(daemon)
        if ready:
            daemon.wait_ready()
        return daemon

    def daemon_argv(self, flavour, *args):
        """The command line of a daemon in the foreground."""
        if flavour == "C":
            return [XEN_BIN / "xenstored", "--no-fork", *args]
        if flavour == "O":
            return [XEN_BIN / "oxenstored", "--no-fork", *args]
        raise ValueError(flavour)

    def start_daemon(self, flavour, *args, preloads=(), env=None, socket=SOCKET, name=None):
        """Start xenstored ("C") or oxenstored ("O"); wait until it serves @socket, unless None."""
        # On guests' own rings oxenstored needs it now and then (guest.h).
        self.nudge = NUDGE if flavour == "O" and not preloads else 0
        # oxenstored may see SIGTERM seconds later, when its poll(2) returns.
        daemon = self.start(name or f"xenstored-{flavour}", self.daemon_argv(flavour, *args),
                            *preloads, env=env, polite=False)
        if socket:
            with self.client(socket) as client:
                client.directory("/")
        return daemon

    def client(self, socket=SOCKET, **kwargs):
        return xsclient.Client(self.path(socket), **kwargs)

    def guest(self, domid, **kwargs):
        return xsguest.Guest(self.dir, domid, nudge=self.nudge, **kwargs)

    def add_guest(self, dom0, domid, **kwargs):
        """Create a domain with its home in the store and introduce it; its Guest."""
        port, gfn = self.create(domid)
        home(dom0, domid)
        guest = self.guest(domid, **kwargs)
        dom0.introduce(domid, gfn, port)
        return guest


def home(dom0, domid):
    """The nodes that a toolstack makes for a domain, as far as guests expect them."""
    base = f"/local/domain/{domid}"
    tx = dom0.start()
    dom0.mkdir(base, tx=tx)
    dom0.set_perms(base, "n0", f"r{domid}", tx=tx)
    for path, value in (("name", f"guest-{domid}"), ("domid", domid), ("vm", f"/vm/{domid}"),
                        ("memory/target", 262144), ("cpu/0/availability", "online")):
        dom0.write(f"{base}/{path}", value, tx=tx)
        dom0.set_perms(f"{base}/{path}", "n0", f"r{domid}", tx=tx)
    for path in ("control", "control/shutdown", "data", "device", "drivers", "error", "attr"):
        dom0.write(f"{base}/{path}", "", tx=tx)
        dom0.set_perms(f"{base}/{path}", f"n{domid}", tx=tx)
    dom0.end(tx)


def wait_readable(what, timeout=TIMEOUT):
    """Wait until something with a descriptor is readable."""
    if not select.select([what], [], [], timeout)[0]:
        raise xsclient.Timeout(f"{what} stays quiet")
