# SPDX-License-Identifier: MIT
"""The row of `make bench` about the exchange of xenstored: for how long nobody is served, with 100
guests that have booted and stores of several sizes; and for how long by the daemon's own live
update, without xsproxy."""

import contextlib
import dataclasses
import statistics
import time

from harness import DAEMONS, Host, xensim
from supervised import Supervised
from xsclient import WRITE, XsError

GUESTS = 100
UNDER_WAY = 64
WATCHED = ("device", "backend", "memory/target", "cpu", "control/shutdown", "control/sysrq", "data",
           "attr")


@dataclasses.dataclass(frozen=True)
class Store:
    nodes: int
    goal: int | None  # ms
    path: str  # of a node, by its number
    said: str

    def fill(self, host):
        """Nodes of the toolstack's."""
        client = host.client()
        for number in range(self.nodes):
            path = self.path.format(number, number // 10, number // 100, number // 1000)
            client.send(WRITE, path.encode() + b"\0a value of a usual length")
            if number >= UNDER_WAY:
                client.recv_reply()
        for _ in range(min(self.nodes, UNDER_WAY)):
            client.recv_reply()
        client.close()


# As a host has them, ten in a directory; and wide, where each further one costs the C daemon more.
USUAL, WIDE = "/bulk/{3}/{2}/{1}/{0}", "/bulk/{2}/{0}"
STORES = (Store(10_000, 500, USUAL, ""), Store(50_000, 2000, USUAL, ""),
          Store(50_000, None, WIDE, ", a hundred in a directory"))


def boot(host):
    for domid in range(1, GUESTS + 1):
        guest = host.add_guest(domid)
        for path in WATCHED:
            guest.watch(path, f"token {path}")


def pauses(flavour, store, rounds):
    """{the daemon after: ms}"""
    found = {}
    with Supervised(flavour, log="notice") as host:
        boot(host)
        store.fill(host)
        for after in DAEMONS:
            runs = []
            for _ in range(rounds):
                runs.append(host.replace(after))
                host.replace(flavour)
            found[after] = statistics.median(runs)
    return found


def own(flavour, store, rounds):
    """By the daemon's own live update: ms until it answers again."""
    runs = []
    with Host(flavour, proxied=False) as host:
        boot(host)
        store.fill(host)
        for _ in range(rounds):
            asking = host.client()
            asking.control("live-update", "-f", str(xensim.XEN_BIN / DAEMONS[flavour]))
            begun = time.monotonic()
            # oxenstored does it once it has nothing else to do; then it knows of none.
            with contextlib.suppress(XsError):
                while asking.control("live-update", "-s") == "BUSY":
                    pass
            with host.client() as client:
                client.directory("/")
            runs.append((time.monotonic() - begun) * 1000)
            asking.close()
    return statistics.median(runs)


def run(flavours, rounds):
    """Print the rows; return them for bench.json."""
    print(f"\nexchange of xenstored under {GUESTS} guests: nobody is served", flush=True)
    results = []
    for flavour in flavours:
        for store in STORES:
            alone = own(flavour, store, rounds)
            for after, pause in pauses(flavour, store, rounds).items():
                name = f"{DAEMONS[flavour]}: {DAEMONS[after]} in its place, {store.nodes} nodes"
                goal = f"goal {store.goal}ms" if store.goal else "no goal"
                beside = f"; its own live update {alone:.0f}ms" if after == flavour else ""
                print((name + store.said).ljust(82), f"{pause:5.0f}ms  ({goal}{beside})",
                      flush=True)
                results.append({"daemon": flavour, "row": "exchange", "after": after,
                                "nodes": store.nodes, "path": store.path, "pause_ms": pause,
                                "own_ms": alone if after == flavour else None})
    return results
