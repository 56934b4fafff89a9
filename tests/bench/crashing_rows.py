# SPDX-License-Identifier: MIT
"""The rows of `make bench` about the mirror of the store: what it costs requests, how much memory
it takes, and for how long nobody is served when xenstored has been killed."""

import contextlib
import statistics

from crashing import crash
from harness import DAEMONS, NO_MIRROR, Host
from mirrored import wait_whole
from supervised import Supervised

import exchanging
import scale

GUESTS = 8
ROWS = (("WRITE", "write", 1), ("READ", "read", 1), ("READ, pipelined by 8", "read", 8))
STORES = exchanging.STORES[:2]
PERM = 4  # octets of a permission in a store


def rates(flavour, seconds, rounds):
    """{row: requests a second with the mirror, without}, side by side."""
    found = {name: ([], []) for name, *_ in ROWS}
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Host(flavour, config=config, log="notice"))
                 for config in ("[mirror]\naudit = off\n", NO_MIRROR)]
        for host in hosts:
            for domid in range(1, GUESTS + 1):
                host.add_guest(domid).close()
                scale.small_node(host, domid)
        for turn in range(rounds * 2):
            for name, operation, depth in ROWS:
                # Whoever is first in each turn finds another machine.
                for host, runs in list(zip(hosts, found[name]))[::1 if turn % 2 else -1]:
                    done = scale.program("xsload", host.sim.dir, 1, GUESTS, operation, seconds / 2,
                                         depth)
                    runs.append(done["requests"] / done["seconds"])
    return {name: tuple(map(statistics.median, both)) for name, both in found.items()}


def content(client, path="/"):
    """Octets of paths, values and permissions at and below @path."""
    base = "" if path == "/" else path
    octets = len(path) + len(client.read(path)) + PERM * len(client.get_perms(path))
    return octets + sum(content(client, f"{base}/{name}")
                        for name in client.directory(path))


def crashes(flavour, store, rounds):
    """(ms of the pause, octets of the mirror, of what it is of), with 100 guests."""
    waits = []
    with Supervised(flavour, log="notice") as host:
        exchanging.boot(host)
        store.fill(host)
        wait_whole(host)
        octets, held = host.ask("mirror")["octets"], content(host.client())
        for _ in range(rounds):
            crash(host)
            wait_whole(host)
            waits.append(host.ask("status")["last_exchange"]["pause_ms"])
    return statistics.median(waits), octets, held


def run(flavours, rounds, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    print(f"\nthe mirror of the store, {GUESTS} guests", flush=True)
    for flavour in flavours:
        name = DAEMONS[flavour]
        for row, (there, without) in rates(flavour, seconds, rounds).items():
            print(f"{name}: {row}/s, mirror / none".ljust(52),
                  f"{there / without:6.3f} {there:8.0f} {without:8.0f}", flush=True)
            results.append({"daemon": flavour, "row": f"mirror {row}", "with": there,
                            "without": without})
        for store in STORES:
            pause, octets, held = crashes(flavour, store, rounds)
            print(f"{name}: killed, {exchanging.GUESTS} guests, {store.nodes} nodes".ljust(52),
                  f"{pause:6.0f}ms; mirror {octets / held:.2f} of the store's "
                  f"{held / 1024:.0f} KiB", flush=True)
            results.append({"daemon": flavour, "row": "crash", "nodes": store.nodes,
                            "pause_ms": pause, "mirror": octets, "store": held})
    return results
