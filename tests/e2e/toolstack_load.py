# SPDX-License-Identifier: MIT
"""Toolstack clients that check every answer while xsproxyd comes and goes: on sockets of their own
(tests/kill/sockets.c), and on the C library (library.c), which never connects anew."""

import contextlib
import signal
import subprocess

from harness import BUILD
from seed import SEED
from stress import Load, all_go_on

HOME = "/checked"
LARGE = {"C": 4000, "O": 2000}  # octets of the largest value that either takes
# Children, with names of 40 octets: more than a message holds. oxenstored then answers with a
# message that is larger, which libxenstore takes for the connection's end.
WIDE = {"xsstress-sockets": {"C": 200, "O": 200}, "xsstress-library": {"C": 200, "O": 90}}


# What either daemon takes, and answers alike.
COMMON_LARGE, COMMON_WIDE = min(LARGE.values()), 90


@contextlib.contextmanager
def checked(host, domids, each=3):
    """Guests and clients check every answer as long as this lasts, while one daemon takes the place
    of another: yields what asserts that all of them are there still. In the end all go on."""
    load, toolstack = Load(host, domids), Toolstack(host, each=each, common=True)

    def look():
        assert load.all_alive(), load.end()
        assert toolstack.all_alive(), toolstack.end()
    try:
        yield look
        all_go_on(host, load)
        load.end()
        toolstack.end()
    finally:
        load.kill()
        toolstack.kill()
    host.check()


class Toolstack:
    """@each clients of either kind, that run until they are told to end; @common: the daemon may be
    exchanged for another one meanwhile."""

    def __init__(self, host, each=3, common=False):
        print("XSPROXY_SEED", SEED)
        self.host = host
        self.common = common
        self.processes = {}
        for i in range(each):
            self._start("xsstress-library", f"{HOME}/library{i}", i)
            self._start("xsstress-sockets", f"{HOME}/sockets{i}", each + i)
        for process in self.processes.values():
            said = process.stdout.readline()
            assert said == "ready\n", said

    def _start(self, program, home, number):
        large, wide = LARGE[self.host.flavour], WIDE[program][self.host.flavour]
        if self.common:
            large, wide = COMMON_LARGE, COMMON_WIDE
        for i in range(1, wide + 1):
            self.host.dom0.write(f"{home}/wide/{i:040}", "")
        args = [home, SEED + number, large, wide]
        if program == "xsstress-sockets":
            args.insert(0, self.host.socket)
        self.processes[home] = subprocess.Popen(
            [BUILD / program, *map(str, args)], env=self.host.tool_env(),
            stdout=subprocess.PIPE, text=True)

    def all_alive(self):
        return all(process.poll() is None for process in self.processes.values())

    def end(self):
        """Every one must have ended well, and have done something of each kind."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        said = {}
        for home, process in self.processes.items():
            said[home] = process.stdout.read()
            process.wait(60)
        bad = {home: (self.processes[home].returncode, text) for home, text in said.items()
               if self.processes[home].returncode}
        assert not bad, bad
        done = {home: [int(n) for n in text.split()] for home, text in said.items()}
        print("rounds of each kind:", done)
        return done

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
