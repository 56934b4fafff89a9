# SPDX-License-Identifier: MIT
"""What the test_hostile_*.py files share: a bystander that checks every answer it gets, what the
administrator sees of an offender, and how much memory there is."""

import contextlib
import os
import pathlib
import subprocess
import threading

import xensim
import xsclient
from control import Control
from harness import BUILD, Host
from relay import RING, descriptors, split, wait_until
from xsclient import WATCH_EVENT

OFFENDER, BYSTANDER = 7, 200
HOME = f"/local/domain/{OFFENDER}"

# docs/architecture.md, "What a domain can cost"; how many watches is upstream's (versions.py).
KIB = 1024
WATCH_MAX = 4112
SANITIZED = BUILD.name == "san"


def arena_bound(watches):
    """Octets of the arena that one domain can take while it runs."""
    return 340 * KIB + 3 * watches * WATCH_MAX


def heap_bound(watches):
    """Octets of xsproxyd's own memory, with what the allocator cannot give back."""
    return 256 * KIB + watches * WATCH_MAX


class Tireless(threading.Thread):
    """Does rounds, _round(number), on and on. What a round raises ends it, and check() says so."""

    def __init__(self):
        super().__init__(daemon=True)
        self.rounds = 0
        self._error = None
        self._quit = False
        self._step = threading.Condition()

    def run(self):
        try:
            while not self._quit:
                self._round(self.rounds)
                with self._step:
                    self.rounds += 1
                    self._step.notify_all()
        except BaseException as err:  # pylint: disable=broad-except
            with self._step:
                self._error = err
                self._step.notify_all()

    def _round(self, number):
        raise NotImplementedError

    def more(self, rounds=20):
        """Wait until it has done @rounds more."""
        with self._step:
            want = self.rounds + rounds
            while not self._error and self.rounds < want:
                if not self._step.wait(2 * xensim.TIMEOUT):
                    raise xsclient.Timeout(f"{self} hangs")
        self.check()

    def check(self):
        if self._error:
            raise AssertionError(f"{self} was disturbed") from self._error

    def stop(self):
        self._quit = True
        self.join()


class Bystander(Tireless):
    """A guest that works on and on: writes, reads back, waits for its event, commits a transaction.
    Whatever is lost, late or wrong ends it."""

    def __init__(self, host, domid=BYSTANDER):
        super().__init__()
        self.guest = host.add_guest(domid, timeout=xensim.TIMEOUT)
        self.domid = domid
        self.guest.watch("data", "mine")
        assert self.guest.wait_watch() == ("data", "mine")

    def __str__(self):
        return "the bystander"

    def _round(self, number):
        guest, path, value = self.guest, f"data/{number % 8}", b"%d" % number
        guest.write(path, value)
        assert guest.wait_watch() == (path, "mine")
        assert guest.read(path) == value
        tx = guest.start()
        assert guest.read(path, tx=tx) == value
        assert int(guest.read("domid", tx=tx)) == self.domid
        guest.end(tx, commit=False)
        assert guest.call(xsclient.READ, b"data/absent\0").payload == b"ENOENT\0"
        assert not guest.events


@contextlib.contextmanager
def scene(flavour, proxied=True, **kwargs):
    """A host with a bystander at work; at the end both daemons and it must be well."""
    with Host(flavour, proxied, **kwargs) as host:
        host.bystander = Bystander(host)
        host.bystander.start()
        try:
            yield host
            host.bystander.more()
        finally:
            # Its guest goes with the host.
            host.bystander.stop()
        host.bystander.check()
        host.check()
        # oxenstored does not end on SIGTERM while a transaction is open.
        host.daemon.kill()


def pipeline(guest, octets, read=True):
    """Send as much as is taken, waiting for nothing but room; throw away what comes. Without @read
    it ends when both rings are full, with what could not be sent."""
    while octets:
        sent = guest.push(octets)
        octets = octets[sent:]
        if read:
            guest.pull(RING)
        if octets and not sent:
            try:
                guest.wait_event(None if read else 1)
            except xsclient.Timeout:
                break
    return octets


def replies(guest, octets, count):
    """Send and read at the same time: the replies, events thrown away; up to a message's end."""
    came, found = b"", []
    while len(found) < count or came:
        sent = guest.push(octets)
        octets = octets[sent:]
        got = guest.pull(8 * RING)
        messages, came = split(came + got)
        found += [msg for msg in messages if msg.type != WATCH_EVENT]
        if not sent and not got:
            guest.wait_event()
    return found


def both(flavour, play, **kwargs):
    """Like relay.same(), with a bystander: play(host) returns the same direct and proxied."""
    results = []
    for proxied in (False, True):
        with scene(flavour, proxied, **kwargs) as host:
            results.append(play(host))
    assert results[0] == results[1]
    return results[1]


def domain(host, domid=OFFENDER):
    """What the control socket says of a domain."""
    with Control(host) as control:
        return control.run("domain", domid=domid)


def ctl(host, command, *words):
    """What `xsproxyctl` prints."""
    where = ("--socket", host.socket) if command == "watches" else \
        ("--control", host.run_dir / "control")
    return subprocess.run(
        [BUILD / "xsproxyctl", command, *map(str, words), *where],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        timeout=xensim.TIMEOUT).stdout


def ended(host, domid=OFFENDER, why=""):
    """Wait until the administrator sees that a domain is ignored, and why: by domains and in the
    log."""
    assert wait_until(lambda: domain(host, domid)["state"] == "ended")
    assert why in domain(host, domid)["last_error"]
    row = [line.split() for line in ctl(host, "domains").splitlines()
           if line.split()[:1] == [str(domid)]]
    assert len(row) == 1 and "ended" in row[0]
    lines = [line for line in host.proxy.text().splitlines() if f": d{domid} " in line]
    assert any(why in line and "ignored until" in line for line in lines), lines


def refused(host, request, error, domid=OFFENDER):
    """How often the administrator is told that a request got an error."""
    return sum(kind["count"] for kind in domain(host, domid)["refusals"]
               if (kind["request"], kind["error"]) == (request, error))


def arena(host):
    """Octets of memory behind rings and ledgers, which xenstored keeps for the next xsproxyd."""
    found = {name: os.stat(entry).st_blocks * 512
             for entry, name in descriptors(host.daemon).items()
             if name.startswith("/memfd:xsproxy-")}
    assert len(found) == 2, found
    return sum(found.values())


def heap(host):
    """Octets of xsproxyd's own memory."""
    status = pathlib.Path(f"/proc/{host.proxy.pid}/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * KIB


class Memory:
    """What the arena and xsproxyd grow by, against the bound of @domains that misbehave."""

    def __init__(self, host, watches, domains=1):
        self.host = host
        self.limits = domains * arena_bound(watches), domains * heap_bound(watches)
        self.before = arena(host), heap(host)
        self.peak = [0, 0]

    def check(self):
        for i, now in enumerate((arena(self.host), heap(self.host))):
            self.peak[i] = max(self.peak[i], now - self.before[i])
        assert self.peak[0] <= self.limits[0], f"arena: {self.peak[0]} above {self.limits[0]}"
        # The sanitizer keeps what was freed.
        assert SANITIZED or self.peak[1] <= self.limits[1], \
            f"heap: {self.peak[1]} above {self.limits[1]}"
