# SPDX-License-Identifier: MIT
"""The bridge alone: both real daemons with it preloaded, over the simulator, without xsproxyd.

A small owner stands in for xsproxyd: it speaks the link's protocol, maps the arena and moves octets
through back rings by hand.
"""

import collections
import contextlib
import ctypes
import errno
import mmap
import os
import pathlib
import select
import signal
import socket
import stat
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
from xsclient import XsError  # noqa: E402
from xsguest import BUILD  # noqa: E402

BRIDGE = BUILD / "libxsproxy-bridge.so"
TIMEOUT = 20.0
LINK_TIMEOUT = 3.0

HELLO, BUSY, MAP, BIND, UNBIND, UNMAP, ACK = range(1, 8)
MSG = struct.Struct("<IIIi")
PAGE = 4096
RSP, REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, CONNECTION, RING_ERROR = (
    1024, 2048, 2052, 2056, 2060, 2068, 2072)

Msg = collections.namedtuple("Msg", "type seq domid value")
Attach = collections.namedtuple("Attach", "map_gen bind_gen port gfn mapped")

# What needs atomic instructions or the layout of arena.h, for ctypes.
OWNER_C = r"""
#include "bridge/arena.c"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

struct arena *owner_open(int fd)
{
	struct arena *arena = malloc(sizeof(*arena));
	if (arena_open(arena, fd) == 0)
		return arena;
	free(arena);
	return NULL;
}
void owner_close(struct arena *arena) { arena_close(arena); free(arena); }
int owner_flavour(struct arena *arena) { return (int)arena_header(arena)->flavour; }
int owner_pid(struct arena *arena) { return arena_header(arena)->pid; }
void owner_ring(struct arena *arena, uint32_t domid, int wake)
{
	struct arena_header *h = arena_header(arena);
	if (arena_bell_ring(&h->to_stored, domid) && !atomic_exchange(&h->stored_woken, 1))
		eventfd_write(wake, 1);
}
/* Dies, as it were, before it has written the eventfd. */
void owner_ring_and_die(struct arena *arena, uint32_t domid)
{
	arena_bell_ring(&arena_header(arena)->to_stored, domid);
	atomic_store(&arena_header(arena)->stored_woken, 1);
}
void owner_flood(struct arena *arena, const uint32_t *domids, int count, int wake, int ms)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	do {
		for (int i = 0; i < count; i++)
			owner_ring(arena, domids[i], wake);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}
int owner_take(struct arena *arena)
{
	static uint32_t cursor;
	return arena_bell_take(&arena_header(arena)->to_proxy, &cursor);
}
/* Says that it sleeps; 0 when it had better not. */
int owner_sleep(struct arena *arena)
{
	atomic_store(&arena_header(arena)->proxy_asleep, 1);
	return !arena_bell_any(&arena_header(arena)->to_proxy);
}
int owner_bells_left(struct arena *arena)
{
	return arena_bell_any(&arena_header(arena)->to_stored);
}
void owner_attach(struct arena *arena, uint32_t domid, uint64_t out[5])
{
	struct arena_attach *at = arena_attach(arena, domid);
	out[0] = atomic_load(&at->map_gen);
	out[1] = atomic_load(&at->bind_gen);
	out[2] = atomic_load(&at->remote_port);
	out[3] = atomic_load(&at->gfn);
	out[4] = atomic_load(&arena_header(arena)->mapped[domid / 64]) >> (domid % 64) & 1;
}
"""

# Event channels that always have an event (or always fail), to be preloaded behind the bridge.
FAKE_XEN_C = r"""
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
void *xenevtchn_open(void *l, unsigned f) { return malloc(1); }
int xenevtchn_close(void *x) { free(x); return 0; }
int xenevtchn_fd(void *x) { static int fd = -1; return fd < 0 ? fd = eventfd(1, 0) : fd; }
int xenevtchn_pending(void *x) { errno = EIO; return getenv("FAKE_FAILS") ? -1 : 5; }
int xenevtchn_unmask(void *x, unsigned p) { return getenv("FAKE_FAILS") ? -1 : 0; }
"""

