# SPDX-License-Identifier: MIT
"""`make bench`: the same load direct and behind xsproxy, alternating in one run, as ratios.

    bench.py [--rounds N] [--seconds S] [--daemon C|O] [--quick] [ROW...]

Prints a table and writes build/bench.json. docs/performance.md explains the rows.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from harness import BUILD, DAEMONS, Host  # noqa: E402

import cores  # noqa: E402
import crashing_rows  # noqa: E402
import exchanging  # noqa: E402
import fairness  # noqa: E402
import importing  # noqa: E402
import kept  # noqa: E402
import scale  # noqa: E402
import special  # noqa: E402
import syscalls  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")

HEADER = (f"{'':39}    thr   direct/s proxied/s   p50    p99  wake-ups  xsd cpu proxy"
          "    xsd  (pr.)  proxy  guest  (pr.)")

# name, operation, guests, depth
ROWS = (
    ("READ 10 octets, 1 guest", "read", 1, 1),
    ("READ 10 octets, 8 guests", "read", 8, 1),
    ("READ 10 octets, 64 guests", "read", 64, 1),
    ("READ, 8 guests, pipelined by 8", "read", 8, 8),
    ("WRITE, 8 guests", "write", 8, 1),
    ("DIRECTORY of 100, 8 guests", "directory", 8, 1),
    ("READ 4000 octets, 8 guests", "read4000", 8, 1),
    ("transaction, 1 guest", "transaction", 1, 1),
)


def cpu_seconds(process):
    """User and system time of a process so far."""
    if not process:
        return 0.0
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Bench:
    """One daemon, direct and proxied, with guests that are ready."""

    def __init__(self, flavour, guests, stack, perf):
        self.hosts = {}
        self.perf = perf
        for proxied in (False, True):
            host = stack.enter_context(
                Host(flavour, proxied, daemon_args=scale.DAEMON_ARGS[flavour]))
            for domid in range(1, guests + 1):
                self.prepare(host, domid, flavour)
            self.hosts[proxied] = host

    @staticmethod
    def prepare(host, domid, flavour):
        guest = host.sim.add_guest(host.dom0, domid)
        guest.close()
        base = f"/local/domain/{domid}/data"
        large = 4000 if flavour == "C" else 2000
        for path, value in (("small", "0123456789"), ("large", "x" * large)):
            host.dom0.write(f"{base}/{path}", value)
            host.dom0.set_perms(f"{base}/{path}", f"n{domid}")
        for i in range(100):
            host.dom0.write(f"{base}/many/child{i:02}", "")
        host.dom0.set_perms(f"{base}/many", f"n{domid}")

    @staticmethod
    def guests(host, operation, guests, depth, seconds):
        """The command that has the guests make requests."""
        return [BUILD / "xsload", host.sim.dir, "1", str(guests), operation, str(seconds),
                str(depth)]

    @staticmethod
    def said(host, operation, done):
        """What it printed, and how many requests that were."""
        if done.returncode:
            host.dump()
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout)
        return result, result["requests"] * (4 if operation == "transaction" else 1)

    def load(self, proxied, operation, *how):
        """One measurement: {throughput, p50, p99, wakeups, daemon_cpu, proxy_cpu} a request."""
        host = self.hosts[proxied]
        before = cpu_seconds(host.daemon), cpu_seconds(host.proxy)
        done = subprocess.run(self.guests(host, operation, *how), capture_output=True, text=True,
                              check=False)
        result, requests = self.said(host, operation, done)
        return {
            "throughput": result["requests"] / result["seconds"],
            "p50": result["p50_us"],
            "p99": result["p99_us"],
            "wakeups": result["wakeups"] / requests,
            "daemon_cpu": (cpu_seconds(host.daemon) - before[0]) / requests * 1e6,
            "proxy_cpu": (cpu_seconds(host.proxy) - before[1]) / requests * 1e6,
        }

    def calls(self, proxied, operation, *how):
        """System calls a request: {daemon_calls, proxy_calls, guest_calls}, None if unknown."""
        host = self.hosts[proxied]
        counts = dict.fromkeys(("daemon_calls", "proxy_calls", "guest_calls"))
        if self.perf:
            done, found = syscalls.counted(self.guests(host, operation, *how),
                                           (host.daemon, host.proxy), host.sim.dir)
            _, requests = self.said(host, operation, done)
            for key, count in zip(counts, found):
                counts[key] = count if count is None else count / requests
        return counts

    def row(self, operation, guests, depth, seconds, rounds):
        """Alternate direct and proxied; medians of each. System calls are counted by a run more."""
        how = operation, guests, depth, seconds
        runs = {False: [], True: []}
        for _ in range(rounds):
            for proxied in (False, True):
                runs[proxied].append(self.load(proxied, *how))
        return {proxied: {key: statistics.median(run[key] for run in runs[proxied])
                          for key in runs[proxied][0]} | self.calls(proxied, *how)
                for proxied in runs}


def ratio(a, b):
    return a / b if b else float("nan")


def number(count):
    return "-" if count is None else f"{count:.2f}"


def show(name, state, row):
    direct, proxied = row[False], row[True]
    print(f"{name:32} {state:6}"
          f" {ratio(proxied['throughput'], direct['throughput']):6.2f}"
          f" {direct['throughput']:9.0f} {proxied['throughput']:9.0f}"
          f" {ratio(proxied['p50'], direct['p50']):6.2f}"
          f" {ratio(proxied['p99'], direct['p99']):6.2f}"
          f" {direct['wakeups']:5.2f} {proxied['wakeups']:5.2f}"
          f" {ratio(proxied['daemon_cpu'], direct['daemon_cpu']):6.2f}"
          f" {ratio(proxied['proxy_cpu'], direct['daemon_cpu']):6.2f}"
          f" {number(direct['daemon_calls']):>6} {number(proxied['daemon_calls']):>6}"
          f" {number(proxied['proxy_calls']):>6}"
          f" {number(direct['guest_calls']):>6} {number(proxied['guest_calls']):>6}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--daemon", choices=DAEMONS, action="append")
    parser.add_argument("--quick", action="store_true", help="one short round of each row")
    parser.add_argument("rows", nargs="*", help="only rows whose name contains one of these")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, 0.3

    results = []
    print(f"{os.cpu_count()} processors, {args.rounds} rounds of {args.seconds} s, medians; "
          "ratios are proxied / direct")
    no_perf = syscalls.unusable()
    if no_perf:
        print(f"system calls are not counted: {no_perf}")
    for flavour in args.daemon or DAEMONS:
        print(f"\n{DAEMONS[flavour]:107}  system calls a request\n{HEADER}")
        with contextlib.ExitStack() as stack:
            bench = Bench(flavour, 64, stack, not no_perf)
            for state, keep in cores.STATES:
                with keep():
                    for name, operation, guests, depth in ROWS:
                        if args.rows and not any(word in name for word in args.rows):
                            continue
                        row = bench.row(operation, guests, depth, args.seconds, args.rounds)
                        show(name, state, row)
                        results.append({"daemon": flavour, "state": state, "row": name,
                                        "direct": row[False], "proxied": row[True]})
    if not args.rows or "special" in args.rows:
        results += special.run(args.daemon or DAEMONS, args.rounds, args.seconds)
    if not args.rows or "scale" in args.rows:
        results += scale.run(args.daemon or DAEMONS, args.rounds, args.seconds)
    if not args.rows or "kept" in args.rows:
        results += kept.run(args.daemon or DAEMONS, args.rounds, args.seconds)
    if not args.rows or "fairness" in args.rows:
        results += fairness.run(args.daemon or DAEMONS, args.rounds, args.seconds)
    if not args.rows or "import" in args.rows:
        results += importing.run(args.daemon or DAEMONS, args.seconds)
    if not args.rows or "exchange" in args.rows:
        results += exchanging.run(args.daemon or DAEMONS, args.rounds)
    if not args.rows or "crash" in args.rows:
        results += crashing_rows.run(args.daemon or DAEMONS, args.rounds, args.seconds)
    out = BUILD / "bench.json"
    out.write_text(json.dumps({"processors": os.cpu_count(), "rows": results}, indent=1))
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
