# SPDX-License-Identifier: MIT
"""xsproxyctl export and import: a session moves between hosts and daemons, and what fails on the
way leaves no trace."""

import array
import contextlib
import json
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import threading

import pytest

import xensim
import xsclient
from harness import BUILD
from ours import (GET_DOMAIN_WATCHES, HOLD, QUIESCE, TX_LIMIT, WATCH_LIMIT, ask, error_of, quiesce,
                  running, said, tracked_transactions, tracked_watches, unquiesce)
from relay import FLAVOURS, RING, introduce, packet, split, wait_until
from xensim import home
from xsclient import (ERROR, READ, TRANSACTION_END, TRANSACTION_START, WATCH_EVENT, WRITE, join,
                      strings)

GET_DOMAIN_STATE, RESET_DOMAIN = 0x107, 0x108
CTL = BUILD / "xsproxyctl"
ROUTES = [(a, b) for a in FLAVOURS for b in FLAVOURS]
HOME = "/local/domain/7"


# --- xsproxyctl

def ctl(host, *args, status=0, socket_path=None, **kwargs):
    """Run xsproxyctl against a host: what it printed, or, when it fails, what it said."""
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([CTL, *map(str, args)], capture_output=True, check=False,
                          timeout=xensim.TIMEOUT, env=env(host, socket_path), **kwargs)
    message = done.stderr.decode()
    assert done.returncode == status, (args, done.returncode, message)
    if status:
        assert message.startswith(f"xsproxyctl {args[0]}: ") and message.endswith("\n")
        return message
    return done.stdout


def env(host, socket_path=None):
    return host.tool_env() | ({"XENSTORED_PATH": str(socket_path)} if socket_path else {})


