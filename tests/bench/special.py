# SPDX-License-Identifier: MIT
"""The rows of `make bench` that are no request load: export, restart, the ledger's cost."""

import signal
import statistics
import subprocess
import time

from harness import BUILD, DAEMONS, Host
from xsclient import READ

import scale

TOOLS_ROUNDS = 7


def timed(argv, env):
    """Wall-clock time of a command, in ms."""
    start = time.monotonic()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) * 1000


def fill(host, domid, nodes, watches, transactions):
    """A guest with a home of @nodes nodes in all, watches and open transactions."""
    guest = host.add_guest(domid)
    base = f"/local/domain/{domid}/data"
    for have in range(nodes):
        host.dom0.write(f"{base}/group{have // 50}/node{have}", "some value of a usual length")
    for i in range(watches):
        guest.watch(f"data/group{i}", f"token-{i}")
    for _ in range(transactions):
        guest.start()
    return guest


def export_row(flavour, nodes, watches, transactions):
    """`xsproxyctl export` (quiesce to last octet) beside `xenstore-ls -fp` of the same subtree."""
    with Host(flavour, True) as host:
        fill(host, 7, nodes, watches, transactions)
        env = host.tool_env()
        export, listing = [], []
        for _ in range(TOOLS_ROUNDS):
            export.append(timed([BUILD / "xsproxyctl", "export", "7", "--resume"], env))
            listing.append(timed(["xenstore-ls", "-fp", "/local/domain/7"], env))
        host.daemon.kill()
    return statistics.median(export), statistics.median(listing)


def wait_at_restart(host, askers, path):
    """How long all of them wait for a READ's answer, asked while xsproxyd is away, in ms."""
    host.proxy.kill(signal.SIGTERM)
    for asker in askers:
        asker.send(READ, path)
    start = time.monotonic()
    host.start_proxy(wait=False)
    for asker in askers:
        asker.recv_reply()
    return (time.monotonic() - start) * 1000


def restart_row(flavour, domains):
    """How long the slowest of @domains guests waits at a planned restart, in ms."""
    with Host(flavour, True) as host:
        ports = host.sim.create_range(1, domains)
        for domid, (port, gfn) in ports.items():
            host.dom0.introduce(domid, gfn, port)
        guests = [host.guest(domid) for domid in ports]
        for guest in guests:
            guest.call(READ, b"domid\0")
        waits = []
        for _ in range(TOOLS_ROUNDS):
            waits.append(wait_at_restart(host, guests, b"domid\0"))
    return statistics.median(waits)


def ledger_row(flavour, guests, seconds, rounds):
    """Throughput with the commit's record, and of a build without: (with, without)."""
    runs = {"xsproxyd": [], "xsproxyd-norecord": []}
    with Host(flavour, True) as host:
        for domid in range(1, guests + 1):
            host.add_guest(domid).close()
            scale.small_node(host, domid)
        for _ in range(rounds):
            for program, rates in runs.items():
                scale.restart(host, program)
                done = scale.program("xsload", host.sim.dir, 1, guests, "read", seconds, 1)
                rates.append(done["requests"] / done["seconds"])
    return tuple(statistics.median(rates) for rates in runs.values())


def run(flavours, rounds, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    print("\nexport, restart, ledger                         ratio      ours    other")
    for flavour in flavours:
        name = DAEMONS[flavour]
        for nodes, watches, transactions in ((150, 20, 2), (5000, 20, 2)):
            ours, other = export_row(flavour, nodes, watches, transactions)
            print(f"{name}: export of {nodes} nodes / xenstore-ls -fp".ljust(46),
                  f"{ours / other:6.2f} {ours:7.1f}ms {other:7.1f}ms", flush=True)
            results.append({"daemon": flavour, "row": f"export {nodes}", "ours_ms": ours,
                            "xenstore_ls_ms": other})
        wait = restart_row(flavour, 200)
        print(f"{name}: wait at a planned restart, 200 guests".ljust(46), f"{'':6} {wait:7.1f}ms",
              flush=True)
        results.append({"daemon": flavour, "row": "restart 200", "ours_ms": wait})
        ours, other = ledger_row(flavour, 8, seconds, rounds)
        print(f"{name}: READ/s, 8 guests, record / no record".ljust(46),
              f"{ours / other:6.2f} {ours:8.0f}  {other:8.0f}", flush=True)
        results.append({"daemon": flavour, "row": "ledger", "ours": ours, "without": other})
    return results
