# SPDX-License-Identifier: MIT
"""The fairness rows of `make bench`: one guest floods, another one sends a READ at a time. Its p99
behind xsproxy, beside its p99 when both sit on xenstored directly."""

import contextlib
import itertools
import json
import os
import subprocess

from harness import BUILD, DAEMONS, Host

import cores

FLOODER, VICTIM = 1, 2
GOAL = 3.0
# Guests have processors of their own: the flooder must not take the daemons' here, nor the
# victim's, whose own wait for a processor would be all that is seen.
ABOVE = 10

# name, operation, depth; None: nobody floods
FLOODS = (
    ("nobody", None, 0),
    ("READs, 32 under way", "read", 32),
    ("WRITEs, 32 under way", "write", 32),
    ("READs of 2000 octets, 32 under way", "read4000", 32),
    ("events only", "events", 1),
)


def raise_above(process):
    os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) - ABOVE)


def prepare(host):
    for process in (host.daemon, host.proxy):
        if process:
            raise_above(process)
    for domid in (FLOODER, VICTIM):
        host.add_guest(domid).close()
        base = f"/local/domain/{domid}/data"
        for path, value in (("small", "0123456789"), ("large", "x" * 2000)):
            host.dom0.write(f"{base}/{path}", value)
            host.dom0.set_perms(f"{base}/{path}", f"n{domid}")


def start(host, domid, operation, seconds, depth):
    return subprocess.Popen(
        [BUILD / "xsload", host.sim.dir, str(domid), "1", operation, str(seconds), str(depth)],
        stdout=subprocess.PIPE, text=True)


def result(process):
    text = process.communicate()[0]
    if process.returncode:
        raise SystemExit("xsload failed")
    return json.loads(text)


def measure(host, operation, depth, seconds):
    """The victim's p50 and p99 in microseconds, what the flooder got through a second, and how many
    requests the victim did."""
    flood = operation and start(host, FLOODER, operation, seconds + 0.5, depth)
    victim = start(host, VICTIM, "paced", seconds, 1)
    raise_above(victim)
    victim = result(victim)
    rate = 0
    if flood:
        done = result(flood)
        rate = done["requests"] / done["seconds"]
    return victim["p50_us"], victim["p99_us"], rate, victim["requests"]


def compare(hosts, operation, depth, rounds, seconds):
    """Direct and proxied, alternating: what measure() says of the calmest round of each."""
    runs = [[], []]
    for _ in range(rounds):
        for host, taken in zip(hosts, runs):
            taken.append(measure(host, operation, depth, seconds))
    # What else runs on the machine costs milliseconds. A round in which the guest hardly ran says
    # nothing.
    return [min(taken, key=lambda run: (run[3] < 50, run[1])) for taken in runs]


def run(flavours, rounds, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    print(f"\na guest beside one that floods: its READ, us{'':29} direct        proxied     p99"
          "      flood/s\n"
          f"{'':67} p50    p99    p50    p99  ratio   direct  proxied")
    for flavour in flavours:
        with contextlib.ExitStack() as stack:
            hosts = [stack.enter_context(Host(flavour, proxied)) for proxied in (False, True)]
            for host in hosts:
                prepare(host)
            for (name, operation, depth), (state, keep) in itertools.product(FLOODS, cores.STATES):
                with keep():
                    direct, proxied = compare(hosts, operation, depth, rounds, seconds)
                ratio = proxied[1] / direct[1]
                print(f"{DAEMONS[flavour]}: flood of {name}, {state}".ljust(63),
                      f"{direct[0]:7.0f}{direct[1]:7.0f}{proxied[0]:7.0f}{proxied[1]:7.0f}"
                      f" {ratio:6.2f} {direct[2]:8.0f} {proxied[2]:8.0f}"
                      f"{'' if ratio < GOAL or not operation else '  missed'}", flush=True)
                results.append({"daemon": flavour, "row": f"fairness: {name}", "state": state,
                                "goal": GOAL, "direct": direct, "proxied": proxied})
            for host in hosts:
                host.daemon.kill()
    return results
