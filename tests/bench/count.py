# SPDX-License-Identifier: MIT
"""`make bench-count`: the instructions that what users do most costs in xsproxyd, in xenstored, and
there in the bridge, counted by callgrind.

    count.py [--write] [ROW...]

Compares with tests/bench/count.json and fails if a row has more than 3 % more; --write writes it:
whoever makes something dearer on purpose does so in the same commit. Unlike times, counts repeat,
to a thousandth or so: all runs on one processor, one request at a time, and whoever is asked runs
at once (SCHED_FIFO, which takes root), so that wake-ups fall alike whatever else the machine does;
of several runs the least counts.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from harness import BRIDGE, BUILD, Host  # noqa: E402

from control import Control  # noqa: E402
import scale  # noqa: E402
from xsclient import (READ, TRANSACTION_END, UNWATCH, WATCH, WRITE, join)  # noqa: E402

BASELINE = pathlib.Path(__file__).with_name("count.json")
MORE = 1.03
RUNS = 6
# libc has its functions once for each processor; the baseline is not of one of them.
TUNABLES = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-BMI2,-RTM,-MOVBE"
VALGRIND = ("/usr/bin/valgrind", "-q", "--tool=callgrind")
NODES = 150  # of the domain that is exported
LARGE = 4000
CONFIG = "[mirror]\naudit = off\n"  # that goes by the clock


def run_at(pid, priority):
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))


class Counted:
    """A process under callgrind, @name; @library: one that is counted by itself, too."""

    def __init__(self, process, directory, name, library=None):
        self.process = process
        self.directory = directory
        self.name = name
        self.library = library

    def since(self):
        """{whose: instructions since it was last asked}."""
        subprocess.run(["callgrind_control", "--dump", str(self.process.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        dump, = self.directory.glob(f"{self.name}.{self.process.pid}.*")
        text = dump.read_text()
        dump.unlink()
        found = {self.name: read_dump(text)}
        if self.library:
            found["bridge"] = read_dump(text, self.library)
        return found


def read_dump(text, library=None):
    """The instructions in a dump of callgrind's; of all that is in @library only."""
    if not library:
        return int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE).group(1))
    names, total, inside, called = {}, 0, False, False
    for line in text.splitlines():
        found = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
        if found:
            names.setdefault(found.group(1), found.group(2) or "")
            inside = names[found.group(1)].endswith("/" + library)
        elif line.startswith("cob="):
            number, name = re.match(r"cob=\((\d+)\)(?: (.*))?$", line).groups()
            names.setdefault(number, name or "")
        elif line.startswith("calls="):
            called = True  # the next line is what the callee has cost
        elif re.match(r"[+*\d-]", line):
            total += int(line.split()[1]) if inside and not called else 0
            called = False
    return total


class Bed(Host):
    """A host whose xsproxyd and xenstored run under callgrind, and a guest."""

    def __init__(self):
        super().__init__("C", start=False, config=CONFIG, log="notice")
        self.counted = ()

    def _under(self, name):
        return [*VALGRIND, f"--callgrind-out-file={self.sim.dir}/{name}.%p"]

    def begin(self):
        argv = self.sim.daemon_argv("C", *scale.DAEMON_ARGS["C"])
        self.daemon = self.sim.start(
            "xenstored", [*self._under("xenstored"), *argv], BRIDGE, ready=True, polite=False,
            env={"XSPROXY_DIR": self.run_dir, "GLIBC_TUNABLES": TUNABLES})
        script = self.sim.dir / "under-callgrind"
        script.write_text(f"#!/bin/sh\nexec {' '.join(self._under('xsproxyd'))} "
                          f"{BUILD}/xsproxyd \"$@\"\n")
        script.chmod(0o755)
        self.start_proxy(program=script, env={"GLIBC_TUNABLES": TUNABLES})
        self.settle_mirror()
        self.guest = self.add_guest(7)
        scale.small_node(self, 7)
        self.dom0.write("/local/domain/7/data/large", "x" * LARGE)
        for i in range(NODES):
            self.dom0.write(f"/local/domain/7/data/many/{i}", i)
        self.counted = (Counted(self.proxy, self.sim.dir, "xsproxyd"),
                        Counted(self.daemon, self.sim.dir, "xenstored", BRIDGE.name))
        # As if it had a processor of its own: it runs as soon as there is anything for it.
        run_at(self.proxy.pid, 3)
        run_at(self.daemon.pid, 2)


