# SPDX-License-Identifier: MIT
"""A guest that works while it is moved."""

import select

import xensim
from migration import HOME, ctl, start_ctl, state
from ours import error_of, said
from relay import RING, packet, split
from versions import EXPECT
from xensim import home
from xsclient import (ERROR, READ, TRANSACTION_END, TRANSACTION_START, WATCH_EVENT, WRITE, join,
                      strings)


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
    """Export while the guest works, and leave it quiesced: the stream."""
    process = start_ctl(host, "export", "--keep", *args)
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


def still_fires(host, load):
    host.dom0.write(f"{HOME}/control/shutdown", "suspend")
    load.wait_for(("control/shutdown", "relative"))
    host.dom0.write(f"{HOME}/data/abs/below", "x")
    load.wait_for((f"{HOME}/data/abs/below", "absolute"))
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    if EXPECT[host.flavour].perms_event:
        load.wait_for(("@releaseDomain", "special"))
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
