# SPDX-License-Identifier: MIT
"""What the test_migrate_*.py files share: xsproxyctl, streams made by hand, a look at all that an
import may change, and faults on the way."""

import contextlib
import json
import queue
import select
import signal
import socket
import struct
import subprocess
import threading

import xensim
import xsclient
from harness import BUILD
from ours import (GET_DOMAIN_STATE, HOLD, RESET_DOMAIN, ask, running, said,
                  tracked_transactions, tracked_watches)
from relay import FLAVOURS, introduce, packet, split, wait_until
from xsclient import ERROR, WATCH_EVENT, join, strings

CTL = BUILD / "xsproxyctl"
ROUTES = [(a, b) for a in FLAVOURS for b in FLAVOURS]
HOME = "/local/domain/7"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def argv(host, *args):
    """What is to be run; an import's journal is where this host's xsproxyd has its files."""
    more = ["--journal", host.run_dir] if args[0] == "import" and "--journal" not in args else []
    return [CTL, *map(str, [*args, *more])]


def ctl_says(host, *args, status=0, socket_path=None, **kwargs):
    """Run xsproxyctl against a host: what it printed, and what it said."""
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(argv(host, *args), capture_output=True, check=False,
                          timeout=xensim.TIMEOUT, env=env(host, socket_path), **kwargs)
    assert done.returncode == status, (args, done.returncode, done.stderr)
    return done.stdout, done.stderr.decode()


def ctl(host, *args, status=0, **kwargs):
    """Run xsproxyctl against a host: what it printed, or, when it fails, what it said."""
    printed, message = ctl_says(host, *args, status=status, **kwargs)
    if status:
        assert message.startswith(f"xsproxyctl {args[0]}: ") and message.endswith("\n")
        return message
    return printed


def env(host, socket_path=None):
    return host.tool_env() | ({"XENSTORED_PATH": str(socket_path)} if socket_path else {})


