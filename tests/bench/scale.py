# SPDX-License-Identifier: MIT
"""The rows of `make bench` about many domains, toolstacks, and looking at the traffic."""

import contextlib
import json
import pathlib
import re
import signal
import statistics
import subprocess
import time

from harness import BUILD, DAEMONS, Host
from xsclient import READ

IDLE = (1, 100, 2000)
# What a Linux guest has said when it has booted, about.
BOOT_WATCHES, BOOT_READS = 8, 30
# xenstored's quotas are not what is measured.
DAEMON_ARGS = {"C": ["-S", "8000", "-E", "100000"], "O": []}


def program(name, *args):
    done = subprocess.run([BUILD / name, *map(str, args)], capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)


def small_node(host, domid):
    host.dom0.write(f"/local/domain/{domid}/data/small", "0123456789")
    host.dom0.set_perms(f"/local/domain/{domid}/data/small", f"n{domid}")


def restart(host, name="xsproxyd"):
    """Another xsproxyd in place of the running one."""
    host.proxy.kill(signal.SIGTERM)
    host.proxy.wait()
    host.start_proxy(program=name)
    host._dom0 = None  # toolstacks lose their connection


def cpu_us(process):
    """CPU time so far, exact to the microsecond or so."""
    return int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1000


def probes(flavour, seconds, rounds):
    """p50 in us of a watch round trip and of a socket READ: {row: (direct, proxied)}."""
    runs = {"watch": ([], []), "socket": ([], [])}
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Host(flavour, proxied)) for proxied in (False, True)]
        for host in hosts:
            host.add_guest(1).close()
            small_node(host, 1)
        for _ in range(rounds):
            for proxied, host in enumerate(hosts):
                result = program("xsprobe", "watch", seconds, host.sim.dir, 1, host.socket)
                runs["watch"][proxied].append(result["p50_us"])
                result = program("xsprobe", "socket", seconds, host.socket)
                runs["socket"][proxied].append(result["p50_us"])
    return {row: tuple(map(statistics.median, both)) for row, both in runs.items()}


def boot(host, first, last):
    """Introduce domains that say what a guest says when it boots, and then nothing."""
    for domid, (port, gfn) in host.sim.create_range(first, last).items():
        host.dom0.introduce(domid, gfn, port)
        with host.sim.guest(domid) as guest:
            for i in range(BOOT_WATCHES):
                guest.watch(f"device/thing{i}", f"token-{i:08x}")
            for _ in range(BOOT_READS):
                guest.call(READ, b"domid\0")


def memory_kib(process):
    """What is xsproxyd's alone, rings and ledgers; the guests' own pages are theirs."""
    proc = pathlib.Path(f"/proc/{process.pid}")
    private, shared = 0, 0
    for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", (proc / "smaps").read_text()):
        if "/evtchn" in part or "pages" in part.split("\n", 1)[0]:
            continue
        private += int(re.search(r"Private_Dirty:\s+(\d+)", part)[1])
    for fd in (proc / "fd").iterdir():
        with contextlib.suppress(OSError):
            if "memfd:xsproxy-" in str(fd.readlink()):
                shared += fd.stat().st_blocks // 2
    return private + shared


def switches(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status)[1])


def scale(flavour, seconds, rounds):
    """A row for each number of idle domains."""
    rows = []
    with Host(flavour, True, daemon_args=DAEMON_ARGS[flavour]) as host:
        host.add_guest(1).close()
        small_node(host, 1)
        have, before = 1, memory_kib(host.proxy)
        for count in IDLE:
            if count > 1:
                boot(host, have + 1, count)
            row = {"domains": count}
            if count > have:
                row["kib"] = (memory_kib(host.proxy) - before) / (count - have)
            costs = []
            for _ in range(rounds):
                start = cpu_us(host.proxy)
                done = program("xsload", host.sim.dir, 1, 1, "read", seconds, 1)
                costs.append((cpu_us(host.proxy) - start) / done["requests"])
            row["cpu_us"] = statistics.median(costs)
            quiet = switches(host.proxy)
            time.sleep(10 if seconds >= 1 else 2)  # nothing is waited for: nothing must happen
            row["switches"] = switches(host.proxy) - quiet
            start = time.monotonic()
            restart(host)
            with host.sim.guest(count) as guest:
                guest.call(READ, b"domid\0")
            row["start_ms"] = (time.monotonic() - start) * 1000
            have, before = count, memory_kib(host.proxy)
            rows.append(row)
    return rows


def tap(flavour, seconds, rounds):
    """READ/s of 8 guests: without tap.c, with it, and while everything is traced as text."""
    rates = {"notap": [], "tap": [], "traced": []}
    with Host(flavour, True) as host:
        for domid in range(1, 9):
            host.add_guest(domid).close()
            small_node(host, domid)
        for _ in range(rounds):
            for name, found in rates.items():
                restart(host, "xsproxyd-notap" if name == "notap" else "xsproxyd")
                trace = None
                if name == "traced":
                    trace = subprocess.Popen(
                        [BUILD / "xsproxyctl", "trace", "--control", host.run_dir / "control"],
                        stdout=subprocess.DEVNULL)
                done = program("xsload", host.sim.dir, 1, 8, "read", seconds, 1)
                found.append(done["requests"] / done["seconds"])
                if trace:
                    trace.terminate()
                    trace.wait()
    return {name: statistics.median(found) for name, found in rates.items()}


def run(flavours, rounds, seconds):
    """Print the rows; return them for bench.json."""
    results = []
    hops = statistics.median(program("xsprobe", "hops", seconds)["p50_us"] for _ in range(rounds))
    print(f"\ntwo eventfd hops, p50                          {'':6} {hops:7.1f}us")
    results.append({"row": "hops", "p50_us": hops})
    for flavour in flavours:
        name = DAEMONS[flavour]
        for row, (direct, proxied) in probes(flavour, seconds, rounds).items():
            what = {"watch": "dom0 writes, guest is told, p50", "socket": "socket READ, p50"}[row]
            print(f"{name}: {what}".ljust(46), f"{proxied / direct:6.2f} {proxied:7.1f}us"
                  f" {direct:7.1f}us", flush=True)
            results.append({"daemon": flavour, "row": row, "proxied": proxied, "direct": direct})
        rates = tap(flavour, seconds, rounds)
        for row, base in (("tap", "notap"), ("traced", "tap")):
            print(f"{name}: READ/s, 8 guests, {row} / {base}".ljust(46),
                  f"{rates[row] / rates[base]:6.2f} {rates[row]:8.0f}  {rates[base]:8.0f}",
                  flush=True)
        results.append({"daemon": flavour, "row": "tap", **rates})
        for row in scale(flavour, seconds, rounds):
            print(f"{name}: {row['domains']} domains, 1 busy".ljust(46),
                  f"{'':6} {row['cpu_us']:7.2f}us CPU a READ, start {row['start_ms']:.0f} ms,"
                  f" {row['switches']} wake-ups idle,"
                  f" {row.get('kib', 0):.1f} KiB a further domain", flush=True)
            results.append({"daemon": flavour, "row": "scale", **row})
    return results
