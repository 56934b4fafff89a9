# SPDX-License-Identifier: MIT
"""Guests and a toolstack that do what real ones do all day, each in a thread, until they are told
to stop: something to look at for `make play`."""

import contextlib
import random
import threading
import time

import xensim
import xsclient
import xsguest
from xsclient import Timeout, XsError

SLICE = 0.2      # s: how late it may be seen that all shall stop
ROUND = 1.0      # s, about, between two reports of a guest
LISTING = 2.0    # s, about, between two looks of the toolstack
CONNECTED = "4"
MEMORY = 262144  # KiB
TOKEN = "FFFFFFFF82A5{:04X}"  # as Linux makes one, from a pointer
WATCHED = ("device", "backend", "memory/target", "cpu", "control/shutdown", "control/sysrq")
FEATURES = ("poweroff", "reboot", "suspend", "sysrq")
SECRET = "/local/domain/0/vm"  # a guest may not write there


class Stopped(Exception):
    """All shall end."""


class Ring(xsguest.Guest):
    """A guest's ring on which it waits as long as it takes: its domain may be quiesced."""

    def __init__(self, sim, domid, stop):
        super().__init__(sim.dir, domid)
        self._stop = stop

    def recv_message(self, timeout=None):
        while timeout is None:
            if self._stop.is_set():
                raise Stopped
            with contextlib.suppress(Timeout):
                return super().recv_message(SLICE)
        return super().recv_message(timeout)


