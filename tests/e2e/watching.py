# SPDX-License-Identifier: MIT
"""xsproxyctl's trace and capture, run beside guests."""

import json
import os
import re
import select
import signal
import subprocess
import time

import xensim
import xsclient

CTL = xensim.BUILD / "xsproxyctl"


def ctl(host, *args, **env):
    """Run a command to its end."""
    return subprocess.run([CTL, *map(str, args), "--control", host.run_dir / "control"],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False,
                          env=host.tool_env(LC_ALL="C.UTF-8", **env))


def said(host, *args):
    """What a command prints that has nothing to complain of."""
    done = ctl(host, *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def frames_of(obj):
    """How many frames a line of trace --json stands for."""
    if obj["kind"] == "lost":
        return obj["count"]
    return 1 + obj.get("answered", 0)


class Watching(xsclient.Closing):
    """`xsproxyctl trace` or `capture`: under way once this has been made.

    lines: what it has printed so far.
    """

    def __init__(self, host, *args, stdout=subprocess.PIPE, **env):
        self.lines = []
        self._part = b""
        env = host.tool_env(**{"LC_ALL": "C.UTF-8", "TZ": "UTC", **env})
        self.process = subprocess.Popen(
            [CTL, *map(str, args), "--control", host.run_dir / "control"], stdout=stdout,
            stderr=subprocess.PIPE, env=env)
        self.said = self.process.stderr.readline().decode()
        while "warning: " in self.said.splitlines()[-1]:
            self.said += self.process.stderr.readline().decode()
        if "until it is interrupted" not in self.said:
            self.said += self.process.stderr.read().decode()
            self.close()
            raise AssertionError(f"xsproxyctl {args}: {self.said}")

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def _read(self, timeout):
        """Take what comes next; whether that was anything."""
        out = self.process.stdout
        if not select.select([out], [], [], timeout)[0]:
            raise xsclient.Timeout(f"no more lines after {self.lines[-3:]}")
        octets = os.read(out.fileno(), 1 << 16)
        *lines, self._part = (self._part + octets).split(b"\n")
        self.lines += [line.decode() for line in lines]
        return bool(octets)

    def until(self, text):
        """Wait for a line with @text; all lines so far."""
        seen, deadline = 0, time.monotonic() + xensim.TIMEOUT
        while True:
            if any(text in line for line in self.lines[seen:]):
                return self.lines
            seen = len(self.lines)
            if not self._read(max(0, deadline - time.monotonic())):
                raise AssertionError(f"trace ended without {text!r}")

    def soon(self, text):
        """Whether a line with @text comes while one waits for a moment."""
        while not any(text in line for line in self.lines):
            if not select.select([self.process.stdout], [], [], 0.1)[0]:
                return False
            self._read(0)
        return True

    def send_signal(self, sig):
        self.process.send_signal(sig)

    def end(self, sig=signal.SIGINT):
        """Interrupt it; all lines."""
        self.send_signal(sig)
        if self.process.stdout:
            while self._read(xensim.TIMEOUT):
                pass
            assert self._part == b""
        self.said += self.process.stderr.read().decode()
        assert self.process.wait(xensim.TIMEOUT) == 0
        return self.lines

    def objects(self):
        return [json.loads(line) for line in self.lines]


def bare(line):
    """A line without its time, the guest's name, session and durations."""
    line = re.sub(r"^\d\d:\d\d:\d\d\.\d{6} ", "", line)
    line = re.sub(r"  \d+ us, (\d+ upstream|by xsproxyd)$",
                  lambda match: "" if "up" in match[1] else " *", line)
    return re.sub(r"^(d\d+)(?:\((?:guest-\d+|python3)\))? ([sc])\d+ ", r"\1\2 ", line)