def start_ctl(host, *args, **kwargs):
    """Start xsproxyctl, and go on while it runs."""
    return subprocess.Popen(argv(host, *args), env=env(host), stderr=subprocess.PIPE,
                            **({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | kwargs))


def shown(octets):
    """What a stream holds: {path: (value, [perm, ...])}, [(path, token), ...], [id, ...]."""
    done = subprocess.run([CTL, "show", "--json", "-"], input=octets, capture_output=True,
                          check=True)
    nodes, watches, transactions = {}, [], []
    for line in done.stdout.splitlines():
        for kind, what in json.loads(line).items():
            if kind == "node":
                assert what["path"] not in nodes
                nodes[what["path"]] = (what["value"], what["permissions"])
            elif kind == "watch":
                watches.append((what["path"], what["token"]))
            elif kind == "transaction":
                transactions.append(what["id"])
    return nodes, watches, transactions


def state(host, domid=7):
    return ask(host.dom0, GET_DOMAIN_STATE, domid).rstrip(b"\0").decode()


def children(client, path):
    """The names of a node's children; the C daemon lists many in parts only."""
    names = said(client.directory, path)
    if names != "E2BIG":
        return names
    octets = b""
    while not octets.endswith(b"\0\0"):
        part = client.request(xsclient.DIRECTORY_PART, join(path, len(octets)))
        octets += part.split(b"\0", 1)[1]
    return strings(octets[:-1])


def tree(client, path="/"):
    """{path: (value, [perm, ...])} of the store at and below a path."""
    found = {path: (client.read(path), client.get_perms(path))}
    for name in children(client, path):
        found |= tree(client, f"{path.rstrip('/')}/{name}")
    return found


def session(host, domid=7):
    """All that an import might change."""
    return (tree(host.dom0), tracked_watches(host.dom0, domid),
            tracked_transactions(host.dom0, domid), state(host, domid))


def pad(octets, to=4):
    return octets + bytes(-len(octets) % to)


def record(body, type_=7):
    return pad(struct.pack("<II", type_, len(body)) + body, 8)


def node(path, value=b"", perms=(("n", 7),)):
    letters = b"".join(struct.pack("<cBH", letter.encode(), 0, domid) for letter, domid in perms)
    path, value = xsclient.to_bytes(path), xsclient.to_bytes(value)
    return record(struct.pack("<II", 1, len(path)) + pad(path) + struct.pack("<I", len(perms)) +
                  letters + struct.pack("<I", len(value)) + pad(value))


def watch(path, token):
    path, token = xsclient.to_bytes(path), xsclient.to_bytes(token)
    return record(struct.pack("<II", 2, len(path)) + pad(path) + struct.pack("<I", len(token)) +
                  pad(token))


def transaction(number):
    return record(struct.pack("<II", 3, number))


def stream(*records):
    return b"LibxlFmt" + struct.pack(">II", 2, 0) + b"".join(records) + bytes(8)


FRESH = [node(HOME, "", [("n", 0), ("r", 7)]), node(f"{HOME}/data", "new", [("n", 7)]),
         node(f"{HOME}/data/a/b", "deep", [("b", 7), ("r", 0)]), node(f"{HOME}/data/a", "late"),
         node(f"{HOME}/error/imported", "yes", [("r", 0)]), watch("data", "relative"),
         watch(f"{HOME}/error/imported", "absolute"), transaction(5), transaction(0xffffffff)]


class Tap:
    """Stands between xsproxyctl and the host's socket: @fault(n, message) sees request number n
    before it is forwarded. It returns None; "cut", to close the connection instead; "lose", to do
    so when the reply comes; or the name of an error, to answer with it."""

    def __init__(self, host, fault=lambda n, msg: None):
        self.host = host
        self.path = host.sim.dir / "tap"
        self.fault = fault
        self.requests = []
        self.under_way = 0  # the most at a time
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # shut down
            with (client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
                  contextlib.suppress(OSError)):  # either side may be gone at any time
                server.connect(str(self.host.socket))
                self._carry(client, server)

    def _carry(self, client, server):
        """One connection after the other, as xsproxyctl has them."""
        asked, came, lost, under_way = b"", b"", set(), 0
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if server in ready:
                data = server.recv(65536)
                messages, came = split(came + data)
                if not data or any(msg.req_id in lost for msg in messages):
                    return
                for msg in messages:
                    under_way -= msg.type != WATCH_EVENT
                    client.sendall(packet(msg.type, msg.payload, msg.req_id, msg.tx_id))
            if client in ready:
                data = client.recv(65536)
                messages, asked = split(asked + data)
                if not data:
                    return
                for msg in messages:
                    self.requests.append(msg)
                    under_way += 1
                    self.under_way = max(self.under_way, under_way)
                    what = self.fault(len(self.requests), msg)
                    if what == "cut":
                        return
                    if what == "lose":
                        lost.add(msg.req_id)
                    if what in (None, "lose"):
                        server.sendall(packet(msg.type, msg.payload, msg.req_id, msg.tx_id))
                    else:
                        under_way -= 1
                        client.sendall(packet(ERROR, join(what), msg.req_id, msg.tx_id))


class Dying:
    """A fault: xsproxyd is killed at the first request of a kind, and its successor starts."""

    def __init__(self, host, where):
        self.host = host
        self.where = where
        self.successor = None

    def __call__(self, _, msg):
        if msg.type != self.where or self.successor:
            return None
        self.host.proxy.kill()
        self.successor = threading.Thread(target=self.host.start_proxy)
        self.successor.start()
        return "cut"


def count_requests(host, *args, **kwargs):
    """How many requests a command takes when nothing goes wrong."""
    with Tap(host) as tap:
        ctl(host, *args, socket_path=tap.path, **kwargs)
        return len(tap.requests)


def signal_at(host, tap, step, sig, *args, octets=None):
    """Run xsproxyctl, with a signal when it has sent request number @step: its exit status."""
    started = queue.SimpleQueue()
    tap.requests.clear()
    tap.fault = lambda n, msg: started.get(timeout=xensim.TIMEOUT).send_signal(sig) if (
        n == step) else None
    process = start_ctl(host, *args, "--socket", tap.path, stdin=subprocess.PIPE)
    started.put(process)
    _, errors = process.communicate(octets, timeout=xensim.TIMEOUT)
    if process.returncode:
        assert errors.count(b"\n") == 1 and b"interrupted by a signal" in errors, errors
    return process.returncode


def assert_runs_on(host, guest):
    """Soon: xsproxyd learns from the end of a connection that a lease has ended."""
    wait_until(lambda: state(host) == "running")
    assert guest.read("domid") == b"7"


@contextlib.contextmanager
def held(flavour, domid=7, **kwargs):
    """A host with a domain that is held and introduced."""
    with running(flavour, **kwargs) as host:
        assert ask(host.dom0, HOLD, domid) == b"OK\0"
        guest, _ = introduce(host, domid)
        yield host, guest


def assert_imported(host):
    found = tree(host.dom0, HOME)
    assert found[HOME] == (b"", ["n0", "r7"])
    assert found[f"{HOME}/data"] == (b"new", ["n7"])
    assert found[f"{HOME}/data/a"] == (b"late", ["n7"])
    assert found[f"{HOME}/data/a/b"] == (b"deep", ["b7", "r0"])
    assert found[f"{HOME}/error/imported"] == (b"yes", ["r0"])
    assert found[f"{HOME}/name"] == (b"guest-7", ["n0", "r7"])  # it was there before
    assert tracked_watches(host.dom0, 7) == [("data", "relative"),
                                             (f"{HOME}/error/imported", "absolute")]
    assert tracked_transactions(host.dom0, 7) == {5, 0xffffffff}


def reset(host):
    """As before the import of FRESH."""
    assert ask(host.dom0, RESET_DOMAIN, 7) == b"OK\0"
    host.dom0.rm(f"{HOME}/error/imported")
    host.dom0.rm(f"{HOME}/data")
    host.dom0.write(f"{HOME}/data", "")
    host.dom0.set_perms(f"{HOME}/data", "n7")