class Linux(threading.Thread):
    """A guest: it boots, connects its network, and its agent reports; it does as
    control/shutdown says."""

    def __init__(self, sim, domid, stop):
        super().__init__(name=f"guest {domid}")
        self.domid, self.rounds, self.down = domid, 0, None
        self._sim, self._stop_all = sim, stop
        self._ring = Ring(sim, domid, stop)
        self._backend = f"/local/domain/0/backend/vif/{domid}/0"

    def run(self):
        with self._ring, contextlib.suppress(Stopped, OSError):
            self._boot()
            while not self.down:
                with contextlib.suppress(XsError):  # somebody plays with its nodes
                    self._round()
            self._sim.shutdown(self.domid, self.down)

    def _boot(self):
        ring = self._ring
        ring.read("domid")
        ring.read("name")
        for number, path in enumerate(WATCHED):
            ring.watch(path, TOKEN.format(0xB000 + number * 64))
        ring.directory("device/vif")
        for feature in FEATURES:
            ring.write(f"control/feature-{feature}", 1)
        ring.read("device/vif/0/backend")
        ring.watch(f"{self._backend}/state", "backend-state")
        tx = ring.start()
        ring.write("device/vif/0/tx-ring-ref", 768, tx=tx)
        ring.write("device/vif/0/rx-ring-ref", 769, tx=tx)
        ring.write("device/vif/0/event-channel", 5, tx=tx)
        ring.write("device/vif/0/state", 3, tx=tx)
        self._end(tx)

    def _end(self, tx):
        with contextlib.suppress(XsError):  # EAGAIN; the next round says the same again
            self._ring.end(tx)

    def _round(self):
        """What the agent reports, and then what happens for a while."""
        self.rounds += 1
        self._report()
        until = time.monotonic() + ROUND * random.uniform(0.5, 1.5)
        while not self.down and (left := until - time.monotonic()) > 0:
            if self._stop_all.is_set():
                raise Stopped
            with contextlib.suppress(Timeout):
                self._react(self._ring.wait_watch(min(left, SLICE)))

    def _report(self):
        ring = self._ring
        ring.write("data/meminfo_total", MEMORY)
        ring.write("data/meminfo_free", random.randrange(MEMORY // 4, MEMORY // 2))
        ring.write("data/updated", int(time.time()))
        if self.rounds % 3 == 0:
            tx = ring.start()
            ring.read("device/vif/0/mac", tx=tx)
            ring.write("attr/vif/0/ipv4/0", f"10.0.{self.domid >> 8}.{self.domid & 255}", tx=tx)
            self._end(tx)
        if self.rounds % 5 == 0:
            ring.exists("control/laptop-slate-mode")
        if self.rounds % 20 == 0:
            ring.write(SECRET, self.domid)

    def _react(self, event):
        ring = self._ring
        if event.path == "memory/target":
            ring.read("memory/target")
        elif event.path == f"{self._backend}/state" and ring.read(event.path) == b"4":
            ring.write("device/vif/0/state", CONNECTED)
        elif event.path == "control/shutdown":
            reason = ring.read("control/shutdown").decode("ascii", "replace")
            if reason in ("poweroff", "reboot"):
                ring.write("control/shutdown", "")
                self.down = reason


class Toolstack(threading.Thread):
    """It makes the guests, connects their backends, lists them, changes their memory, and cleans
    up after those that end; one that reboots comes back as another domain."""

    def __init__(self, host, guests):
        super().__init__(name="toolstack")
        self._host, self._wanted, self._stop_all = host, guests, threading.Event()
        self._guests, self._next = {}, 1
        self._client = None

    def __enter__(self):
        try:
            self._connect()
            self._client.write("/local/domain/0/name", "Domain-0")
            for _ in range(self._wanted):
                self._create()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """End all threads, and wait for them."""
        self._stop_all.set()
        if self.ident:
            self.join()
        for guest in self._guests.values():
            guest.join()
        if self._client:
            self._client.close()

    def run(self):
        due = 0
        while not self._stop_all.is_set():
            try:
                if time.monotonic() >= due:
                    self._look()
                    due = time.monotonic() + LISTING * random.uniform(0.5, 1.5)
                self._react(self._client.wait_event(SLICE))
            except Timeout:
                pass
            except (xsclient.Closed, OSError):  # xsproxyd was ended; it may come back
                self._connect_again()
            except XsError:  # somebody plays with the nodes
                pass

    def _connect(self):
        self._client = xsclient.Client(self._host.socket)
        self._client.watch("@releaseDomain", "toolstack")
        for domid in self._guests:
            self._client.watch(frontend(domid) + "/state", "backend")

    def _connect_again(self):
        self._client.close()
        while not self._stop_all.wait(SLICE):
            with contextlib.suppress(OSError, xsclient.Closed):
                return self._connect()

    def _create(self):
        domid, self._next = self._next, self._next + 1
        domain = self._host.sim.create(domid)
        xensim.home(self._client, domid)
        self._add_network(domid)
        self._client.watch(frontend(domid) + "/state", "backend")
        self._client.introduce(domid, domain.gfn, domain.port)
        self._guests[domid] = guest = Linux(self._host.sim, domid, self._stop_all)
        guest.start()

    def _add_network(self, domid):
        tx = self._client.start()
        for base, nodes, perms in (
                (frontend(domid), {"backend": backend(domid), "backend-id": 0, "handle": 0,
                                   "mac": f"00:16:3e:00:{domid >> 8:02x}:{domid & 255:02x}",
                                   "state": 1}, (f"n{domid}", "r0")),
                (backend(domid), {"frontend": frontend(domid), "frontend-id": domid, "online": 1,
                                  "bridge": "xenbr0", "state": 2}, ("n0", f"r{domid}"))):
            self._client.mkdir(base, tx=tx)
            self._client.set_perms(base, *perms, tx=tx)
            for name, value in nodes.items():
                self._client.write(f"{base}/{name}", value, tx=tx)
                self._client.set_perms(f"{base}/{name}", *perms, tx=tx)
        self._client.end(tx)

    def _look(self):
        """As `xl list` does, each time on a connection of its own; and a balloon now and then."""
        with xsclient.Client(self._host.socket) as client:
            for domid in client.directory("/local/domain"):
                client.exists(f"/local/domain/{domid}/name")
        if self._guests:
            domid = random.choice(list(self._guests))
            target = MEMORY - random.randrange(0, MEMORY // 8, 1024)
            self._client.write(f"/local/domain/{domid}/memory/target", target)

    def _react(self, event):
        if event.path == "@releaseDomain":
            self._clean_up()
        for domid in self._guests:
            if event.path == frontend(domid) + "/state":
                if self._client.read(event.path) == b"3":
                    self._client.write(backend(domid) + "/state", CONNECTED)

    def _clean_up(self):
        ended = {domid: dom["reason"] for domid, dom in self._host.sim.list().items()
                 if dom["state"] == "shutdown" and domid in self._guests}
        for domid, reason in ended.items():
            self._guests.pop(domid).join()
            self._host.sim.destroy(domid)
            self._client.unwatch(frontend(domid) + "/state", "backend")
            for path in (f"/local/domain/{domid}", f"/local/domain/0/backend/vif/{domid}"):
                self._client.rm(path)
            if reason == "reboot":
                self._create()


def frontend(domid):
    return f"/local/domain/{domid}/device/vif/0"


def backend(domid):
    return f"/local/domain/0/backend/vif/{domid}/0"
