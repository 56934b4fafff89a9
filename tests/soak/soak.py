#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many guests and toolstacks for a long time: xsproxyd's memory and descriptors stay what they are.

    soak.py [--daemon C|O] [--seconds N] [--guests N]

SOAK_DAEMON, SOAK_SECONDS and SOAK_GUESTS are the defaults. Prints what it measures, and ends with 0
if every guest got every answer, memory was flat after the first minute (of shorter runs: the first
third), no descriptor was left over, and xsproxyd ended well, which under ASan means without a leak.
"""

import argparse
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "sim")]

from control import Control  # noqa: E402
from harness import BUILD, Host  # noqa: E402
from ours import QUIESCE, UNQUIESCE, ask  # noqa: E402
from relay import wait_until  # noqa: E402
from xsclient import XsError  # noqa: E402

FIRST = 1         # of the guests
COMING = 10000    # domains that come and go
TOOLSTACKS = 4
PAUSE_MS = 1000   # a guest's, at most, between two rounds
SLACK = 1.03      # what memory may grow and still be flat: the allocator's, not ours ...
SLACK_KB = 2048   # ... and at least this
STALE = 0.1       # of the time are samples averaged over

# Freed memory would be kept back otherwise, until there are 256 MiB of it.
ASAN = {"ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=8"}
# xenstored's quotas are not what is tried.
DAEMON_ARGS = {"C": ["-S", "8000", "-E", "100000"], "O": []}


class Soak:
    """The host, its guests, and what watches them."""

    def __init__(self, flavour, guests, seconds):
        self.flavour, self.guests, self.seconds = flavour, guests, seconds
        self.failures = []
        self.rounds = 0
        self.toolstack = 0
        self.stop = threading.Event()
        self.samples = []

    def fail(self, text):
        print("FAILED:", text, flush=True)
        self.failures.append(text)
        self.stop.set()

    # --- what is measured

    def memory(self):
        """KiB of xsproxyd's own memory, and of what it shares with xenstored."""
        status = pathlib.Path(f"/proc/{self.host.proxy.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return [int(fields[key].split()[0]) for key in ("RssAnon", "RssShmem")]

    def descriptors(self):
        """All but those by which the simulated Xen rings."""
        place = f"/proc/{self.host.proxy.pid}/fd"
        links = []
        for fd in os.listdir(place):
            try:
                links.append(os.readlink(f"{place}/{fd}"))
            except FileNotFoundError:
                pass
        return sum(not link.startswith(str(self.host.sim.dir)) for link in links)

    # --- the load

    def prepare(self):
        domains = self.host.sim.create_range(FIRST, FIRST + self.guests - 1)
        for domid, domain in domains.items():
            base = f"/local/domain/{domid}"
            self.host.dom0.mkdir(base)
            self.host.dom0.set_perms(base, f"n{domid}")
            self.host.dom0.write(f"{base}/data", "")
            self.host.dom0.set_perms(f"{base}/data", f"n{domid}")
            self.host.dom0.introduce(domid, domain.gfn, domain.port)
        self.coming = self.host.sim.create_range(COMING, COMING + TOOLSTACKS - 1)

    def start_guests(self):
        process = subprocess.Popen(
            [BUILD / "xsstress", self.host.sim.dir, str(FIRST), "1", str(self.guests),
             str(PAUSE_MS)], stdout=subprocess.PIPE, text=True)
        thread = threading.Thread(target=self.read_guests, args=(process,))
        thread.start()
        return process, thread

    def read_guests(self, process):
        for line in process.stdout:
            if line.startswith("domain"):
                self.fail(line.strip())
            elif line != "ready\n":
                self.rounds += sum(map(int, line.split()))

    def client(self, domid):
        with self.host.client() as client:
            path = f"/local/domain/{domid}/data"
            client.watch(path, "soak")
            client.wait_event()
            tx = client.start()
            client.write(f"{path}/soak", "x" * 1500, tx=tx)
            try:
                client.end(tx)
            except XsError as err:
                if err.name != "EAGAIN":
                    raise
            client.directory(path)

    def quiesce(self, domid):
        with self.host.client() as client:
            ask(client, QUIESCE, domid)
            with Control(self.host) as control:
                control.said("watches", domid=domid)
                control.run("domain", domid=domid)
            ask(client, UNQUIESCE, domid)

    def export(self, domid):
        done = subprocess.run(
            [BUILD / "xsproxyctl", "export", str(domid), "--resume"], stdin=subprocess.DEVNULL,
            capture_output=True, env=self.host.tool_env(), check=False, timeout=60)
        if done.returncode and not re.search(b"cannot (quiesce|export) domain", done.stderr):
            raise AssertionError(done.stderr.decode())

    def come_and_go(self, domid):
        domid = COMING + domid % TOOLSTACKS
        domain = self.coming[domid]
        with self.host.client() as client:
            client.introduce(domid, domain.gfn, domain.port)
            with self.host.sim.guest(domid) as guest:
                guest.watch("/local", "soak")
                guest.start()
            client.release(domid)

    def look(self, _):
        with Control(self.host) as control:
            for command in ("status", "domains", "stats", "load"):
                control.run(command)

    def run_toolstack(self, number):
        """What one toolstack does. Two that quiesce one domain would be in each other's way."""
        rng = random.Random(number)
        domids = range(FIRST + number, FIRST + self.guests, TOOLSTACKS)
        kinds = (self.client, self.client, self.quiesce, self.export, self.come_and_go, self.look)
        try:
            while not self.stop.is_set():
                rng.choice(kinds)(rng.choice(domids))
                self.toolstack += 1
                self.stop.wait(rng.random() * 0.2)
        except Exception as err:  # pylint: disable=broad-exception-caught
            self.fail(f"toolstack: {type(err).__name__}: {err}")

    # --- the run

    def watch(self):
        start = time.monotonic()
        next_line = 0
        while not self.stop.is_set():
            now = time.monotonic() - start
            if now >= self.seconds:
                break
            sample = (now, *self.memory(), self.descriptors())
            self.samples.append(sample)
            if now >= next_line:
                print("%5.0f s  own %7d KiB  shared %7d KiB  descriptors %4d" % sample, flush=True)
                next_line += max(self.seconds / 20, 1)
            self.stop.wait(self.seconds / 200)
        self.stop.set()

    def judge(self):
        settled = min(60, self.seconds / 3)
        window = max(self.seconds * STALE, 1)
        early = [s for s in self.samples if settled <= s[0] < settled + window]
        late = [s for s in self.samples if s[0] >= self.seconds - window]
        if not early or not late:
            return
        for column, name in ((1, "own"), (2, "shared")):
            first, last = (max(s[column] for s in part) for part in (early, late))
            print(f"{name} memory at most {first} KiB after the start, {last} KiB at the end")
            if last > max(first * SLACK, first + SLACK_KB):
                self.fail(f"{name} memory grows: {first} KiB, then {last} KiB")

    def run(self):
        with Host(self.flavour, daemon_args=DAEMON_ARGS[self.flavour], start=False) as host:
            self.host = host
            host.start_daemon()
            host.start_proxy("-c", self.config(host), env=ASAN)
            self.prepare()
            before = self.descriptors()
            process, reader = self.start_guests()
            threads = [threading.Thread(target=self.run_toolstack, args=(i,))
                       for i in range(TOOLSTACKS)]
            for thread in threads:
                thread.start()
            self.watch()
            for thread in threads:
                thread.join()
            process.terminate()
            reader.join()
            if process.wait():
                self.fail("a guest ended badly")
            self.judge()
            try:
                wait_until(lambda: self.descriptors() <= before)
            except AssertionError:
                self.fail(f"descriptors: {before} before, {self.descriptors()} after")
            print(f"descriptors {before} before, {self.descriptors()} after; "
                  f"{self.rounds} rounds of {self.guests} guests, "
                  f"{self.toolstack} toolstack operations")
            if host.proxy.stop():
                self.fail("xsproxyd ended badly")
            if self.failures:
                host.dump()
        return 1 if self.failures else 0

    @staticmethod
    def config(host):
        path = host.sim.dir / "soak.conf"
        path.write_text(f"[xsproxy]\nrun-dir = {host.run_dir}\nsocket = {host.socket}\n")
        return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", choices="CO", default=os.environ.get("SOAK_DAEMON", "C"))
    parser.add_argument("--seconds", type=float, default=os.environ.get("SOAK_SECONDS", "600"))
    parser.add_argument("--guests", type=int, default=os.environ.get("SOAK_GUESTS", "500"))
    args = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    sys.exit(Soak(args.daemon, args.guests, args.seconds).run())


if __name__ == "__main__":
    main()
