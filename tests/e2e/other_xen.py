# SPDX-License-Identifier: MIT
"""Daemons of another Xen than this machine's, out of the root of another Debian: XSPROXY_OTHER_XEN
names it. It has xen-utils-* and libxen-dev, as Debian 13's:

    mmdebstrap --include=xen-utils-VERSION,libxen-dev trixie /srv/trixie

They run here, over the same simulated machine, by their own loader and libraries. The simulator is
built for their Xen, whose libxenctrl has other functions.
"""

import os
import pathlib
import shutil
import subprocess

from harness import DAEMONS
from xensim import NUDGE, ROOT, SOCKET, XenSim

OTHER = os.environ.get("XSPROXY_OTHER_XEN")

# oxenstored of 4.20 looks for its plug-in below its own /usr/lib/xen-VERSION, whatever the loader
# is told.
IN_PLACE = """
mount -t overlay -o "lowerdir=$1:/usr/lib" other /usr/lib
shift
exec "$@"
"""


class OtherXen:
    """What is there, made ready to run in @directory."""

    def __init__(self, root, directory):
        self.bin, = pathlib.Path(root).glob("usr/lib/xen-[0-9]*/bin")
        self.version = self.bin.parent.name.removeprefix("xen-")
        triple = pathlib.Path(root) / "usr/lib" / f"{os.uname().machine}-linux-gnu"
        self.libraries = f"{triple}:{self.bin.parent / 'lib'}:{triple}/xen-{self.version}"
        self._loader, = triple.glob("ld-linux*.so.*")
        self._directory = directory
        headers = directory / "include"
        headers.mkdir()
        for entry in (pathlib.Path(root) / "usr/include").glob("xen*"):
            (headers / entry.name).symlink_to(entry)
        build = directory / "build"
        self.simulator = build / "libxensim.so"
        subprocess.run(["make", "-s", f"BUILD={build}", f"CFLAGS=-O2 -isystem {headers}",
                        self.simulator], cwd=ROOT, check=True)

        self._usr_lib = directory / "usr-lib"
        self._usr_lib.mkdir()
        (self._usr_lib / self.bin.parent.name).symlink_to(self.bin.parent)

    def argv(self, name, preloads):
        """How to start it. The loader is what the process runs, so it bears the daemon's name: by
        that the bridge knows where it is."""
        loader = self._directory / name
        if not loader.exists():
            shutil.copy(self._loader, loader)
        preload = ":".join(map(str, (*preloads, self.simulator)))
        return ["unshare", "--mount", "sh", "-ec", IN_PLACE, "sh", self._usr_lib,
                loader, "--preload", preload, "--library-path", self.libraries, self.bin / name,
                "--no-fork"]


class OtherSim(XenSim):
    """A machine whose daemon is another Xen's; all else on it is this machine's."""

    def __init__(self, other):
        self._other = other
        super().__init__()

    def start_daemon(self, flavour, *args, preloads=(), env=None, socket=SOCKET, name=None):
        self.nudge = NUDGE if flavour == "O" and not preloads else 0
        daemon = self.start(name or f"xenstored-{self._other.version}-{flavour}",
                            [*self._other.argv(DAEMONS[flavour], preloads), *args],
                            env={**(env or {}), "LD_PRELOAD": ""}, polite=False)
        if socket:
            with self.client(socket) as client:
                client.directory("/")
        return daemon
