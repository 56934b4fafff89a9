# SPDX-License-Identifier: MIT
"""For the tests of the bridge alone: both real daemons with it preloaded, without xsproxyd.

A small owner stands in for xsproxyd: it speaks the link's protocol, maps the rings and moves octets
through back rings by hand.
"""

import collections
import contextlib
import ctypes
import mmap
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sim"))

import xensim  # noqa: E402
import xsclient  # noqa: E402
from xsguest import BUILD  # noqa: E402

BRIDGE = BUILD / "libxsproxy-bridge.so"
TIMEOUT = 20.0
LINK_TIMEOUT = 3.0

HELLO, BUSY, MAP, BIND, UNBIND, UNMAP, ACK, FETCH, KEPT, KEEP = range(1, 11)
MSG = struct.Struct("<IIIi")
PAGE = 4096
RSP, REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, CONNECTION, RING_ERROR = (
    1024, 2048, 2052, 2056, 2060, 2068, 2072)

Msg = collections.namedtuple("Msg", "type seq domid value")
Attach = collections.namedtuple("Attach", "map_gen bind_gen port gfn mapped")


def compile_c(directory, name, source, *flags):
    shared = ["-shared", "-fPIC"] if name.endswith(".so") else []
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}", *shared, "-o",
                    directory / name, ROOT / "tests/e2e/bridge" / source, *flags], check=True)
    return directory / name


@pytest.fixture(scope="session", name="tools")
def tools_fixture(tmp_path_factory):
    """The C parts, compiled."""
    directory = tmp_path_factory.mktemp("bridge")
    lib = ctypes.CDLL(compile_c(directory, "owner.so", "owner.c"))
    lib.owner_open.restype = ctypes.c_void_p
    for name in ("close", "flavour", "pid", "ring", "ring_and_die", "flood", "take", "sleep",
                 "bells_left", "attach"):
        getattr(lib, "owner_" + name).argtypes = [ctypes.c_void_p] + {
            "ring": [ctypes.c_uint32, ctypes.c_int], "ring_and_die": [ctypes.c_uint32],
            "attach": [ctypes.c_uint32, ctypes.c_void_p],
            "flood": [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]}.get(name, [])
    # The name is what makes it wake the bridge.
    (directory / "bin").mkdir()
    return {
        "lib": lib,
        "driver": compile_c(directory, "bin/oxenstored", "driver.c", "-lxenevtchn", "-lxengnttab"),
        "fake": compile_c(directory, "fake.so", "fake_xen.c", "-w"),
        "no_console": compile_c(directory, "no_console.so", "no_console.c", "-w"),
        "bystander": compile_c(directory, "bystander", "bystander.c", "-lxenevtchn"),
    }


def wait_until(condition, timeout=TIMEOUT):
    """Poll something that has no descriptor to wait on."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


# Connects, hands the connection over, and lives until its standard input ends.
CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"], [s.fileno()])
s.close()
sys.stdin.read()
"""