# What xenconsoled wants and the simulator has not: the hypervisor's console, for which it binds a
# VIRQ, and a way to map pages by number, which it uses for domains only.
NO_CONSOLE_C = r"""
int xc_readconsolering(void *x, char *b, unsigned *n, int c, int i, unsigned *p) { return -1; }
void *xenforeignmemory_open(void *l, unsigned f) { static int handle; return &handle; }
int xenforeignmemory_close(void *h) { return 0; }
"""

# A program that calls itself oxenstored: how events reach it when there are always more of all kinds.
# Binding rings a domain's bell.
DRIVER_C = r"""
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#define PORT(domid) (0x40000000 + (domid))
int main(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0), *other = xenevtchn_open(NULL, 0);
	struct pollfd pfd = { .fd = xenevtchn_fd(xce), .events = POLLIN };
	int real = 0, one = 0, two = 0, spurious = 0, failed = 0, port, i;
	char *page = xengnttab_map_grant_ref(NULL, 1, 1, 3);

	xengnttab_map_grant_ref(NULL, 2, 1, 3);
	if (xenevtchn_fd(other) == pfd.fd)
		return 1;
	for (i = 0; i < 8000; i++) {
		if (xenevtchn_bind_interdomain(xce, 1, 9) != PORT(1) ||
		    xenevtchn_bind_interdomain(xce, 2, 9) != PORT(2))
			return 2;
		if (poll(&pfd, 1, 1000) != 1 || pfd.revents != POLLIN)
			return 3;
		port = xenevtchn_pending(xce);
		real += port == 5;
		one += port == PORT(1);
		two += port == PORT(2);
		failed += port == -1 || xenevtchn_unmask(xce, port) != 0;
		spurious += port != 5 && port != PORT(1) && port != PORT(2);
	}
	/* Without new bells the old ones come to an end. */
	for (i = 0; i < 100 && poll(&pfd, 1, 0) == 1; i++)
		xenevtchn_unmask(xce, xenevtchn_pending(xce));
	printf("%d %d %d %d %d %d\n", real, one, two, spurious, failed, i);

	/* Whatever comes after an unmap must not crash. */
	xengnttab_unmap(NULL, page, 1);
	memset(page, 1, 4096);
	munmap(page, 4096);
	munmap(page, 4096);
	if (xenevtchn_unbind(xce, PORT(1)) || xenevtchn_notify(xce, PORT(1)))
		return 4;
	return xenevtchn_close(xce);
}
"""

