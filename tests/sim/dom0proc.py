# SPDX-License-Identifier: MIT
"""A dom0 process that does to the Xen libraries what a test tells it: Dom0Proc in the test, this
file run as a program in the process.

    with Dom0Proc(sim) as proc:
        handle = proc.call("xenevtchn_open", None, 0)
        port = proc.call("xenevtchn_bind_interdomain", handle, 7, 1)

call() raises OSError with the errno when the function returned NULL or -1.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys

import xensim
import xsclient

PR_SET_PDEATHSIG = 1

POINTERS = ("xenevtchn_open", "xenevtchn_fdopen", "xengnttab_open", "xengnttab_map_grant_ref",
            "xengnttab_map_grant_refs", "xc_interface_open", "xc_map_foreign_range",
            "xencall_open", "xencall_alloc_buffer")


class Dom0Proc(xsclient.Closing):
    """The process."""

    def __init__(self, sim, *preloads):
        self.process = subprocess.Popen(
            [sys.executable, __file__, xensim.XEN_VERSION], env=sim.env(*preloads),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        """Kill it, if it still lives."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def pid(self):
        return self.process.pid

    def _ask(self, *request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise xsclient.Closed(f"the process ended with {self.process.wait()}")
        result, err = json.loads(line)
        if err:
            raise OSError(err, f"{request}: {os.strerror(err)}")
        return result

    def call(self, function, *args):
        """Call a C function; lists become arrays of 32-bit words."""
        return self._ask("call", function, *args)

    def readable(self, fd, timeout=0):
        """Whether poll(2) says so, and nothing but POLLIN."""
        return self._ask("poll", fd, timeout)

    def peek(self, address):
        return self._ask("peek", address)

    def poke(self, address, value):
        self._ask("poke", address, value)

    def fork(self):
        """Fork a child that only waits for its end; it keeps what a child inherits."""
        return self._ask("fork")


def _argument(value):
    if isinstance(value, list):
        return (ctypes.c_uint32 * len(value))(*value)
    return ctypes.c_void_p(value) if value is None or isinstance(value, int) else value


def _call(lib, name, *args):
    function = getattr(lib, name)
    function.restype = ctypes.c_void_p if name in POINTERS else ctypes.c_int
    ctypes.set_errno(0)
    result = function(*map(_argument, args))
    failed = result is None if name in POINTERS else result == -1
    return (None, ctypes.get_errno()) if failed else (result, 0)


def _poll(fd, timeout):
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLPRI)
    events = poll.poll(timeout * 1000)
    assert events in ([], [(fd, select.POLLIN)]), events
    return bool(events)


def _fork():
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        # It must not outlive its parent, however that ends.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(tell, b"x")
        os.close(0)
        os.close(1)
        while True:
            signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    return pid


def main():
    for name in ("libxenevtchn.so.1", "libxengnttab.so.1", "libxencall.so.1",
                 f"libxenctrl.so.{sys.argv[1]}"):
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    # As the dynamic linker searches: preloaded libraries first.
    lib = ctypes.CDLL(None, use_errno=True)
    for line in sys.stdin:
        verb, *args = json.loads(line)
        err = 0
        result = None
        if verb == "call":
            result, err = _call(lib, *args)
        elif verb == "poll":
            result = _poll(*args)
        elif verb == "peek":
            result = ctypes.c_uint8.from_address(args[0]).value
        elif verb == "poke":
            ctypes.c_uint8.from_address(args[0]).value = args[1]
        elif verb == "fork":
            result = _fork()
        print(json.dumps((result, err)), flush=True)


if __name__ == "__main__":
    main()
