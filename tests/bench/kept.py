# SPDX-License-Identifier: MIT
"""The rows of `make bench` about the keeper: what it costs toolstack clients, and how long they
wait at a restart."""

import contextlib
import resource
import statistics

from harness import DAEMONS, Host
from relay import packet
from xsclient import READ, WATCH, join

import scale
import special

CLIENTS, WATCHES = 1000, 20
FILES = 8192
RESTARTS = 5


@contextlib.contextmanager
def many_files():
    """For so many connections, here and in what is started here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, before[1])))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def crowd(host, watches):
    """Clients that have said something, and then nothing."""
    clients = []
    for number in range(CLIENTS):
        client = host.client()
        client.send_raw(b"".join(packet(WATCH, join(f"/crowd/{number}/{i}", "token"), i)
                                 for i in range(watches)))
        client.send(READ, b"/\0")
        for _ in range(2 * watches + 1):
            client.recv()
        clients.append(client)
    return clients


def costs(flavour, seconds, rounds):
    """p50 in us beside the crowd: {row: (with the keeper, without)}."""
    runs = {"socket": ([], []), "connect": ([], [])}
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Host(flavour, keeper=keeper, log="notice"))
                 for keeper in (True, False)]
        for host in hosts:
            host.add_guest(1).close()
            scale.small_node(host, 1)
            crowd(host, 0)
        for _ in range(rounds):
            for host, socket, connect in zip(hosts, *runs.values()):
                for row, found in (("socket", socket), ("connect", connect)):
                    found.append(scale.program("xsprobe", row, seconds, host.socket)["p50_us"])
        for host in hosts:
            host.daemon.kill()
    return {row: tuple(map(statistics.median, both)) for row, both in runs.items()}


def restarts(flavour):
    """At a planned restart, in ms: the wait of all if all ask, that of the last one if nobody else
    does, for all are taken up before, and the CPU time of who takes them up."""
    waits, alone, cpu = [], [], []
    with Host(flavour, log="notice") as host:
        clients = crowd(host, WATCHES)
        for _ in range(RESTARTS):
            waits.append(special.wait_at_restart(host, clients, b"/\0"))
            alone.append(special.wait_at_restart(host, clients[-1:], b"/\0"))
            cpu.append(scale.cpu_us(host.proxy) / 1000)
        host.daemon.kill()
    return map(statistics.median, (waits, alone, cpu))


def run(flavours, rounds, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    whats = {"socket": "socket READ, kept / not",
             "connect": "connect, READ, close, kept / not"}
    print(f"\nbeside {CLIENTS} toolstack clients", flush=True)
    with many_files():
        for flavour in flavours:
            name = DAEMONS[flavour]
            for row, (kept, without) in costs(flavour, seconds, rounds).items():
                print(f"{name}: {whats[row]}, p50".ljust(46),
                      f"{kept / without:6.2f} {kept:7.1f}us {without:7.1f}us", flush=True)
                results.append({"daemon": flavour, "row": f"kept {row}", "kept": kept,
                                "without": without})
            wait, alone, cpu = restarts(flavour)
            print(f"{name}: all are taken up at a planned restart".ljust(46),
                  f"{'':6} {alone:7.1f}ms, xsproxyd's CPU {cpu:.1f}ms; all answered, if all "
                  f"ask: {wait:.1f}ms", flush=True)
            results.append({"daemon": flavour, "row": "kept restart", "wait_ms": wait,
                            "taken_up_ms": alone, "cpu_ms": cpu})
    return results