# A program of dom0 that uses event channels and files like anybody.
BYSTANDER_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenevtchn.h>
int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), port = xenevtchn_bind_unbound_port(xce, 0);
	int peer = xenevtchn_bind_interdomain(xce, 0, port);
	char kva[16] = "";

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[1]);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) || chmod(argv[1], 0640) ||
	    access(argv[1], F_OK) || unlink(argv[1]) || !access(argv[1], F_OK))
		return 1;
	if (port < 1 || peer < 1 || peer >= 0x40000000)
		return 2;
	/* Binding made an end pending already. */
	int got = -1;
	for (xenevtchn_notify(xce, peer); got != port; xenevtchn_unmask(xce, got))
		got = xenevtchn_pending(xce);
	if (xenevtchn_unbind(xce, peer))
		return 3;
	fd = open("/proc/xen/xsd_kva", O_RDWR);
	if (fd < 0)
		return 4;
	snprintf(kva, sizeof(kva), "/proc/self/fd/%d", fd);
	char target[256] = "";
	if (readlink(kva, target, sizeof(target) - 1) < 0)
		return 5;
	puts(target);
	return xenevtchn_close(xce);
}
"""


def compile_c(directory, name, text, *flags):
    source = directory / (name.replace(".so", "") + ".c")
    source.write_text(text)
    shared = ["-shared", "-fPIC"] if name.endswith(".so") else []
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}", *shared, "-o",
                    directory / name, source, *flags], check=True)
    return directory / name


@pytest.fixture(scope="session", name="tools")
def tools_fixture(tmp_path_factory):
    """The C parts of this file, compiled."""
    directory = tmp_path_factory.mktemp("bridge")
    lib = ctypes.CDLL(compile_c(directory, "owner.so", OWNER_C))
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
        "driver": compile_c(directory, "bin/oxenstored", DRIVER_C, "-lxenevtchn", "-lxengnttab"),
        "fake": compile_c(directory, "fake.so", FAKE_XEN_C, "-w"),
        "no_console": compile_c(directory, "no_console.so", NO_CONSOLE_C, "-w"),
        "bystander": compile_c(directory, "bystander", BYSTANDER_C, "-lxenevtchn"),
    }


def wait_until(condition, timeout=TIMEOUT):
    """Poll something that has no descriptor to wait on."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class Owner:
    """Stands in for xsproxyd. @policy: message -> the answer's value, None (silence) or octets."""

    def __init__(self, stack, policy=lambda msg: 0):
        self.lib, self.policy, self.arena = stack.tools["lib"], policy, None
        self.messages, self.closed = [], threading.Event()
        self._news = threading.Condition()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(stack.dir / "bridge"))
        octets, fds, _, _ = socket.recv_fds(self.sock, 64, 8)
        self.hello = Msg(*MSG.unpack(octets))
        self.sock.setblocking(True)
        if self.hello.type != HELLO:
            assert not fds
            return
        self.memfd, self.wake_proxy, self.wake_stored = fds
        self.memory = mmap.mmap(self.memfd, os.fstat(self.memfd).st_size)
        self.arena = self.lib.owner_open(os.dup(self.memfd))
        assert self.arena
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.sock.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        if self.arena:
            self._thread.join()
            self.lib.owner_close(self.arena)
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
        return struct.unpack_from("<I", self.memory, domid * PAGE + field)[0]

    def set(self, domid, field, value):
        struct.pack_into("<I", self.memory, domid * PAGE + field, value)

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
        """oxenstored says hello before it has opened its event channels."""
        socks = [self.dir / "upstream", self.sim.path(xensim.SOCKET)]
        with xsclient.Client(socks[0] if socks[0].exists() else socks[1]) as dom0:
            dom0.directory("/")

    def client(self):
        return xsclient.Client(self.dir / "upstream", timeout=TIMEOUT)

    def owner(self, *args):
        return Owner(self, *args)

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


# Without an owner.


def test_starts_alone(stack):
    for name in ("bridge", "upstream"):
        mode = (stack.dir / name).stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert not stack.sim.path(xensim.SOCKET).exists()
    done = subprocess.run(["xenstore-ls", "/tool"], capture_output=True, text=True, check=True,
                          env={"XENSTORED_PATH": str(stack.dir / "upstream"),
                               "PATH": os.environ["PATH"]})
    assert "xenstored" in done.stdout


def test_introduces_alone(stack):
    port, gfn = stack.introduce(7)
    with stack.client() as dom0:
        dom0.introduce(7, gfn, port)
        assert dom0.is_introduced(7)
        dom0.release(7)
        assert not dom0.is_introduced(7)
        dom0.introduce(7, gfn, port)
    # Nothing real was touched.
    assert stack.sim.list()[7]["maps"] == 0
    assert stack.sim.list()[7]["port"] == "unbound"


def test_domain_dies_alone(stack):
    stack.introduce(7)
    with stack.client() as dom0:
        dom0.watch("@releaseDomain", "t")
        dom0.wait_event()
        stack.sim.destroy(7)
        dom0.wait_event()
        assert not dom0.is_introduced(7)
    assert stack.sim.zombies() == []


# The link.


def test_hello(stack):
    port, gfn = stack.introduce(7)
    with stack.owner() as owner:
        assert owner.hello == Msg(HELLO, 0, 0, 1)
        assert owner.lib.owner_flavour(owner.arena) == (1 if stack.flavour == "C" else 2)
        assert owner.lib.owner_pid(owner.arena) == stack.daemon.pid
        dom0_port = int((stack.sim.dir / "xsd_port").read_text())
        assert owner.attach(0) == (1, 1, dom0_port, 0, 1)
        assert owner.attach(7) == (1, 1, port, 0 if stack.flavour == "C" else gfn, 1)
        assert owner.attach(8).mapped == 0
        assert owner.messages == []
        # Nobody introduced dom0, so nobody would take the mark away.
        assert owner.get(0, CONNECTION) == 0


