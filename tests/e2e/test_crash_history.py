# SPDX-License-Identifier: MIT
"""xenstored is killed again and again while guests, dom0's kernel and toolstack clients write and
read the same few nodes: what each of them has asked and seen must be what one store, that answers
one after the other and has never ended, might have answered (history.py).

XSPROXY_HISTORY_CRASHES sets how often, for each daemon.
"""

import concurrent.futures
import itertools
import os
import random
import threading

import pytest

from crashing import over, processes_end
from history import Crash, Recorder, check, now
from mirrored import differences, wait_whole
from relay import FLAVOURS, wait_until
from seed import SEED
from supervised import Supervised

pytestmark = pytest.mark.long

CRASHES = int(os.environ.get("XSPROXY_HISTORY_CRASHES", "15"))
EACH = 5  # crashes before histories are looked at
BETWEEN = 0.1  # s between two, at most
GUESTS = (7, 8)
SINGLE, PAIRS = 3, 2  # registers at a time
OPS = 40  # on one of them; then a fresh one takes its place
MAY_BE_EXCUSED = 0.02  # of all reads


class Registers:
    """Those that are in use: single nodes, and pairs that transactions write together."""

    def __init__(self, parent):
        self._parent = parent
        self._names = itertools.count()
        self._lock = threading.Lock()
        self._slots = [self._fresh(kind) for kind in ["s"] * SINGLE + ["p"] * PAIRS]

    def _fresh(self, kind):
        """Its paths, and how often it will be used yet."""
        path = f"{self._parent}/{kind}{next(self._names)}"
        return [[path] if kind == "s" else [path + "a", path + "b"], OPS]

    def take(self, rng):
        """For one operation: (paths, whether it is the first one)."""
        with self._lock:
            index = rng.randrange(len(self._slots))
            slot = self._slots[index]
            slot[1] -= 1
            if not slot[1]:
                self._slots[index] = self._fresh("s" if index < SINGLE else "p")
            return slot[0], slot[1] == OPS - 1


class Player:
    """A client that does this and that with the registers, as fast as it can."""

    def __init__(self, name, peer, registers, parent):
        self.recorder = Recorder(name, peer)
        self.registers = registers
        self.parent = parent
        self.rng = random.Random(f"{SEED} {parent} {name}")
        self._values = (f"{name}.{i}" for i in itertools.count())
        self._watch(parent)

    def _watch(self, path):
        self.recorder.watch(path, f"on {path}")

    def _one(self, path):
        chance = self.rng.random()
        if chance < 0.4:
            self.recorder.read(path)
        elif chance < 0.85:
            self.recorder.write(path, next(self._values))
        else:
            self.recorder.rm(path)

    def _both(self, paths):
        chance = self.rng.random()
        if chance < 0.4:
            self.recorder.read_all(paths)
        elif chance < 0.8:
            self.recorder.write_all(paths, next(self._values))
        else:
            self.recorder.read(self.rng.choice(paths))

    def play(self, end):
        while not end.is_set():
            paths, first = self.registers.take(self.rng)
            if first:
                self._watch(paths[0])
            if len(paths) == 1:
                self._one(*paths)
            else:
                self._both(paths)

    def take_events(self):
        """All that are on their way: they come before what is answered now."""
        self.recorder.peer.directory(self.parent)

    def forget(self):
        for token, path in self.recorder.history.watches.items():
            self.recorder.peer.unwatch(path, token)


def crash(host):
    """SIGKILL, and another one has taken its place, and was asked what the one before has not
    answered: the Crash."""
    ends = processes_end(host)
    process = host.daemon.process
    begun = now()
    process.kill()
    process.wait()
    dead = now()
    wait_until(lambda: over(host, ends))
    return Crash(begun, dead)


def crashes(host, rng, count):
    found = []
    for _ in range(count):
        threading.Event().wait(rng.uniform(0, BETWEEN))
        found.append(crash(host))
    return found


def make_parent(host, number):
    """Of the registers of one round: where guests may write."""
    parent = f"/tool/history/{number}"
    host.dom0.mkdir(parent)
    host.dom0.set_perms(parent, "n0", *(f"b{domid}" for domid in GUESTS))
    return parent


def play(host, peers, rng, number, count):
    """One round, of @count crashes: its Verdict."""
    parent = make_parent(host, number)
    registers = Registers(parent)
    players = [Player(name, peer, registers, parent) for name, peer in peers.items()]
    end = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(len(players)) as pool:
        playing = [pool.submit(player.play, end) for player in players]
        try:
            when = crashes(host, rng, count)
        finally:
            end.set()
    for future in playing:
        future.result()
    for player in players:
        player.take_events()
    verdict = check([player.recorder.history for player in players], when)
    assert not verdict.problems, "\n\n".join(verdict.problems)
    for player in players:
        player.forget()
    host.dom0.rm(parent)
    return verdict


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_crash_is_seen(flavour):
    print("XSPROXY_SEED", SEED)
    rng = random.Random(SEED)
    reads = excused = 0
    with Supervised(flavour, log="info") as host:
        peers = {f"guest{domid}": host.add_guest(domid) for domid in GUESTS}
        peers |= {"kernel": host.guest(0), "client1": host.client(), "client2": host.client()}
        wait_whole(host)
        for number in range(0, CRASHES, EACH):
            verdict = play(host, peers, rng, number, min(EACH, CRASHES - number))
            reads += verdict.reads
            excused += verdict.excused
        print(f"{reads} reads, {excused} of which may have seen what was lost")
        assert excused < MAY_BE_EXCUSED * reads
        assert differences(host) == 0
        host.check()
