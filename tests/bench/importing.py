# SPDX-License-Identifier: MIT
"""The import row of `make bench`: the p99 of another guest, which sends a READ a millisecond, while
20,000 nodes are imported, beside its p99 while nobody does anything."""

import contextlib
import itertools
import statistics
import struct
import subprocess
import time

from harness import BUILD, DAEMONS, Host

import cores
import fairness

HELD = 7
NODES = 20_000
PAIRS = 5
GOAL = 1.2


def pad(octets, to):
    return octets + bytes(-len(octets) % to)


def node(path, value, perms):
    body = struct.pack("<II", 1, len(path)) + pad(path, 4) + struct.pack("<I", len(perms))
    body += b"".join(struct.pack("<cBH", letter, 0, domid) for letter, domid in perms)
    body += struct.pack("<I", len(value)) + pad(value, 4)
    return pad(struct.pack("<II", 7, len(body)) + body, 8)


def stream(value, perms):
    """Two such streams that differ write each other's nodes anew, permissions included."""
    home = b"/local/domain/%d/data" % HELD
    nodes = [node(home + b"/g%d" % i, value, perms) for i in range(NODES // 50)]
    nodes += [node(home + b"/g%d/n%d" % (i // 50, i), value, perms) for i in range(NODES)]
    return b"LibxlFmt" + struct.pack(">II", 2, 0) + b"".join(nodes) + bytes(8)


STREAMS = (stream(b"some value of a usual length", [(b"n", HELD)]),
           stream(b"another one, as long as that", [(b"n", HELD), (b"r", 0)]))


@contextlib.contextmanager
def importing(host, value):
    """One import, of the stream above with this number, under way meanwhile all the time; a list to
    which is added how long it took, in ms."""
    took = []
    journal = host.run_dir / f"import-{HELD}"
    with subprocess.Popen([BUILD / "xsproxyctl", "import", str(HELD), "--max-nodes",
                           str(2 * NODES), "--journal", host.run_dir], stdin=subprocess.PIPE,
                          env=host.tool_env()) as process:
        process.stdin.write(STREAMS[value % 2])
        process.stdin.close()
        while not journal.exists() or not journal.stat().st_size:
            assert process.poll() is None
        start = time.monotonic()
        yield took
        assert process.poll() is None, "it was too short"
        assert process.wait() == 0
        took.append(1000 * (time.monotonic() - start))


def victim(host, seconds):
    process = fairness.start(host, fairness.VICTIM, "paced", seconds, 1)
    fairness.raise_above(process)
    return fairness.result(process)["p99_us"]


def measure(host, seconds, numbers):
    """Pairs of (alone, meanwhile), and how long an import took, in ms."""
    pairs, took = [], []
    for _ in range(PAIRS):
        alone = victim(host, seconds)
        with importing(host, next(numbers)) as times:
            meanwhile = victim(host, seconds)
        pairs.append((alone, meanwhile))
        took += times
    return pairs, statistics.median(took)


def run(flavours, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    print(f"\nREAD of a guest while {NODES} nodes are imported: p99, us     alone meanwhile  ratio"
          "   ms an import")
    for flavour in flavours:
        with Host(flavour, True) as host:
            fairness.prepare(host)
            host.add_guest(HELD).close()
            subprocess.run([BUILD / "xsproxyctl", "quiesce", str(HELD)], env=host.tool_env(),
                           check=True)
            numbers = itertools.count()
            for state, keep in cores.STATES:
                with keep():
                    pairs, took = measure(host, seconds, numbers)
                ratio = statistics.median(meanwhile / alone for alone, meanwhile in pairs)
                alone, meanwhile = (statistics.median(side) for side in zip(*pairs))
                print(f"{DAEMONS[flavour]}: {state}".ljust(56),
                      f"{alone:8.0f} {meanwhile:9.0f} {ratio:6.2f} {took:13.0f}"
                      f"{'' if ratio < GOAL else '  missed'}", flush=True)
                results.append({"daemon": flavour, "row": "import: another guest's p99",
                                "state": state, "goal": GOAL, "pairs_us": pairs, "import_ms": took})
            host.daemon.kill()
    return results
