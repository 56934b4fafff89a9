# SPDX-License-Identifier: MIT
"""What real daemons write of themselves, converted: they take what `xsproxyctl convert` wrote, in
the same process, under guests and clients that go on; what is lost is listed."""

import contextlib
import json
import re
import signal
import socket
import subprocess

import pytest

from becoming import become
from harness import Host, xensim, xsclient
from migration import CTL, ctl, shown, tree
from ours import running
from relay import FLAVOURS, packet
from versions import EXPECT
from xsguest import Guest

DATA = "/local/domain/7/data"
EVENTS = 60  # of a guest that does not read: more than its ring has room for


def octets(text):
    """What is shown as @text in JSON."""
    return re.sub(rb"\\x(..)", lambda match: bytes.fromhex(match[1].decode()), text.encode())


def items(path):
    """What a state holds: [(kind, {...}), ...], without the summary."""
    done = subprocess.run([CTL, "show", "--json", path], capture_output=True, text=True,
                          check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [next(iter(line.items())) for line in lines[:-1]]


def of_kind(path, *kinds):
    return [each for each in items(path) if each[0] in kinds]


def store(path, stale):
    """{path: (value, [perm, ...])} of the nodes of a state, as GET_PERMS says it: @stale: with
    permissions that count for nobody."""
    return {what["path"]: (octets(what["value"]),
                           [perm.removesuffix("(stale)") for perm in what["permissions"]
                            if stale or not perm.endswith("(stale)")])
            for _, what in of_kind(path, "node")
            if what["path"].startswith("/") and what["path"] != "/tool/xenstored"}


def walked(client):
    """The same of a daemon."""
    return {path: (value, [perm.decode() if isinstance(perm, bytes) else perm for perm in perms])
            for path, (value, perms) in tree(client).items()
            if not path.startswith("/@") and path != "/tool/xenstored"}


class Scene(xsclient.Closing):
    """A host without xsproxy, with a little of everything."""

    def __init__(self, flavour):
        self.host = Host(flavour, proxied=False)
        self.rings, self.guests = {}, {}
        self.dom0 = self.host.dom0
        for domid in (7, 8):
            self.introduce(domid)
        self.fill()

    def close(self):
        self.host.dump()
        for guest in self.guests.values():
            guest.close()
        self.host.close()

    def introduce(self, domid):
        self.rings[domid] = ring = self.host.sim.create(domid)
        xensim.home(self.dom0, domid)
        # Whichever daemon serves it: oxenstored needs a nudge now and then.
        self.guests[domid] = Guest(self.host.sim.dir, domid, nudge=xensim.NUDGE)
        self.dom0.introduce(domid, ring.gfn, ring.port)

    def fill(self):
        dom0, guest = self.dom0, self.guests[7]
        dom0.write("/secret", "of a domain that is not there")
        dom0.set_perms("/secret", "n0", "r9")
        dom0.write("/bin", bytes(range(256)))
        dom0.write("/deep" + "/x" * 200, "deep")
        dom0.set_perms("/local/domain/8/data", "n8", "r7")
        guest.write("data/own", b"\0\xff")
        guest.set_perms("data/own", "n7", "b8", "r0")
        for path, token in ((DATA, "a token"), ("@introduceDomain", "")):
            dom0.watch(path, token)
            dom0.wait_event()
        for path in ("data", "/local/domain/8/data", "@releaseDomain"):
            guest.watch(path, "mine")
            guest.wait_watch()

    def become(self, after, *force):
        return become(self.host, after, self.rings, *force)

    def check_alive(self, value):
        """Rings, event channels, sockets and watches go on."""
        guest, dom0 = self.guests[7], self.dom0
        guest.write("data/new", value)
        assert guest.wait_watch().path == "data/new"
        assert dom0.wait_event(path=f"{DATA}/new").token == "a token"
        dom0.write("/local/domain/8/data/from0", value)
        assert guest.wait_watch().path == "/local/domain/8/data/from0"
        assert self.guests[8].read("data/from0") == value.encode()
        with self.host.client() as other:
            assert other.read(f"{DATA}/new") == value.encode()
        with pytest.raises(xsclient.XsError, match="EEXIST"):
            dom0.watch(DATA, "a token")
        self.host.check()


@pytest.fixture(name="scene", params=FLAVOURS)
def a_scene(request):
    with Scene(request.param) as scene:
        yield scene


@pytest.mark.parametrize("after", FLAVOURS)
def test_becomes(scene, after):
    """Into itself and into the other, and from there into itself again."""
    same = after == scene.host.flavour
    work = scene.become(after)
    before = store(work / "before", stale=same)
    assert len(before) >= 240
    assert walked(scene.dom0) == before
    scene.check_alive("first")
    again = scene.become(after)
    assert walked(scene.dom0) == store(again / "before", stale=True)
    assert (again / "before").read_bytes() == (again / "after").read_bytes()
    assert (again / "lost").read_text() == ""
    scene.check_alive("second")


def test_c_permission_of_nobody():
    """Who gets the number of a domain that was not there does not get its permissions."""
    for after in FLAVOURS:
        with Scene("C") as scene:
            work = scene.become(after)
            [secret] = [what for _, what in of_kind(work / "before", "node")
                        if what["path"] == "/secret"]
            assert secret["permissions"] == ["n0", "r9(stale)"]
            scene.introduce(9)
            assert scene.guests[9].read("domid") == b"9"
            with pytest.raises(xsclient.XsError, match="EACCES"):
                scene.guests[9].read("/secret")


def test_ox_odd_permission():
    """oxenstored writes a number that it cannot read, and would lose the node."""
    with Scene("O") as scene:
        scene.dom0.write("/odd", "value")
        scene.dom0.write("/odd/below", "more")
        scene.dom0.set_perms("/odd", "n0", "r-5", "r7")
        work = scene.become("O")
        assert b"9223372036854775803".hex().encode() in (work / "before").read_bytes()
        assert lost(work) == ["left out: /odd: permission r?: this is no domain"]
        assert scene.dom0.read("/odd") == b"value"
        assert scene.dom0.get_perms("/odd") == ["n0", "r7"]
        assert scene.dom0.read("/odd/below") == b"more"


# --- queues, which only the C daemon's stream has

def fill_queues(scene):
    """A guest and a client in the middle of a request, a guest that does not read."""
    asks = scene.host.client()
    asks.directory("/")
    scene.guests[7].send_raw(packet(xsclient.READ, b"domid\0")[:-3])
    asks.send_raw(packet(xsclient.READ, b"/local/domain/7/domid\0")[:-3])
    for i in range(EVENTS):
        scene.dom0.write(f"{DATA}/{i}", "")
        scene.dom0.wait_event(path=f"{DATA}/{i}")
    return asks


def queues(path):
    """{peer: (octets read, octets not sent)} of a state."""
    found = {}
    for _, what in of_kind(path, "connection"):
        if "read" in what or "unsent" in what:
            peer = f"d{what['domain']}" if "domain" in what else f"fd{what['socket']}"
            found[peer] = (octets(what.get("read", "")), octets(what.get("unsent", "")))
    return found


def test_c_queues():
    """Half requests are finished, and what was not read is read, each once."""
    with Scene("C") as scene:
        asks = fill_queues(scene)
        work = scene.become("C")
        assert (work / "before").read_bytes() == (work / "after").read_bytes()
        found = queues(work / "before")
        assert len(found["d7"][0]) == 19 and b"data/59\0mine\0" in found["d7"][1]
        assert [len(read) for read, _ in found.values()].count(35) == 1
        scene.guests[7].send_raw(b"id\0")
        asks.send_raw(b"id\0")
        assert asks.recv_reply().payload == scene.guests[7].recv_reply().payload == b"7"
        paths = [scene.guests[7].wait_watch().path for _ in range(EVENTS)]
        assert paths == [f"data/{i}" for i in range(EVENTS)]
        scene.check_alive("after")


def lost(work):
    """What xsproxyctl said, without the numbers of descriptors."""
    said = (work / "lost").read_text().replace("xsproxyctl convert: ", "")
    return sorted(set(re.sub(r"fd\d+", "fdN", said).splitlines()))


NO_PLACE = "this format has no place for them"
NOT_THERE = "its frame and the domain's port are not in the state; they are 0 now"


def test_c_losses():
    """What oxenstored would not take is not written, and each thing is listed."""
    with Scene("C") as scene:
        dom0 = scene.dom0
        dom0.set_target(7, 8)
        dom0.write("/long", "x" * 2049)
        dom0.write("/long/below", "short")
        dom0.write("/just", "x" * 2048)
        for i in range(102):
            scene.guests[8].watch(f"data/{i}", "token")
            scene.guests[8].wait_watch()
        fill_queues(scene)
        work = scene.become("O")
        assert lost(work) == sorted(f"left out: {what}" for what in (
            "/long: node: oxenstored takes no value of so many octets",
            "/long/below: node: it is below a node that is left out",
            "data/101: watch token: oxenstored takes no more watches of a domain",
            "target of d7: this format has no place for it; SET_TARGET sets it again",
            *(f"ring of d{domid}: {NOT_THERE}" for domid in (7, 8)),
            *(f"requests read of {who}: {NO_PLACE}" for who in ("d7", "fdN")),
            *(f"replies and events for {who}: {NO_PLACE}" for who in ("d7", "fdN"))))
        before = store(work / "before", stale=False)
        for path in ("/long", "/long/below"):
            del before[path]
        assert walked(dom0) == before
        assert [what["path"] for _, what in of_kind(work / "after", "watch")
                if what.get("domain") == 8] == [f"data/{i}" for i in range(101)]


def test_c_takes_no_more(tmp_path):
    """With --strict nothing is written, and --report has each loss as an object."""
    before, out, report = (tmp_path / name for name in ("before", "out", "report"))
    with Scene("C") as scene:
        scene.dom0.write("/long", "x" * 2049)
        before.write_bytes((scene.become("C") / "before").read_bytes())
    args = [CTL, "convert", before, "--to", "oxenstored", "-o", out]
    done = subprocess.run([*args, "--strict"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not out.exists()
    assert done.stderr.splitlines()[-1] == (
        f"xsproxyctl convert: not all of {before} can be converted, and --strict is given")
    done = subprocess.run([*args, "--report", report], capture_output=True, text=True, check=True)
    losses = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(losses) == len(done.stderr.splitlines()) > 1
    assert {"left_out": {"what": "node", "path": "/long",
                         "why": "oxenstored takes no value of so many octets"}} in losses


def test_c_open_transactions():
    """The C daemon writes none; who goes on with one is told that it is not there."""
    with Scene("C") as scene:
        tx = scene.guests[7].start()
        work = scene.become("C", "-F", "-t", "0")
        assert not of_kind(work / "before", "transaction")
        with pytest.raises(xsclient.XsError, match=EXPECT["C"].unknown_tx):
            scene.guests[7].read("domid", tx=tx)
        scene.check_alive("after")


def end_ox(host):
    """Have oxenstored end, and write its database; it looks at signals when something wakes it."""
    host.daemon.ended = True
    host.daemon.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as wakes:
        wakes.connect(str(host.run_dir / "upstream" if host.proxied else host.socket))
    host.daemon.wait()
    return host.sim.path("/run/xenstored/db")


def test_ox_at_its_end():
    """What it writes when it is told to end is of the same form."""
    with Scene("O") as scene:
        now = walked(scene.dom0)
        path = end_ox(scene.host)
        assert store(path, stale=True) == now
        assert {what.get("domain") for _, what in of_kind(path, "connection")} == {0, 7, 8, None}
        out = scene.host.sim.dir / "again"
        subprocess.run([CTL, "convert", path, "--to", "oxenstored", "-o", out], check=True)
        assert out.read_bytes() == path.read_bytes()


def end_c(host):
    """Have the C daemon write its state for a program that keeps it and ends."""
    state, program = host.sim.dir / "state", host.sim.dir / "program"
    run = host.sim.path("/run/xenstored/socket").parent
    program.write_text(f"#!/bin/sh\nmv {run}/state_dump {state}\n")
    program.chmod(0o755)
    host.daemon.ended = True
    with xsclient.Client(host.run_dir / "upstream") as client:
        client.control("live-update", "-f", str(program))
        client.send(xsclient.CONTROL, xsclient.join("live-update", "-s"))
        host.daemon.wait()
    return state


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_libxl(flavour):
    """Of a domain in a daemon's state the same comes as from export."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.wait_watch()
        guest.write("data/own", b"\0\xff")
        guest.set_perms("data/own", "n7", "b0")
        exported = shown(ctl(host, "export", 7))
        state = end_ox(host) if flavour == "O" else end_c(host)
        done = subprocess.run([CTL, "convert", state, "--to", "libxl", "--domain", "7"],
                              capture_output=True, check=True)
        assert done.stderr == b""
        assert shown(done.stdout) == exported
        # and back, as a state of one domain
        for form in ("c", "oxenstored"):
            back = subprocess.run([CTL, "convert", "-", "--to", form, "--domain", "7"],
                                  input=done.stdout, capture_output=True, check=True).stdout
            again = subprocess.run([CTL, "convert", "-", "--to", "libxl", "--domain", "7"],
                                   input=back, capture_output=True, check=True).stdout
            assert shown(again) == exported
