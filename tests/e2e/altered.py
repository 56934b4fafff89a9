# SPDX-License-Identifier: MIT
"""This machine with files put over its own, for scripts that change a host: it stays as it is."""

import os
import stat
import subprocess

import pytest

MOUNT = """
set -e
changes=$1 top=$2
shift 2
mount -t tmpfs t "$top"
mkdir "$top/up" "$top/work" "$top/root"
cp -a "$changes" "$top/changes" # layers must not lie in one another
mount -t overlay -o "lowerdir=$top/changes:/,upperdir=$top/up,workdir=$top/work" o "$top/root"
mount --rbind /dev "$top/root/dev"
mount -t proc p "$top/root/proc"
exec chroot "$top/root" "$@"
"""


class Altered:
    def __init__(self, directory):
        self.changes = directory / "changes"
        self._top = directory / "top"
        self.changes.mkdir()
        self._top.mkdir()
        if self.run("true").returncode:
            pytest.skip("this needs the right to mount an overlay")

    def write(self, path, content, mode=0o644):
        file = self._place(path)
        file.unlink(missing_ok=True)  # removed before
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)

    def stub(self, path, text='echo "${0##*/} $*"'):
        """A script in place of a program."""
        self.write(path, f"#!/bin/sh\n{text}\n", 0o755)

    def remove(self, path):
        """A file that may be there."""
        if os.path.lexists(path):
            os.mknod(self._place(path), stat.S_IFCHR, os.makedev(0, 0))  # means so to overlayfs

    def run(self, *argv, env=None):
        """What became of @argv there. What it has written is gone then."""
        mounted = ["unshare", "-m", "sh", "-c", MOUNT, "sh", self.changes, self._top]
        return subprocess.run([*mounted, *argv], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], **(env or {})})

    def _place(self, path):
        file = self.changes / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@pytest.fixture
def altered(tmp_path):
    return Altered(tmp_path)
