# SPDX-License-Identifier: MIT
"""The row of `make bench` about the exchange of xenstored: for how long nobody is served, with 100
guests that have booted and stores of two sizes."""

import statistics

from harness import DAEMONS
from supervised import Supervised
from xsclient import WRITE

GUESTS = 100
SIZES = {10_000: 500, 50_000: 2000}  # nodes: ms that are the goal
UNDER_WAY = 64
WATCHED = ("device", "backend", "memory/target", "cpu", "control/shutdown", "control/sysrq", "data",
           "attr")


def fill(host, first, last):
    """Nodes of the toolstack's, a hundred in a directory."""
    client = host.client()
    for sent, number in enumerate(range(first, last), 1):
        path = f"/bulk/{number // 100}/{number}"
        client.send(WRITE, path.encode() + b"\0a value of a usual length")
        if not sent % UNDER_WAY:
            for _ in range(UNDER_WAY):
                client.recv_reply()
    for _ in range((last - first) % UNDER_WAY):
        client.recv_reply()
    client.close()


def boot(host):
    for domid in range(1, GUESTS + 1):
        guest = host.add_guest(domid)
        for path in WATCHED:
            guest.watch(path, f"token {path}")


def pauses(flavour, rounds):
    """{(nodes, the daemon after): ms}"""
    found = {}
    with Supervised(flavour, log="notice") as host:
        boot(host)
        there = 0
        for nodes in SIZES:
            fill(host, there, nodes)
            there = nodes
            for after in DAEMONS:
                runs = []
                for _ in range(rounds):
                    runs.append(host.replace(after))
                    host.replace(flavour)
                found[nodes, after] = statistics.median(runs)
    return found


def run(flavours, rounds):
    """Print the rows; return them for bench.json."""
    print(f"\nexchange of xenstored under {GUESTS} guests: nobody is served", flush=True)
    results = []
    for flavour in flavours:
        for (nodes, after), pause in pauses(flavour, rounds).items():
            name = f"{DAEMONS[flavour]}: {DAEMONS[after]} in its place, {nodes} nodes"
            print(name.ljust(58), f"{pause:5.0f}ms  (goal {SIZES[nodes]}ms)", flush=True)
            results.append({"daemon": flavour, "row": "exchange", "after": after, "nodes": nodes,
                            "pause_ms": pause})
    return results
