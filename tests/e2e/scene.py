# SPDX-License-Identifier: MIT
"""A host with guests and a client that have watches, while xsproxyd is put before xenstored or
leaves: it goes as far as gates are open, and a process is killed where it stands."""

import threading

import things
from gate import Gate
from harness import DAEMONS, xensim
from supervised import LIVE_UPDATE, Refused
from xsclient import Closed, Timeout

OTHER = {"C": "O", "O": "C"}


class Scene:
    """@make_host: native_host.Native or Behind"""

    def __init__(self, make_host, flavour, tmp_path):
        self.before, self.after = flavour, OTHER[flavour]
        self.update = Gate(tmp_path / "update", "live-update", LIVE_UPDATE)
        daemon = xensim.XEN_BIN / DAEMONS[self.after]
        self.program = Gate(tmp_path / "daemon", DAEMONS[self.after], daemon)
        self.host = make_host(flavour, live_update=self.update.path, log="info")
        self.guest = self.host.add_guest(7)
        self.kernel = self.host.guest(0)
        self.client = self.host.client()
        self.watchers = {self.guest: "data", self.kernel: "/local/domain/7/data",
                         self.client: "/local/domain/7/data"}
        for peer, path in self.watchers.items():
            things.watch(peer, path, "t")
        self.written = 0
        self.refused = self.moving = None

    def log(self):
        log = self.host.sim.dir / "xsproxyd.log"
        return log.read_text() if log.exists() else ""

    def move(self, gates, move):
        """Begin, with these gates open; why it fails is in self.refused."""
        for gate in gates:
            gate.open()

        def run():
            try:
                move()
            except (Refused, Closed, Timeout, OSError) as err:
                self.refused = err
        self.moving = threading.Thread(target=run)
        self.moving.start()

    def go_on(self):
        self.update.open()
        self.program.open()

    def restart(self):
        self.host.proxy.kill()
        self.host.start_proxy()

    def all_is_there(self):
        assert self.guest.read("domid") == b"7"
        self.written += 1
        self.host.dom0.write(f"/local/domain/7/data/{self.written}", "1")
        for peer, path in self.watchers.items():
            assert things.event(peer) == (f"{path}/{self.written}", "t")
        things.quiet(*self.watchers)
        with self.host.client() as new:
            assert new.read(f"/local/domain/7/data/{self.written}") == b"1"

    def close(self):
        self.host.dump()
        self.go_on()
        self.host.close()