def test_round_trips(stack):
    states = []
    with stack.owner(lambda msg: states.append(owner.attach(msg.domid)) or 0) as owner:
        port, gfn = stack.introduce(7)
        if stack.flavour == "C":
            gfn = 0
        assert owner.wait(MAP, 7).value == 0
        assert owner.wait(BIND, 7).value == port
        with stack.client() as dom0:
            dom0.release(7)
            owner.wait(UNBIND, 7)
            owner.wait(UNMAP, 7)
            # The memory shows what the message tells, when the message comes.
            assert [s[:2] + (s.mapped,) for s in states] == [
                (1, 0, 1), (1, 1, 1), (1, 2, 1), (2, 2, 0)]
            assert states[1] == (1, 1, port, gfn, 1)
            dom0.introduce(7, gfn, port)
            assert owner.attach(7) == (3, 3, port, gfn, 1)


def test_connection_is_marked_for_c_only(stack):
    """Set when xsproxyd hears of the bind, gone when the daemon is done with the indexes."""
    seen = []

    def policy(msg):
        if msg.type == BIND:
            seen.append(owner.get(7, CONNECTION))
        return 0

    with stack.owner(policy) as owner:
        port, gfn = stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.introduce(7, gfn, port)
        stack.settle(owner, 7)
        assert seen == ([1, 1] if stack.flavour == "C" else [0, 0])


def test_drives_a_ring(stack):
    with stack.owner() as owner:
        stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.write("/local/domain/7/x", "value")
            dom0.set_perms("/local/domain/7/x", "n0", "r7")
            for _ in range(50):
                assert owner.read(7, "x") == "value"
            owner.send(7, xsclient.WATCH, b"x\0token\0")
            assert owner.recv(7)[0] == xsclient.WATCH
            assert owner.recv(7)[0] == xsclient.WATCH_EVENT
            dom0.write("/local/domain/7/x", "new")
            assert owner.recv(7) == (xsclient.WATCH_EVENT, 0, b"x\0token\0")
        # The dom0 kernel's ring is one like the others.
        assert owner.read(0, "/local/domain/7/x") == "new"


def test_many_domains(stack):
    with stack.owner() as owner:
        domains = stack.sim.create_range(1, 100)
        with stack.client() as dom0:
            for domid, (port, gfn) in domains.items():
                dom0.introduce(domid, gfn, port)
                dom0.mkdir(f"/local/domain/{domid}")
                dom0.set_perms(f"/local/domain/{domid}", f"n{domid}")
        for domid in domains:
            stack.settle(owner, domid)
            owner.send(domid, xsclient.WRITE, b"me\0%d" % domid)
        for domid in domains:
            assert owner.recv(domid)[0] == xsclient.WRITE
            assert owner.read(domid, "me") == str(domid)
        stack.sim.destroy("1-100")
        for domid in domains:
            wait_until(lambda d=domid: not owner.attach(d).mapped)
    assert stack.sim.zombies() == []


def test_rebind_keeps_the_port(stack):
    """oxenstored would serve the domain every 20 s only, if its local port changed."""
    with stack.owner() as owner:
        port, gfn = stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.write("/local/domain/7/x", "1")
            dom0.set_perms("/local/domain/7/x", "n0", "r7")
            owner.types(7)
            for _ in range(3):
                dom0.introduce(7, gfn, port)
                stack.settle(owner, 7)
                assert owner.types(7) == [UNBIND, BIND]
                for _ in range(5):
                    assert owner.read(7, "x", timeout=5) == "1"


def test_bind_without_unbind(stack):
    """oxenstored unmaps at RELEASE and says nothing of its port."""
    with stack.owner() as owner:
        port, gfn = stack.introduce(7)
        with stack.client() as dom0:
            dom0.release(7)
            dom0.introduce(7, gfn, port)
            dom0.release(7)
        assert owner.types(7) == [MAP, BIND, UNBIND, UNMAP] * 2


def test_destroy_is_told(stack):
    with stack.owner() as owner:
        stack.introduce(7)
        stack.introduce(8)
        stack.sim.destroy(7)
        owner.wait(UNBIND, 7)
        owner.wait(UNMAP, 7)
        wait_until(lambda: owner.attach(7) == (2, 2) + owner.attach(7)[2:4] + (0,))
        assert owner.attach(8).mapped
    assert stack.sim.zombies() == []


