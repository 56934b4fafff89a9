# SPDX-License-Identifier: MIT
"""Programs in which an allocation fails (tests/fault/fail.c), for the test_fail_*.py files."""

import mmap
import struct
import subprocess

PLAN = struct.Struct("<12Q")  # struct plan


class Plan:
    """Which allocation fails, in the processes that are started with @env."""

    def __init__(self, directory):
        path = directory / "fail-plan"
        path.write_bytes(bytes(mmap.PAGESIZE))
        self.env = {"XSPROXY_FAIL": path}
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def _get(self):
        return PLAN.unpack_from(self._map)

    @property
    def count(self):
        return self._get()[0]

    @property
    def failed(self):
        return self._get()[3]

    def arm(self, nth, more=0):
        """The @nth allocation from now on fails, and as many after it as @more says."""
        PLAN.pack_into(self._map, 0, 0, nth, more, 0, *[0] * 8)

    def disarm(self):
        """From now on all succeed; how many failed."""
        count, _, _, *rest = self._get()
        PLAN.pack_into(self._map, 0, count, 0, 0, *rest)
        return rest[0]

    def where(self, program):
        """Who asked for the allocation that failed first; for the report of a failed test."""
        # A return address is behind its call.
        sites = [hex(site - 1) for site in self._get()[4:] if site]
        done = subprocess.run(["addr2line", "-sf", "-e", program, *sites], capture_output=True,
                              text=True, check=False)
        return done.stdout
