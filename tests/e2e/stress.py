# SPDX-License-Identifier: MIT
"""Guests that check every answer while xsproxyd comes and goes (tests/kill/stress.c), one that
stands still, and what must hold at the end."""

import signal
import subprocess

from harness import BUILD
from ours import tracked_transactions, tracked_watches
from relay import wait_until
from seed import SEED
from versions import EXPECT
from xsclient import READ


class Load:
    """Guests that run until they are told to end."""

    def __init__(self, host, domids):
        print("XSPROXY_SEED", SEED)
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


def counters(client, domids):
    """What each guest has counted up to: it grows as long as the guest is served."""
    return {domid: client.read(f"/local/domain/{domid}/data/counter") for domid in domids}


def all_go_on(host, load):
    """Every guest is served by whoever runs now."""
    client = host.client()
    before = counters(client, load.processes)
    for domid in load.processes:
        wait_until(lambda one=domid: counters(client, [one])[one] != before[one])
    client.close()


def restart(host, sig, **kwargs):
    """End xsproxyd by a signal and start it again, or another one (Host.start_proxy())."""
    host.proxy.kill(sig)
    host.start_proxy(**kwargs)


def nothing_is_left(host, domids):
    """Neither xsproxyd nor the C daemon counts a watch or a transaction that the guests ended."""
    client = host.client()
    for domid in domids:
        assert tracked_watches(client, domid) == []
        assert tracked_transactions(client, domid) == set()
        if host.flavour == "C":
            quota = EXPECT["C"].quota(client.control("quota", str(domid)))
            assert (quota["watches"], quota["transactions"]) == (0, 0)


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