def start_ctl(host, *args, **kwargs):
    """Start xsproxyctl, and go on while it runs."""
    return subprocess.Popen([CTL, *map(str, args)], env=env(host), stderr=subprocess.PIPE,
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


# --- streams by hand, from protocol.md

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


# --- faults

class Tap:
    """Stands between xsproxyctl and the host's socket: @fault(n, message) sees request number n
    before it is forwarded. It returns None; "cut", to close the connection instead; "lose", to do
    so when the reply comes; or the name of an error, to answer with it."""

    def __init__(self, host, fault=lambda n, msg: None):
        self.host = host
        self.path = host.sim.dir / "tap"
        self.fault = fault
        self.requests = []
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
        asked, came, lost = b"", b"", set()
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if server in ready:
                data = server.recv(65536)
                messages, came = split(came + data)
                if not data or any(msg.req_id in lost for msg in messages):
                    return
                for msg in messages:
                    client.sendall(packet(msg.type, msg.payload, msg.req_id, msg.tx_id))
            if client in ready:
                data = client.recv(65536)
                messages, asked = split(asked + data)
                if not data:
                    return
                for msg in messages:
                    self.requests.append(msg)
                    what = self.fault(len(self.requests), msg)
                    if what == "cut":
                        return
                    if what == "lose":
                        lost.add(msg.req_id)
                    if what in (None, "lose"):
                        server.sendall(packet(msg.type, msg.payload, msg.req_id, msg.tx_id))
                    else:
                        client.sendall(packet(ERROR, join(what), msg.req_id, msg.tx_id))


def count_requests(host, *args, **kwargs):
    """How many requests a command takes when nothing goes wrong."""
    with Tap(host) as tap:
        ctl(host, *args, socket_path=tap.path, **kwargs)
        return len(tap.requests)


# --- a guest that works

class Load:
    """A guest that keeps its ring busy and checks every answer; step() is a moment of its CPU.

    It writes, reads back, lists and commits transactions, up to 24 requests at a time.
    """

    def __init__(self, guest):
        self.guest = guest
        self.events = []
        self.answers = 0
        self.retries = 0
        self.working = True
        self._out = self._in = b""
        self._id = 0
        self._turn = 0
        self._expected = {}  # req_id: what is checked when the answer comes

    def outstanding(self):
        return len(self._expected)

    def _ask(self, check, type_, payload, tx=0):
        self._id += 1
        self._expected[self._id] = (type_, tx, check)
        self._out += packet(type_, payload, self._id, tx)

    def _ok(self, msg):
        assert error_of(msg) is None, msg

    def _generate(self):
        self._turn += 1
        key, value = f"data/key{self._turn % 5}", b"%d" % self._turn
        self._ask(self._ok, WRITE, join(key) + value)
        self._ask(lambda msg: self._is(msg, value), READ, join(key))
        if self._turn % 8 == 0:
            self._ask(self._started, TRANSACTION_START, b"\0")

    @staticmethod
    def _is(msg, value):
        assert (msg.type, msg.payload) == (READ, value), msg

    def _started(self, msg):
        self._ok(msg)
        tx = int(msg.payload.rstrip(b"\0"))
        self._ask(self._ok, WRITE, b"data/tx\0" + b"%d" % tx, tx)
        self._ask(self._committed, TRANSACTION_END, b"T\0", tx)

    def _committed(self, msg):
        if error_of(msg) == "EAGAIN":
            self.retries += 1
            self._ask(self._started, TRANSACTION_START, b"\0")
        else:
            self._ok(msg)

    def _take(self, msg):
        if msg.type == WATCH_EVENT:
            self.events.append(tuple(strings(msg.payload)))
            return
        type_, tx, check = self._expected.pop(msg.req_id)
        assert msg.type in (type_, ERROR), msg
        check(msg)
        self.answers += 1

    def step(self):
        """Whether anything moved."""
        while self.working and len(self._expected) < 24:
            self._generate()
        sent = self.guest.push(self._out) if self._out else 0
        self._out = self._out[sent:]
        got = self.guest.pull(2 * RING)
        messages, self._in = split(self._in + got)
        for msg in messages:
            self._take(msg)
        return bool(sent or got)

    def until(self, condition):
        """Work until it is so."""
        while not condition():
            if not self.step():
                self.guest.wait_event()

    def more(self, answers):
        want = self.answers + answers
        self.until(lambda: self.answers >= want)

    def until_stuck(self):
        """Work until the ring takes nothing more, as it is with a server that does not serve."""
        while self.step():
            pass

    def finish(self):
        self.working = False
        self.until(lambda: not self._expected)

    def wait_for(self, event):
        self.until(lambda: event in self.events)
        self.events.remove(event)


def export_under_load(host, load, *args):
    """Export while the guest works: the stream."""
    process = start_ctl(host, "export", *args)
    while not select.select([process.stdout], [], [], 0)[0]:
        load.step()
    octets, errors = process.communicate(timeout=xensim.TIMEOUT)
    assert (process.returncode, errors) == (0, b"")
    return octets


def arrive(host, octets, load, *args, domid=7):
    """The domain, paused by now, on the other host: hold, introduce, import."""
    load.guest.halt()
    page = load.guest.page()
    ctl(host, "hold", domid)
    domain = host.sim.create(domid)
    home(host.dom0, domid)
    load.guest = host.guest(domid)
    load.guest.page_write(0, page)
    host.dom0.introduce(domid, domain.gfn, domain.port)
    assert state(host, domid) == "held"
    ctl(host, "import", domid, "--resume", *args, input=octets)
    assert state(host, domid) == "running"


def prepare(guest):
    """Watches of each kind, their first events taken; two open transactions."""
    watches = [("control/shutdown", "relative"), (f"{HOME}/data/abs", "absolute"),
               ("@releaseDomain", "special"), ("device", "")]
    for path, token in watches:
        guest.watch(path, token)
        assert guest.wait_watch() == (path, token)
    first, second = guest.start(), guest.start()
    guest.write("data/in", "first", tx=first)
    return watches, first, second


# --- the whole way

@pytest.mark.parametrize("here, there", ROUTES)
def test_move(here, there):
    """A guest under load moves, and sees nothing but one event for each of its watches."""
    with running(here) as source, running(there) as target:
        load = Load(source.add_guest(7))
        watches, first, second = prepare(load.guest)
        load.more(100)
        octets = export_under_load(source, load, 7)
        load.until_stuck()
        assert state(source) == "quiesced"
        assert load.outstanding()
        load.events.clear()
        arrive(target, octets, load)

        load.more(100)
        for event in watches:
            load.wait_for(event)
        assert load.events == []
        load.finish()
        assert tracked_watches(target.dom0, 7) == watches
        assert {first, second} <= tracked_transactions(target.dom0, 7)
        still_fires(target, load)
        ends_transactions(load.guest, first, second)


def still_fires(host, load):
    host.dom0.write(f"{HOME}/control/shutdown", "suspend")
    load.wait_for(("control/shutdown", "relative"))
    host.dom0.write(f"{HOME}/data/abs/below", "x")
    load.wait_for((f"{HOME}/data/abs/below", "absolute"))
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    host.add_guest(9)
    host.sim.destroy(9)
    load.wait_for(("@releaseDomain", "special"))
    assert load.events == []


def ends_transactions(guest, first, second):
    """The first one conflicts, as nobody knows what it wrote; done again it succeeds."""
    assert said(guest.end, first) == "EAGAIN"
    assert not guest.exists("data/in")
    again = guest.start()
    guest.write("data/in", "again", tx=again)
    guest.end(again)
    assert guest.read("data/in") == b"again"
    assert said(guest.end, second, False) is None


@pytest.mark.parametrize("here, there", ROUTES)
def test_move_to_another_domid(here, there):
    with running(here) as source, running(there) as target:
        load = Load(source.add_guest(7))
        prepare(load.guest)
        load.guest.write("data/text", HOME)
        octets = export_under_load(source, load, 7)
        load.until_stuck()
        load.events.clear()
        arrive(target, octets, load, "--map-domid", "7=12", domid=12)
        load.more(50)
        load.wait_for(("/local/domain/12/data/abs", "absolute"))
        load.finish()
        assert load.guest.read("data/text") == HOME.encode()
        assert target.dom0.get_perms("/local/domain/12/data") == ["n12"]
        assert target.dom0.directory("/local/domain") == ["12"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_release_and_introduce(flavour, tmp_path):
    """The C daemon deletes the domain's nodes at RELEASE; import brings them back."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        load = Load(guest)
        watches, first, second = prepare(guest)
        load.more(50)
        assert export_under_load(host, load, 7, "-o", tmp_path / "stream") == b""
        load.until_stuck()
        before = tree(host.dom0, HOME)
        load.events.clear()

        host.dom0.release(7)
        ctl(host, "hold", 7)
        host.dom0.introduce(7, domain.gfn, domain.port)
        ctl(host, "import", 7, "-i", tmp_path / "stream")
        assert tree(host.dom0, HOME) == before
        ctl(host, "unquiesce", 7)
        load.more(50)
        for event in watches:
            load.wait_for(event)
        load.finish()
        still_fires(host, load)
        ends_transactions(guest, first, second)


@pytest.mark.parametrize("here, there", ROUTES)
def test_pipe(here, there):
    """As the manual has it: export there, import here, nothing in between."""
    with running(here) as source, running(there) as target:
        source.add_guest(7).write("data/x", "moved")
        ask(target.dom0, HOLD, 7)
        guest, _ = introduce(target, 7)
        sender = start_ctl(source, "export", 7)
        ctl(target, "import", 7, "--resume", stdin=sender.stdout)
        assert sender.wait(xensim.TIMEOUT) == 0
        assert guest.read("data/x") == b"moved"
        for process in (sender.stdout, sender.stderr):
            process.close()


# --- export

@pytest.mark.parametrize("flavour", FLAVOURS)
def test_content(flavour, tmp_path):
    """Every node with its value and permissions, whatever they are made of."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        dom0 = host.dom0
        dom0.write(f"{HOME}/data/octets", bytes(range(256)))
        dom0.write(f"{HOME}/data/large", b"x" * 2000)
        dom0.set_perms(f"{HOME}/data/large", "n7", "r0", "b3", "w4")
        for i in range(400):  # names of more than 4096 octets
            dom0.write(f"{HOME}/data/many/child-{i:06}", i)
        dom0.write("/vm/7/uuid", "u")
        dom0.write("/vm/70", "not a part")
        dom0.write("/local/domain/70/x", "not a part")
        watches = [(f"data/{i}", f"{i:0200}") for i in range(50)]  # three pages
        for path, token in watches:
            guest.watch(path, token)
        numbers = {guest.start() for _ in range(3)}

        octets = ctl(host, "export", 7, "--root", "/vm/7", "--root", f"{HOME}/data")
        nodes, exported, transactions = shown(octets)
        expected = tree(dom0, HOME) | tree(dom0, "/vm/7")
        assert nodes.keys() == expected.keys()
        assert list(nodes) == sorted(expected)
        for path, (value, perms) in expected.items():
            assert nodes[path][1] == perms
            if path != f"{HOME}/data/octets":
                assert nodes[path][0] == value.decode()
        assert exported == watches
        assert set(transactions) == numbers and len(transactions) == 3
        assert state(host) == "quiesced"
        # Again, of a domain that is quiesced already, to a file.
        path = tmp_path / "stream"
        path.write_text("old")
        assert ctl(host, "export", 7, "--root", "/vm/7", "-o", path, "--resume") == b""
        assert path.read_bytes() == octets
        assert path.stat().st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path) == ["stream"]
        assert state(host) == "running"
        assert b"\\x00\\x01\\x02" in subprocess.run([CTL, "show", path], capture_output=True,
                                                 check=True).stdout


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_changes_while_exporting(flavour):
    """What changes behind the reader's back is read again; what never rests is warned about."""
    with running(flavour) as host:
        host.add_guest(7)
        host.dom0.write("/vm/7/early", "old")
        writer = host.client()
        changes = []

        def change(_, msg):
            # Each time that its permissions are asked for, its value has been sent already.
            if msg.type == xsclient.GET_PERMS and msg.payload == join("/vm/7/early"):
                changes.append(len(changes))
                if len(changes) <= times:
                    writer.write("/vm/7/early", len(changes))
                    writer.write(f"/vm/7/new{len(changes)}", "x")

        for times, read_again in ((1, 2), (2, 3), (1000, 4)):
            changes.clear()
            with Tap(host, change) as tap:
                done = subprocess.run([CTL, "export", "7", "--root", "/vm/7", "--resume"],
                                      env=env(host, tap.path), capture_output=True, check=True)
            nodes = shown(done.stdout)[0]
            assert len(changes) == read_again
            assert (b"/vm/7/" in done.stderr and b"nodes keep changing" in done.stderr) == (
                times == 1000)
            if times < 1000:
                assert nodes["/vm/7/early"][0] == str(times)
                assert f"/vm/7/new{times}" in nodes


# --- export that fails

def assert_runs_on(host, guest):
    assert state(host) == "running"
    assert guest.read("domid") == b"7"


def export_fails(host, guest, tap, path, fault):
    tap.requests.clear()
    tap.fault = fault
    message = ctl(host, "export", 7, "-o", path, status=1, socket_path=tap.path)
    assert message.count("\n") == 1, message
    assert_runs_on(host, guest)


@pytest.mark.parametrize("how", ["cut", "lose", "EIO"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_export_fails_at_each_step(flavour, how, tmp_path):
    """The guest runs on, no file is left, one line says why."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.start()
        steps = count_requests(host, "export", 7)
        unquiesce(host.dom0, 7)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                export_fails(host, guest, tap, tmp_path / "stream",
                             lambda n, msg, at=step: how if n == at else None)
                assert os.listdir(tmp_path) == []
        assert guest.wait_watch() == ("data", "token")
        assert not guest.events


@pytest.mark.parametrize("where", [QUIESCE, GET_DOMAIN_WATCHES, READ])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xsproxyd_dies_meanwhile(flavour, where, tmp_path):
    """Its successor is waited for, and told that the guest may go on."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        successors = []

        def fault(_, msg):
            if msg.type != where or successors:
                return None
            host.proxy.kill()
            successors.append(threading.Thread(target=host.start_proxy))
            successors[0].start()
            return "cut"

        with Tap(host, fault) as tap:
            ctl(host, "export", 7, "-o", tmp_path / "stream", status=1, socket_path=tap.path)
        successors[0].join()
        assert os.listdir(tmp_path) == []
        assert ask(host.client(), GET_DOMAIN_STATE, 7) == b"running\0"
        assert guest.read("domid") == b"7"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_failed_export_leaves_quiesced_what_was(flavour, tmp_path):
    """A domain that somebody else has quiesced is not unquiesced by a failure here."""
    with running(flavour) as host:
        host.add_guest(7)
        quiesce(host.dom0, 7)
        message = ctl(host, "export", 7, "--root", "/nowhere", "-o", tmp_path / "stream", status=1)
        assert message == ("xsproxyctl export: cannot read /nowhere: No such file or directory\n")
        assert state(host) == "quiesced"
        assert os.listdir(tmp_path) == []


def test_export_refusals(tmp_path):
    with running("C") as host:
        assert "domain 7: it is not introduced" in ctl(host, "export", 7, "-o", tmp_path / "s",
                                                       status=1)
        guest = host.add_guest(7)
        assert "No such file or directory" in ctl(
            host, "export", 7, "-o", tmp_path / "none" / "stream", status=1)
        assert_runs_on(host, guest)
        # Half a request, which this guest never completes.
        guest.send_raw(packet(READ, b"domid\0")[:20])
        assert "does not come to rest" in ctl(host, "export", 7, status=1)
        guest.send_raw(packet(READ, b"domid\0")[20:])
        assert guest.recv_reply().payload == b"7"
        assert_runs_on(host, guest)
        guest.send_raw(packet(READ, b"", length=5000))
        wait_until(lambda: state(host) == "ended")
        assert "broken the Xenstore protocol" in ctl(host, "export", 7, status=1)
        assert "is xsproxyd running?" in ctl(host, "export", 7, "--socket", "/nowhere", status=1)
        for args in (("export",), ("export", "0"), ("export", "7", "--frob"), ("frob",)):
            assert subprocess.run([CTL, *args], capture_output=True, check=False).returncode == 2


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("sig", SIGNALS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_while_writing(flavour, sig):
    """The reader of the pipe has stopped reading."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(100):
            host.dom0.write(f"{HOME}/data/n{i}", b"x" * 1500)  # more than a pipe holds
        process = start_ctl(host, "export", 7)
        assert select.select([process.stdout], [], [], xensim.TIMEOUT)[0]
        process.send_signal(sig)
        assert process.wait(xensim.TIMEOUT) == 1
        assert process.stderr.read() == (
            b"xsproxyctl export: cannot write the stream: interrupted by a signal\n")
        assert_runs_on(host, guest)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("sig", SIGNALS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_while_quiescing(flavour, sig, tmp_path):
    """The guest is in the middle of a request; it goes on as if nobody had asked."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        half = packet(WRITE, b"data/long\0" + b"x" * 1500, req_id=5)
        guest.send_raw(half[:1000])
        asked = threading.Event()
        with Tap(host, lambda n, msg: asked.set() if msg.type == QUIESCE else None) as tap:
            process = start_ctl(host, "export", 7, "-o", tmp_path / "stream", "--socket", tap.path)
            assert asked.wait(xensim.TIMEOUT)
            process.send_signal(sig)
            _, errors = process.communicate(timeout=xensim.TIMEOUT)
        assert process.returncode == 1
        assert errors == (b"xsproxyctl export: cannot quiesce domain 7: interrupted by a signal\n")
        assert os.listdir(tmp_path) == []
        guest.send_raw(half[1000:])
        assert guest.recv_reply().req_id == 5
        assert_runs_on(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_reader_goes_away(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        process = start_ctl(host, "export", 7)
        process.stdout.close()
        assert process.wait(xensim.TIMEOUT) == 1
        assert process.stderr.read() == (b"xsproxyctl export: cannot write the stream: the other "
                                         b"side closed the connection\n")
        process.stderr.close()
        assert_runs_on(host, guest)


# --- import

FRESH = [node(HOME, "", [("n", 0), ("r", 7)]), node(f"{HOME}/data", "new", [("n", 7)]),
         node(f"{HOME}/data/a/b", "deep", [("b", 7), ("r", 0)]), node(f"{HOME}/data/a", "late"),
         node(f"{HOME}/imported", "yes", [("r", 0)]), watch("data", "relative"),
         watch(f"{HOME}/imported", "absolute"), transaction(5), transaction(0xffffffff)]


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
    assert found[f"{HOME}/imported"] == (b"yes", ["r0"])
    assert found[f"{HOME}/name"] == (b"guest-7", ["n0", "r7"])  # it was there before
    assert tracked_watches(host.dom0, 7) == [("data", "relative"), (f"{HOME}/imported", "absolute")]
    assert tracked_transactions(host.dom0, 7) == {5, 0xffffffff}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import(flavour):
    """Nodes in any order, owners, what was there before; the domain stays held."""
    with held(flavour) as (host, guest):
        page = guest.page()
        assert ctl(host, "import", 7, input=stream(*FRESH)) == b""
        assert_imported(host)
        assert state(host) == "held"
        assert guest.page() == page
        unquiesce(host.dom0, 7)
        events = [guest.wait_watch(), guest.wait_watch()]
        assert events == [("data", "relative"), (f"{HOME}/imported", "absolute")]
        assert error_of(guest.call(TRANSACTION_END, b"T\0", tx=5)) == "EAGAIN"
        assert error_of(guest.call(TRANSACTION_END, b"F\0", tx=0xffffffff)) is None
        assert not guest.events


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_of_nothing(flavour):
    with held(flavour) as (host, _):
        before = session(host)
        assert ctl(host, "import", 7, input=stream()) == b""
        assert session(host) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_is_refused(flavour):
    """A domain that runs, is not there, or has something of its own."""
    with running(flavour) as host:
        octets = stream(*FRESH)
        assert "domain 7: it is not introduced" in ctl(host, "import", 7, input=octets, status=1)
        assert ask(host.dom0, HOLD, 7) == b"OK\0"
        assert "domain 7: it is not introduced" in ctl(host, "import", 7, input=octets, status=1)
        unquiesce(host.dom0, 7)
        guest = host.add_guest(7)
        before = session(host)
        assert "domain 7 is running" in ctl(host, "import", 7, input=octets, status=1)
        guest.watch("own", "own")
        quiesce(host.dom0, 7)
        assert "has watches or transactions already" in ctl(host, "import", 7, input=octets,
                                                            status=1)
        unquiesce(host.dom0, 7)
        guest.unwatch("own", "own")
        assert session(host) == before
        # Without any of its own, a domain that has run can be imported into.
        quiesce(host.dom0, 7)
        ctl(host, "import", 7, "--resume", input=octets)
        assert_imported(host)
        guest.events.clear()
        assert_runs_on(host, guest)


HOSTILE = {
    "is outside the domain's home": [
        node("/tool/xenstored", "x"), node("/local/domain/70", "x"), node("/local/domain", "x"),
        node("/", "x"), node("/local/domain/07/x", "x"), node("/vm/8", "x")],
    "a permission for domain 8": [
        node(f"{HOME}/x", "x", [("n", 8)]), node(f"{HOME}/x", "x", [("n", 7), ("r", 8)])],
    "is neither in the stream nor in the store": [node(f"{HOME}/none/x", "x")],
    "'//' in the path": [node(f"{HOME}//x", "x")],
    "NUL in the path": [node(f"{HOME}/x\0y", "x"), watch("a\0b", "x")],
    "octet 0x2e in the path": [node(f"{HOME}/../8/x", "x"), watch("../8", "x")],
    "tx_id is 0": [transaction(0)],
    "path and value have": [node(f"{HOME}/x", b"x" * 4090)],
    "path and permissions do not fit": [node(f"{HOME}/x", "", [("r", 7)] * 2000)],
    "path and token have": [watch("x", "y" * 4063)],
    "but": [record(struct.pack("<II", 1, 0xffffffff) + b"/x12"),
            record(struct.pack("<II", 1, 4) + b"/x12" + struct.pack("<I", 0xffffffff)),
            record(struct.pack("<II", 2, 0xfffffffc))],
    "the stream ends inside a record's body": [struct.pack("<II", 7, 0xffffffff)],
    "was given before": [watch("x", "y") + watch("x", "y"), transaction(5)],
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hostile_streams(flavour):
    """Whatever else is in them, nothing is changed."""
    with held(flavour) as (host, _):
        before = session(host)
        for reason, records in HOSTILE.items():
            for bad in records:
                message = ctl(host, "import", 7, "--root", "/vm/7", input=stream(*FRESH, bad),
                                status=1)
                assert reason in message, message
                assert message.count("\n") == 1
        many = array.array("I", [7, 8, 3, 0]) * 10_000_000  # different transactions
        many[3::4] = array.array("I", range(1, 10_000_001))
        assert "longer than 67108864 octets" in ctl(host, "import", 7, input=stream(many.tobytes()),
                                                    status=1)
        assert session(host) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_roots_and_maps(flavour):
    with held(flavour) as (host, _):
        host.dom0.write("/vm", "")
        octets = stream(node("/vm/7", "v", [("n", 0), ("r", 3), ("r", 4)]))
        assert "is outside" in ctl(host, "import", 7, input=octets, status=1)
        assert "domain 3" in ctl(host, "import", 7, "--root", "/vm/7", input=octets, status=1)
        ctl(host, "import", 7, "--root", "/vm/7", "--map-domid", "3=13", "--map-domid", "4=7",
            input=octets)
        assert tree(host.dom0, "/vm/7") == {"/vm/7": (b"v", ["n0", "r13", "r7"])}
        assert "two --map-domid name the same domain" in ctl(
            host, "import", 7, "--map-domid", "3=13", "--map-domid", "4=13", input=octets, status=1)


# --- import that fails

def reset(host):
    """As before the import of FRESH."""
    assert ask(host.dom0, RESET_DOMAIN, 7) == b"OK\0"
    host.dom0.rm(f"{HOME}/imported")
    host.dom0.rm(f"{HOME}/data")
    host.dom0.write(f"{HOME}/data", "")
    host.dom0.set_perms(f"{HOME}/data", "n7")


def sees_nothing_but_the_import(host, guest):
    ctl(host, "import", 7, "--resume", input=stream(*FRESH))
    assert_imported(host)
    assert guest.read("data/a/b") == b"deep"
    assert [tuple(event) for event in guest.events] == [("data", "relative"),
                                                        (f"{HOME}/imported", "absolute")]


@pytest.mark.parametrize("how", ["cut", "lose", "EIO"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_fails_at_each_step(flavour, how):
    """Everything is as it was, and the import can be tried again."""
    with held(flavour) as (host, guest):
        before = session(host)
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        assert session(host) == before
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                tap.requests.clear()
                tap.fault = lambda n, msg, at=step: how if n == at else None
                message = ctl(host, "import", 7, input=octets, status=1, socket_path=tap.path)
                assert message.count("\n") == 1, message
                assert session(host) == before, (step, message)
        sees_nothing_but_the_import(host, guest)


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


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_at_each_step_of_import(flavour):
    """All or nothing; what is under way when it is too late to stop is taken back."""
    with held(flavour) as (host, guest):
        before = session(host)
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                sig = SIGNALS[step % len(SIGNALS)]
                if signal_at(host, tap, step, sig, "import", 7, octets=octets) == 0:
                    assert step == steps
                    assert_imported(host)
                    reset(host)
                assert session(host) == before, step
        sees_nothing_but_the_import(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_at_each_step_of_export(flavour, tmp_path):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        steps = count_requests(host, "export", 7)
        unquiesce(host.dom0, 7)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                sig = SIGNALS[step % len(SIGNALS)]
                assert signal_at(host, tap, step, sig, "export", 7, "-o", tmp_path / "stream") == 1
                assert_runs_on(host, guest)
                assert os.listdir(tmp_path) == []


def refused_by_quota(host, records, message):
    before = session(host)
    assert message in ctl(host, "import", 7, input=stream(*FRESH[:5], *records), status=1)
    assert session(host) == before


@pytest.mark.parametrize("size", [1, 60])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_watch_too_many(flavour, size):
    """In the first request that adds watches, or in the last of several."""
    with held(flavour) as (host, _):
        most = WATCH_LIMIT[flavour]
        many = [watch(f"w{i}", "t" * size) for i in range(most + 1)]
        refused_by_quota(host, many, f" to {len(many)} of the stream to domain 7: ")
        ctl(host, "import", 7, input=stream(*FRESH[:5], *many[1:]))
        assert len(tracked_watches(host.dom0, 7)) == most


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_transaction_too_many(flavour):
    with held(flavour) as (host, _):
        many = [transaction(100 + i) for i in range(TX_LIMIT + 1)]
        refused_by_quota(host, many, f"cannot open transaction {100 + TX_LIMIT} of domain 7: ")
        ctl(host, "import", 7, input=stream(*FRESH[:5], *many[1:]))
        assert len(tracked_transactions(host.dom0, 7)) == TX_LIMIT


@pytest.mark.parametrize("times", [0, 3, 1000])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_conflicts(flavour, times):
    """Somebody else writes to the same node just before each of the first commits. oxenstored can
    replay such a transaction; the C daemon has it done again."""
    with held(flavour) as (host, _):
        other = host.client()
        before = session(host)
        commits = []

        def fault(_, msg):
            if msg.type == TRANSACTION_END:
                commits.append(msg)
                if len(commits) <= times:
                    other.write(f"{HOME}/data", "conflict")
                    other.write(f"{HOME}/data", "")

        with Tap(host, fault) as tap:
            status = int(flavour == "C" and times == 1000)
            message = ctl(host, "import", 7, input=stream(*FRESH), socket_path=tap.path,
                            status=status)
        if status:
            assert "others changed them in each of 20 tries" in message
            assert len(commits) == 20
            assert session(host) == before
        else:
            assert_imported(host)
            assert len(commits) == (times + 1 if flavour == "C" else 1)


# --- the other commands

@pytest.mark.parametrize("flavour", FLAVOURS)
def test_simple_commands(flavour):
    with running(flavour) as host:
        assert ctl(host, "hold", 7) == b""
        assert state(host) == "held"
        guest = host.add_guest(7)
        assert "is introduced already" in ctl(host, "hold", 7, status=1)
        assert ctl(host, "unquiesce", 7) == b""
        assert_runs_on(host, guest)
        assert ctl(host, "watches", 7) == b"PATH  TOKEN\n"
        guest.watch("control/shutdown", "a b\\")
        guest.watch("@x", b"\xff\n")
        number = guest.start()
        assert ctl(host, "watches", 7) == (b"PATH              TOKEN\n"
                                           b"control/shutdown  a\\x20b\\x5c\n"
                                           b"@x                \\xff\\x0a\n")
        assert json.loads(ctl(host, "watches", 7, "--json")) == {"domid": 7, "watches": [
            {"path": "control/shutdown", "token": "a b\\x5c"},
            {"path": "@x", "token": "\\xff\n"}]}
        assert ctl(host, "transactions", 7) == b"TRANSACTION\n%d\n" % number
        assert json.loads(ctl(host, "transactions", 7, "--json")) == {
            "domid": 7, "transactions": [number]}
        assert ctl(host, "quiesce", 7) == b""
        assert state(host) == "quiesced"
        for command in ("quiesce", "unquiesce", "watches", "transactions"):
            assert "domain 8: it is not introduced" in ctl(host, command, 8, status=1)
