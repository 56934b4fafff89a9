# SPDX-License-Identifier: MIT
"""xsproxyd is killed at random moments under load, and no guest notices.

Each of the guests (tests/kill/stress.c) checks every reply and every event by itself. XSPROXY_KILLS
sets how often xsproxyd is killed for each daemon.
"""

import os
import random
import signal
import subprocess

import pytest

from harness import BUILD, Host
from ours import tracked_transactions, tracked_watches
from xsclient import READ

KILLS = int(os.environ.get("XSPROXY_KILLS", "500"))
GUESTS = 20
SEED = int(os.environ.get("XSPROXY_SEED", random.randrange(1 << 30)))


@pytest.fixture(params=("C", "O"))
def host(request):
    print("XSPROXY_SEED", SEED)
    with Host(request.param) as host:
        yield host


class Load:
    """Guests that run until they are told to end."""

    def __init__(self, host, domids):
        self.host = host
        self.processes = {}
        for domid in domids:
            host.sim.add_guest(host.dom0, domid).close()
            self.processes[domid] = subprocess.Popen(
                [BUILD / "xsstress", host.sim.dir, str(domid), str(SEED + domid)],
                stdout=subprocess.PIPE, text=True)
        for process in self.processes.values():
            assert process.stdout.readline() == "ready\n"

    def all_alive(self):
        return all(process.poll() is None for process in self.processes.values())

    def end(self):
        """What each said; every one must have ended well, and have done something."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        said = {domid: process.communicate(timeout=60)[0]
                for domid, process in self.processes.items()}
        bad = {domid: text for domid, text in said.items() if self.processes[domid].returncode}
        assert not bad
        for text in said.values():
            assert sum(map(int, text.split())) > 0
        print("rounds in all:", sum(int(n) for text in said.values() for n in text.split()))
        return said

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def load(host):
    load = Load(host, range(1, GUESTS + 1))
    yield load
    load.kill()


def restart(host, sig):
    """End xsproxyd by a signal and start it again."""
    host.proxy.kill(sig)
    host.start_proxy()


def nothing_is_left(host, domids):
    """Neither xsproxyd nor the C daemon counts a watch or a transaction that the guests ended."""
    client = host.client()
    for domid in domids:
        assert tracked_watches(client, domid) == []
        assert tracked_transactions(client, domid) == set()
        if host.flavour == "C":
            quota = dict(line.replace(" ", "").split(":")
                         for line in client.control("quota", str(domid)).splitlines()[1:])
            assert (quota["watches"], quota["transactions"]) == ("0", "0")


class Frozen:
    """A quiesced domain with requests in its page and an event that waits."""

    def __init__(self, host, domid):
        self.guest = host.add_guest(domid)
        self.guest.watch("data/x", "frozen")
        self.guest.wait_watch()
        client = host.client()
        client.control("quiesce", str(domid))
        host.dom0.write(f"/local/domain/{domid}/data/x", "1")
        for req_id in range(5):
            self.guest.send(READ, b"domid\0", req_id=900 + req_id)
        self.page = self.guest.page()

    def check(self):
        assert self.guest.page() == self.page

    def thaw(self, host, domid):
        client = host.client()
        client.control("unquiesce", str(domid))
        assert [self.guest.recv_reply().req_id for _ in range(5)] == list(range(900, 905))
        assert self.guest.wait_watch() == ("data/x", "frozen")


def test_killed_at_random(host, load):
    frozen = Frozen(host, 100)
    rng = random.Random(SEED)
    for _ in range(KILLS):
        # Let it work for a random number of requests of a client of its own.
        client = host.client()
        for _ in range(rng.randrange(20)):
            client.directory("/")
        client.close()
        restart(host, signal.SIGKILL)
        assert load.all_alive(), load.end()
        frozen.check()
    load.end()
    nothing_is_left(host, load.processes)
    frozen.thaw(host, 100)


def test_planned_restart(host, load):
    """SIGTERM, as `systemctl restart` sends it."""
    for _ in range(10):
        host.client().directory("/")
        restart(host, signal.SIGTERM)
        assert load.all_alive(), load.end()
    load.end()
    nothing_is_left(host, load.processes)
