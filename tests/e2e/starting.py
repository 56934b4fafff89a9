# SPDX-License-Identifier: MIT
"""The starter, the real daemons that it becomes, and somebody in xsproxyd's place who tells it what
to do (link/start.h).

    starter = bed.start("C")
    with bed.conductor.accept() as talk:
        assert talk.recv() == (COME, DAEMON, VERSION)
        talk.send(AFRESH)
    starter.wait_ready()
"""

import collections
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import subprocess

import xensim
import xsclient
from bridge_bed import BRIDGE, BUILD, TIMEOUT, Owner

STARTER, LIVE_UPDATE = BUILD / "starter", BUILD / "live-update"
(COME, STATE, FAILED, AFRESH, WANT, ENOUGH, RESTORE, CONNS, SOCKETS, LISTENER, GIVE, RETREAT,
 LEAVE) = range(128, 141)
DAEMON, UPDATE, NATIVE = range(3)
VERSION = 1
MSG = struct.Struct("<IIIi")
LEFT = {"C": "state_dump", "O": "db"}

Said = collections.namedtuple("Said", "type domid value")


def memory(octets):
    """A memfd with that in it, which nobody can change."""
    fd = os.memfd_create("given", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, octets)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW
                | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd


class Talk(xsclient.Closing):
    """One connection of a starter's."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(TIMEOUT)

    def close(self):
        self.sock.close()

    def recv(self):
        """(type, domid, value); None at the end. What a memfd has that came along: self.octets."""
        octets, fds, _, _ = socket.recv_fds(self.sock, 64, 4)
        self.octets = None
        for fd in fds:
            with open(fd, "rb") as file:
                self.octets = os.pread(fd, os.fstat(file.fileno()).st_size, 0)
        if not octets:
            return None
        type_, _, domid, value = MSG.unpack(octets)
        return Said(type_, domid, value)

    def send(self, type_, *fds, value=0):
        socket.send_fds(self.sock, [MSG.pack(type_, 0, 0, value)], fds)

    def wanted(self):
        """WANT, and the state that comes."""
        self.send(WANT)
        said = self.recv()
        assert (said.type, said.value) == (STATE, 0), said
        assert said.domid < TIMEOUT  # so old it is
        return self.octets

    def restore(self, state, plan, rings):
        fds = [memory(state), memory(plan.encode())]
        self.send(RESTORE, *fds, rings)
        for fd in fds:
            os.close(fd)

    def failed(self):
        """FAILED: (errno, why)."""
        said = self.recv()
        assert said.type == FAILED and said.value < 0, said
        return -said.value, self.octets.decode()


class Conductor(xsclient.Closing):
    """Where xsproxyd listens."""

    def __init__(self, run_dir):
        self.path = run_dir / "starter"
        self.path.unlink(missing_ok=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(str(self.path))
        self.sock.listen()
        self.sock.settimeout(TIMEOUT)

    def close(self):
        self.sock.close()

    def accept(self, role=DAEMON):
        """A starter that has come."""
        talk = Talk(self.sock.accept()[0])
        assert talk.recv() == (COME, role, VERSION)
        return talk


class Bed(xsclient.Closing):
    """A simulated machine, the starter on it. @tools: of bridge_bed."""

    def __init__(self, sim, tools):
        self.sim, self.tools = sim, tools
        self.dir = sim.dir / "xsproxy"
        self.dir.mkdir(mode=0o700)
        self.stored = sim.path("/run/xenstored")
        self.number = 0
        self.daemon = self.conductor = self.owner = None
        self.domains = {}
        self.stack = contextlib.ExitStack()

    def close(self):
        self.stack.close()

    def conduct(self):
        self.conductor = self.stack.enter_context(Conductor(self.dir))
        return self.conductor

    def serve(self):
        """From now on an xsproxyd may have what this host's Xenstore was."""
        (self.dir / "served").touch()

    def start(self, flavour, *args, program=STARTER, daemon=None, pass_fds=(), **env):
        """Start it; what it becomes has to be waited for: daemon.wait_ready()."""
        self.number += 1
        argv = [program, daemon or self.sim.daemon_argv(flavour)[0], "--no-fork", *args]
        env = {**xensim.SAY_READY, "XSPROXY_DIR": self.dir, "XSPROXY_STORED_DIR": self.stored,
               "XSPROXY_PRELOAD": f"{BRIDGE}:{BUILD}/libxensim.so", **env}
        self.daemon = self.sim.start(f"starter-{self.number}", argv, ready=False, env=env,
                                     polite=False, pass_fds=pass_fds)
        return self.daemon

    def serving(self, flavour, *args, **env):
        """Start it as a host's first: it becomes the daemon, and an owner has its rings."""
        self.start(flavour, *args, **env)
        if self.conductor:
            with self.conductor.accept() as talk:
                talk.send(AFRESH)
        self.daemon.wait_ready()
        self.own()

    def own(self):
        if self.owner:
            self.owner.close()
        self.owner = self.stack.enter_context(Owner(self))

    def client(self):
        return xsclient.Client(self.dir / "upstream", timeout=TIMEOUT)

    def introduce(self, client, *domids):
        for domid in domids:
            self.domains[domid] = self.sim.create(domid)
            xensim.home(client, domid)
            client.introduce(domid, self.domains[domid].gfn, self.domains[domid].port)

    def plan(self, *more, domids=None):
        """With the rings of all that were introduced, or of @domids."""
        rings = {domid: domain for domid, domain in self.domains.items()
                 if domids is None or domid in domids}
        lines = ["ring 0 1 0 -", *(f"ring {domid} {domain.port} {domain.gfn} -"
                                   for domid, domain in rings.items()), *more]
        return "".join(f"{line}\n" for line in lines)

    def live_update(self, program=LIVE_UPDATE):
        """The daemon writes its state and executes @program."""
        with self.client() as client:
            assert client.control("live-update", "-f", str(program)) in ("OK", b"OK")
            client.send(xsclient.CONTROL, xsclient.join("live-update", "-s"))
            return self.conductor.accept(UPDATE)

    def handed_over(self):
        """The daemon's state, after it has ended by a live update."""
        with self.live_update() as talk:
            state = talk.wanted()
            talk.send(ENOUGH)
            self.daemon.ended = True
            assert self.daemon.wait() == 0, self.daemon.text()
        return state

    def restored(self, flavour, state, plan, *args, **kwargs):
        """The starter becomes a daemon with that state, with the rings that the owner has.
        @flavour: the daemon that is configured"""
        daemon = self.start(flavour, *args, **kwargs)
        with self.conductor.accept() as talk:
            talk.restore(state, plan, self.owner.memfd)
            assert talk.recv() is None, talk.octets
        daemon.wait_ready()

    def shown(self, state):
        """A state in lines, as xsproxyctl shows it."""
        path = self.sim.dir / "shown"
        path.write_bytes(state)
        return subprocess.run([BUILD / "xsproxyctl", "show", path], capture_output=True, text=True,
                              check=True).stdout.splitlines()

    # What can be seen of the process.

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.daemon.pid}/{name}")

    def argv(self):
        return self.proc("cmdline").read_text().split("\0")[:-1]

    def environ(self):
        return dict(line.split("=", 1) for line in self.proc("environ").read_text().split("\0")
                    if "=" in line)
