# SPDX-License-Identifier: MIT
"""A simulated host with a real Xenstore daemon on it, direct or behind xsproxy.

    with Host("C", proxied=True) as host:
        guest = host.add_guest(7)
        guest.write("data/x", "1")
"""

import contextlib
import json
import os
import pathlib
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sim"))

import xensim  # noqa: E402
import xsclient  # noqa: E402
from xensim import BUILD, SOCKET, XenSim  # noqa: E402

BRIDGE = BUILD / "libxsproxy-bridge.so"
DAEMONS = {"C": "xenstored", "O": "oxenstored"}
# Of xsproxy.conf: a xenstored that ends takes all along, and nobody waits for a starter.
NO_MIRROR = "[mirror]\nenabled = off\n"


def wait_said(process, notify, word):
    """What @process says to systemd, which is the socket @notify, with @word."""
    deadline = time.monotonic() + xensim.TIMEOUT
    said = select.poll()  # select() knows no descriptor above 1,023
    said.register(notify, select.POLLIN)
    while time.monotonic() < deadline:
        if not said.poll(200):
            process.check()
            continue
        text = notify.recv(4096).decode()
        if word in text:
            return text
    raise xsclient.Timeout(f"{process.name} does not say {word}; {process.text()}")


class Host:
    """One host: a simulated Xen, a daemon, and xsproxyd between it and the guests if @proxied."""

    def __init__(self, flavour, proxied=True, start=True, daemon_args=(), config="",
                 bridge=BRIDGE, log="debug", keeper=True, sim=None):
        self.flavour = flavour
        self.proxied = proxied
        self.bridge = bridge
        self.daemon_args = daemon_args
        self.config = config  # more of xsproxy.conf
        self.log = log  # xsproxyd's level
        self.sim = sim or XenSim()
        self.run_dir = self.sim.dir / "xsproxy"
        self.run_dir.mkdir(mode=0o700)
        self.socket = self.sim.path(SOCKET)
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.daemon = self.proxy = self.keeper = self.status = None
        self.keeps = keeper
        self._open = []
        self._dom0 = None
        if start:
            try:
                self._start()
            except BaseException:
                self.dump()
                self.close()
                raise

    def _start(self):
        self.start_daemon()
        if self.proxied:
            self.start_proxy()
        self.dom0  # connects: both are up
        if self.proxied:
            self.settle_mirror()

    def settle_mirror(self):
        """xsproxyd has read the store, and has said so, over a connection that it keeps."""
        deadline = time.monotonic() + xensim.TIMEOUT
        with contextlib.suppress(OSError, ValueError, KeyError):
            while self.ask_json("mirror")["return"]["state"] in ("waits", "reads"):
                assert time.monotonic() < deadline, "the store is not read"
                threading.Event().wait(0.002)

    def ask_json(self, command, **arguments):
        """A command on the control socket: what it answers."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(xensim.TIMEOUT)
            control.connect(str(self.run_dir / "control"))
            request = {"execute": command, "arguments": arguments}
            control.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(control.makefile().readline())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.dump()
        self.close()

    def close(self):
        for thing in self._open:
            thing.close()
        self._open = []
        for process in (self.proxy, self.keeper, self.daemon):
            if process:
                process.stop()
        self.sim.close()

    def dump(self):
        """What the processes said, for the report of a failed test."""
        for log in sorted(self.sim.dir.glob("*.log")):
            text = log.read_text(errors="replace")
            if text:
                print(f"--- {log.name}\n{text}", end="")

    def start_daemon(self):
        preloads, env = (), {}
        if self.proxied:
            preloads, env = (self.bridge,), {"XSPROXY_DIR": self.run_dir}
        self.daemon = self.sim.start_daemon(
            self.flavour, *self.daemon_args, preloads=preloads, env=env, socket=None)
        return self.daemon

    def start_proxy(self, *args, wait=True, program="xsproxyd", until="READY=1", env=None):
        """Start xsproxyd; with @wait, until it says @until, as it would to systemd.

        Then self.status is what it said.
        @program: a name below build/, or an absolute path
        """
        if self.keeps and not self.keeper:
            self.start_keeper()
        self.status = self._start_service(
            "proxy", "xsproxyd", [BUILD / program, "--config", self._config(), *args], env,
            until if wait else None)
        return self.proxy

    def start_keeper(self):
        """Start the keeper, until it listens."""
        self._start_service("keeper", "xsproxy-keeper",
                            [BUILD / "xsproxy-keeper", self.run_dir], None, "READY=1")
        return self.keeper

    def _start_service(self, attribute, name, argv, env, until):
        """Return: what it says to systemd with the word @until, unless None."""
        path = self.sim.dir / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            process = self.sim.start(name, argv, ready=False,
                                     env={"NOTIFY_SOCKET": path} | (env or {}))
            setattr(self, attribute, process)
            return until and wait_said(process, notify, until)

    def _config(self):
        path = self.sim.dir / "xsproxy.conf"
        path.write_text(f"[xsproxy]\nrun-dir = {self.run_dir}\nsocket = {self.socket}\n"
                        f"[quiesce]\ntimeout = 2s\n[log]\nlevel = {self.log}\n" + self.config)
        return path

    def client(self, **kwargs):
        """A new toolstack client."""
        client = xsclient.Client(self.socket, **kwargs)
        self._open.append(client)
        return client

    @property
    def dom0(self):
        """A toolstack client that lives as long as the host."""
        if not self._dom0:
            self._dom0 = self.client()
            self._dom0.directory("/")
        return self._dom0

    def add_guest(self, domid, **kwargs):
        guest = self.sim.add_guest(self.dom0, domid, **kwargs)
        self._open.append(guest)
        return guest

    def guest(self, domid, **kwargs):
        guest = self.sim.guest(domid, **kwargs)
        self._open.append(guest)
        return guest

    def check(self):
        self.sim.check()

    def tool_env(self, **extra):
        """The environment for the stock xenstore-* tools."""
        env = dict(os.environ, XENSTORED_PATH=str(self.socket)) | extra
        env.pop("LD_PRELOAD", None)
        return env