class Owner(xsclient.Closing):
    """Stands in for xsproxyd. @policy: message -> the answer's value, None (silence) or octets.

    The bridge kills a process that it gives up, so it is another one that connects: `process`."""

    def __init__(self, stack, policy=lambda msg: 0, serve=True):
        self.lib, self.policy, self.arena = stack.tools["lib"], policy, None
        self.messages, self.closed = [], threading.Event()
        self._news = threading.Condition()
        self.sock = self._connect(stack.dir / "bridge")
        self.sock.settimeout(TIMEOUT)
        octets, fds, _, _ = socket.recv_fds(self.sock, 64, 8)
        self.hello = Msg(*MSG.unpack(octets))
        self.sock.setblocking(True)
        if self.hello.type != HELLO:
            assert not fds
            return
        self.memfd, self.wake_proxy, self.wake_stored = fds
        self.memory = mmap.mmap(self.memfd, os.fstat(self.memfd).st_size)
        # Indexes are read and written whole: struct.pack_into() writes zeros first, and the daemon
        # ends a ring whose index it sees at zero.
        self.words = memoryview(self.memory).cast("I")
        self.arena = self.lib.owner_open(os.dup(self.memfd))
        assert self.arena
        self._thread = threading.Thread(target=self._serve, daemon=True)
        if serve:
            self._thread.start()

    def _connect(self, path):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(TIMEOUT)
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-c", CONNECT, str(path), str(theirs.fileno())],
                stdin=subprocess.PIPE, pass_fds=[theirs.fileno()])
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=fds[0])

    def close(self):
        if self.sock.fileno() < 0:
            return
        self.process.stdin.close()
        self.process.wait(TIMEOUT)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        if self.arena:
            if self._thread.ident:
                self._thread.join()
            self.lib.owner_close(self.arena)
            self.words.release()
            self.memory.close()
            for fd in (self.memfd, self.wake_proxy, self.wake_stored):
                os.close(fd)
        self.sock.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while octets := self.sock.recv(64):
                msg = Msg(*MSG.unpack(octets))
                answer = self.policy(msg)
                with self._news:
                    self.messages.append(msg)
                    self._news.notify_all()
                if isinstance(answer, int):
                    answer = MSG.pack(ACK, msg.seq, msg.domid, answer)
                if answer is not None:
                    self.sock.send(answer)
        self.closed.set()

    def wait(self, type_, domid, timeout=TIMEOUT):
        """The next message of that kind; those before it are forgotten."""
        with self._news:
            found = self._news.wait_for(lambda: [i for i, msg in enumerate(self.messages)
                                                 if (msg.type, msg.domid) == (type_, domid)],
                                        timeout)
            assert found, f"no message {type_} for d{domid}: {self.messages}"
            msg = self.messages[found[0]]
            del self.messages[:found[0] + 1]
            return msg

    def types(self, domid):
        """All messages about a domain since the last call, without sequence numbers."""
        with self._news:
            taken = [msg for msg in self.messages if msg.domid == domid]
            self.messages = [msg for msg in self.messages if msg.domid != domid]
            return [msg.type for msg in taken]

    def attach(self, domid):
        out = (ctypes.c_uint64 * 5)()
        self.lib.owner_attach(self.arena, domid, out)
        return Attach(*out)

    def ring(self, domid):
        self.lib.owner_ring(self.arena, domid, self.wake_stored)

    def flood(self, domids, seconds):
        array = (ctypes.c_uint32 * len(domids))(*domids)
        self.lib.owner_flood(self.arena, array, len(domids), self.wake_stored, int(seconds * 1000))

    def take(self):
        domid = self.lib.owner_take(self.arena)
        return None if domid < 0 else domid

    def sleep(self, timeout=TIMEOUT):
        """Sleep as xsproxyd does; whether there are bells."""
        if not self.lib.owner_sleep(self.arena):
            return True
        if not select.select([self.wake_proxy], [], [], timeout)[0]:
            return False
        os.read(self.wake_proxy, 8)
        return True

    def get(self, domid, field):
        return self.words[(domid * PAGE + field) // 4]

    def set(self, domid, field, value):
        self.words[(domid * PAGE + field) // 4] = value

    def send(self, domid, type_, payload, req_id=1):
        """Put one small request into a back ring and ring its bell."""
        octets = struct.pack("<IIII", type_, req_id, 0, len(payload)) + payload
        prod = self.get(domid, REQ_PROD)
        for i, octet in enumerate(octets):
            self.memory[domid * PAGE + (prod + i) % 1024] = octet
        self.set(domid, REQ_PROD, (prod + len(octets)) & 0xffffffff)
        self.ring(domid)

    def pull(self, domid, length, deadline):
        octets = b""
        while len(octets) < length:
            cons, prod = self.get(domid, RSP_CONS), self.get(domid, RSP_PROD)
            if cons == prod:
                assert self.sleep(deadline - time.monotonic()), "no bell in time"
                while self.take() is not None:
                    pass
                continue
            octets += self.memory[domid * PAGE + RSP + cons % 1024].to_bytes(1, "little")
            self.set(domid, RSP_CONS, (cons + 1) & 0xffffffff)
        self.ring(domid)
        return octets

    def recv(self, domid, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        type_, req_id, _, length = struct.unpack("<IIII", self.pull(domid, 16, deadline))
        return type_, req_id, self.pull(domid, length, deadline)

    def read(self, domid, path, timeout=TIMEOUT):
        """READ, and its value."""
        self.send(domid, xsclient.READ, path.encode() + b"\0", 77)
        type_, req_id, payload = self.recv(domid, timeout)
        assert (type_, req_id) == (xsclient.READ, 77), payload
        return payload.decode()


class Stack:
    """A simulated machine with one daemon behind the bridge."""

    def __init__(self, sim, flavour, tools, start=True):
        self.sim, self.flavour, self.tools = sim, flavour, tools
        self.dir = sim.dir / "xsproxy"
        self.dir.mkdir(mode=0o700)
        self.daemon = None
        if start:
            self.start()

    def start(self, **env):
        env = {"XSPROXY_DIR": self.dir, **env}
        if self.flavour == "C":
            env.setdefault("XENSTORED_PATH", self.dir / "upstream")
        self.daemon = self.sim.start_daemon(self.flavour, preloads=(BRIDGE,), env=env, socket=None)
        self.wait_serving()

    def wait_serving(self):
        """Until a toolstack is served, by either name of the socket."""
        socks = [self.dir / "upstream", self.sim.path(xensim.SOCKET)]
        with xsclient.Client(socks[0] if socks[0].exists() else socks[1]) as dom0:
            dom0.directory("/")

    def client(self):
        return xsclient.Client(self.dir / "upstream", timeout=TIMEOUT)

    def owner(self, *args, **kwargs):
        return Owner(self, *args, **kwargs)

    def introduce(self, domid):
        """Create a domain and introduce it."""
        port, gfn = self.sim.create(domid)
        with self.client() as dom0:
            dom0.introduce(domid, gfn, port)
        return port, gfn

    def settle(self, owner, domid):
        """Wait until the daemon is done with the ring's indexes, as xsproxyd has to."""
        if self.flavour == "C":
            wait_until(lambda: owner.get(domid, CONNECTION) == 0)


@pytest.fixture(name="sim")
def sim_fixture():
    with xensim.XenSim() as sim:
        yield sim


@pytest.fixture(params=xensim.FLAVOURS, name="stack")
def stack_fixture(request, sim, tools):
    stack = Stack(sim, request.param, tools)
    yield stack
    # Whatever was done to it, it lives and serves.
    with stack.client() as dom0:
        dom0.directory("/")
    stack.daemon.check()


@pytest.fixture(params=xensim.FLAVOURS, name="cold")
def cold_fixture(request, sim, tools):
    """As stack, not started."""
    return Stack(sim, request.param, tools, start=False)
