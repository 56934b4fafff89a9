#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a daemon executes for a live update in tests: becoming.py says more.

usage: starter.py DIRECTORY ARGUMENT...
"""

import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys

STATE = {"C": "state_dump", "O": "db"}
FORMAT = {"C": "c", "O": "oxenstored"}
CROSSING = {"C": ["-U"], "O": ["--live", "--restart"]}


def items(ctl, path):
    """What a state holds: [(kind, {...}), ...], without the summary."""
    done = subprocess.run([ctl, "show", "--json", path], capture_output=True, text=True,
                          check=True, env=plain())
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [next(iter(line.items())) for line in lines[:-1]]


def plain():
    env = dict(os.environ)
    env.pop("LD_PRELOAD", None)
    return env


def let_go(how, state):
    """What the next daemon takes no handle of: oxenstored gets none without the port of
    VIRQ_DOM_EXC, and the C daemon binds that itself."""
    about = next(what for kind, what in state if kind == "global")
    if how["from"] == how["to"]:
        return
    if how["to"] == "O":
        os.close(about["event_channels"])
        return
    lib = ctypes.CDLL(how["sim"])
    lib.xenevtchn_fdopen.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(lib.xenevtchn_fdopen(None, about["event_channels"], 0))
    assert not lib.xenevtchn_unbind(handle, about["virq_port"])


def fill_in(how, text):
    """What a C state does not say: where the rings of domains are."""
    def ring(match):
        gfn, port = how["rings"][match[1]]
        return f"dom,{match[1]},{gfn},{port}\n"
    return re.sub(r"^dom,([1-9]\d*),0,0\n", ring, text, flags=re.M)


def change(how, work):
    place = next(path for name in ("run", "lib")
                 if (path := pathlib.Path(how[name]) / STATE[how["from"]]).exists())
    place.rename(work / "before")
    done = subprocess.run([how["ctl"], "convert", work / "before", "--to", FORMAT[how["to"]],
                           "-o", work / "after"], capture_output=True, text=True, check=False,
                          env=plain())
    assert not done.returncode, done.stderr
    (work / "lost").write_text(done.stderr)
    octets = (work / "after").read_bytes()
    if how["to"] == "O":
        octets = fill_in(how, octets.decode()).encode()
    let_go(how, items(how["ctl"], work / "before"))
    (place.parent / STATE[how["to"]]).write_bytes(octets)


def main():
    work = pathlib.Path(sys.argv[1])
    if "--help" in sys.argv:  # oxenstored tries whether the program can be started
        return
    how = json.loads((work / "how.json").read_text())
    kept = [arg for arg in sys.argv[2:] if arg not in ("-U", "--live", "--restart")]
    daemon = {"C": "xenstored", "O": "oxenstored"}[how["to"]]
    try:
        change(how, work)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > 2:
                try:
                    os.set_inheritable(fd, True)
                except OSError:
                    pass  # that of the listing itself
        (work / "done").touch()
    except BaseException as err:
        (work / "failed").write_text(repr(err))
        raise
    argv = [f"{how['bin']}/{daemon}", *kept, *CROSSING[how["to"]]]
    os.execve(argv[0], argv, os.environ)


if __name__ == "__main__":
    main()