# Answers.


@pytest.mark.parametrize("refused", [MAP, BIND])
def test_refusal_fails_introduce(stack, refused):
    refuse = {refused: -errno.ENOENT}
    with stack.owner(lambda msg: refuse.get(msg.type, 0)) as owner:
        port, gfn = stack.sim.create(7)
        with stack.client() as dom0:
            for _ in range(2):
                with pytest.raises(XsError) as error:
                    dom0.introduce(7, gfn, port)
                assert error.value.name == ("ENOENT" if stack.flavour == "C" else "EINVAL")
                assert not dom0.is_introduced(7)
                # Nothing stays behind, or the domain could never die.
                assert owner.types(7) == ([MAP] if refused == MAP else [MAP, BIND, UNMAP])
                assert owner.attach(7).map_gen % 2 == owner.attach(7).bind_gen % 2 == 0
                assert not owner.attach(7).mapped
            refuse.clear()
            dom0.introduce(7, gfn, port)
            assert owner.types(7) == [MAP, BIND]


def test_refused_rebind_keeps_the_domain(stack):
    refuse = {}
    with stack.owner(lambda msg: refuse.get(msg.type, 0)) as owner:
        port, gfn = stack.introduce(7)
        refuse[BIND] = -errno.EINVAL
        with stack.client() as dom0:
            with contextlib.suppress(XsError):  # C says OK nevertheless
                dom0.introduce(7, gfn, port)
            assert owner.attach(7).mapped and owner.attach(7).bind_gen % 2 == 0
            refuse.clear()
            dom0.introduce(7, gfn, port)
            stack.settle(owner, 7)
            dom0.write("/local/domain/7", "1")
            dom0.set_perms("/local/domain/7", "n0", "r7")
            assert owner.read(7, "/local/domain/7") == "1"


def test_refused_unbind_is_ignored(stack):
    """There is no way back: the daemon is done with the domain."""
    with stack.owner(lambda msg: -errno.EIO if msg.type in (UNBIND, UNMAP) else 0) as owner:
        port, gfn = stack.introduce(7)
        with stack.client() as dom0:
            dom0.release(7)
            assert not owner.attach(7).mapped
            dom0.introduce(7, gfn, port)


def test_silent_owner_is_dropped(stack):
    with stack.owner(lambda msg: None) as owner:
        start = time.monotonic()
        stack.introduce(7)
        # One wait for all of it.
        assert LINK_TIMEOUT <= time.monotonic() - start < 2 * LINK_TIMEOUT
        assert owner.closed.wait(TIMEOUT)
    wait_until(lambda: "does not answer" in stack.daemon.text())
    with stack.owner() as owner:
        assert owner.attach(7)[:2] == (1, 1)


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
        assert owner.types(7) == [MAP]
    with stack.owner() as owner:
        assert owner.attach(7)[:2] == (1, 1)


def test_owner_that_talks_is_dropped(stack):
    with stack.owner() as owner:
        owner.sock.send(MSG.pack(ACK, 0, 0, 0))
        assert owner.closed.wait(TIMEOUT)
    wait_until(lambda: "without being asked" in stack.daemon.text())


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
    assert BRIDGE.name in maps and "xsproxy-arena" not in maps
    assert not any(word in target for target in open_files(console)
                   for word in ("xsproxy-arena", "eventpoll"))
    assert (stack.dir / "bridge").stat().st_ino == inode
    console.check()


def test_inert_without_xen_libraries():
    """Where there is nothing to pass on to, the libc part still works."""
    done = subprocess.run(["cat", "/proc/self/comm"], env={"LD_PRELOAD": str(BRIDGE)},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "cat\n" and done.stderr == ""


# The wrapper.


WRAPPER = ROOT / "systemd/xenstored-wrapper"


def wrapper_env(stack, **extra):
    env = stack.sim.env(XSPROXY_DIR=stack.dir, XSPROXY_BRIDGE=BRIDGE,
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


def test_wrapper_without_the_daemon(tmp_path):
    done = subprocess.run([WRAPPER], capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "XSPROXY_BRIDGE": str(BRIDGE),
                               "XSPROXY_XENSTORED": str(tmp_path / "xenstored")})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "xen-utils" in done.stderr