# --- what is counted: each does it once


def read(bed):
    bed.guest.call(READ, b"data/small\0")


def write(bed):
    bed.guest.call(WRITE, b"data/written\0value")


def watch(bed):
    bed.guest.call(WATCH, join("data", "token"))
    bed.guest.wait_watch()
    bed.guest.call(UNWATCH, join("data", "token"))


def transaction(bed):
    tx = bed.guest.start()
    bed.guest.call(READ, b"data/small\0", tx=tx)
    bed.guest.call(WRITE, b"data/written\0value", tx=tx)
    bed.guest.call(TRANSACTION_END, b"T\0", tx=tx)


def read_large(bed):
    bed.guest.call(READ, b"data/large\0")


def client_read(bed):
    bed.dom0.read("/local/domain/7/data/small")


def quiesce(bed):
    with Control(bed) as control:
        control.run("quiesce", domid=7)
        control.run("unquiesce", domid=7)


def export(bed):
    subprocess.run([BUILD / "xsproxyctl", "export", "7", "--resume"], env=bed.tool_env(),
                   check=True, stdout=subprocess.DEVNULL, timeout=60)


# name, what, how often
ROWS = (
    ("READ", read, 50),
    ("WRITE", write, 50),
    ("WATCH, event, UNWATCH", watch, 30),
    ("transaction", transaction, 20),
    (f"READ of {LARGE} octets", read_large, 30),
    ("READ over a socket", client_read, 50),
    ("quiesce and unquiesce", quiesce, 5),
    (f"export of {NODES} nodes", export, 1),
)


def count(bed, action, times):
    """{whose: instructions a time}, the least of some runs."""
    runs = []
    for _ in range(RUNS + 1):
        for _ in range(times):
            action(bed)
        runs.append({})
        for counted in bed.counted:
            runs[-1].update(counted.since())
    return {name: round(min(run[name] for run in runs[1:]) / times) for name in runs[0]}


def made_with():
    """What has made the programs: counts of others say nothing."""
    gcc = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True)
    return [gcc.stdout.strip(), os.uname().machine]


def compare(row, found, expected):
    """Whether it is no more than it was. Prints a line a process."""
    good = True
    for name, instructions in found.items():
        was = expected.get(name)
        ratio = instructions / was if was else 1
        good = good and ratio <= MORE
        print(f"{row:26} {name:9} {instructions:9}",
              f"{ratio - 1:+7.1%} of {was}" if was else "  (new)",
              "" if ratio <= MORE else "TOO MANY", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(prog="count.py", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="make it the baseline")
    parser.add_argument("rows", nargs="*", help="only rows whose name contains one of these")
    options = parser.parse_args()
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    try:
        run_at(0, 1)
    except PermissionError:
        print("left out: what is counted depends on who runs when, which takes root to say\n"
              "0 passed, 0 failed")
        return 0
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    known = baseline.get("made with") == made_with() and baseline.get("rows", {})
    if not known and not options.write:
        print(f"{BASELINE.name} is of another compiler or machine: counted, and not compared")
    rows, bad, counted = dict(known or {}), [], 0
    with Bed() as bed:
        bed.begin()
        print(f"{'instructions each time':26} of", flush=True)
        for name, action, times in ROWS:
            if options.rows and not any(word in name for word in options.rows):
                continue
            found = count(bed, action, times)
            if not compare(name, found, (known or {}).get(name, {})):
                bad.append(name)
            rows[name] = found
            counted += 1
    if options.write:
        BASELINE.write_text(json.dumps({"made with": made_with(), "rows": rows}, indent=2) + "\n")
        return 0
    for name in bad:
        print(f"{name} takes more instructions than it did: make it less, or, if it has to be, "
              "make bench-count COUNT=--write in the same commit")
    print(f"{counted - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
