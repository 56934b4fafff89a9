# SPDX-License-Identifier: MIT
"""Removing the package: who stands behind xsproxyd goes on until dom0 is rebooted.

debian/prerm runs as dpkg runs it, in an overlay over this machine, with what it calls replaced.
"""

import shutil
import subprocess

import pytest

from harness import BUILD

ROOT = next(path for path in BUILD.parents if (path / "debian/prerm").exists())

HOST = """
set -e
top=$1 prerm=$2 bridge=$3
mount -t tmpfs t "$top"
mkdir "$top/up" "$top/work" "$top/root"
mount -t overlay -o "lowerdir=/,upperdir=$top/up,workdir=$top/work" o "$top/root"
mkdir -p "$top/root/run/systemd/system" "$top/root/run/xsproxy"
rm -f "$top/root/run/xsproxy/bridge"
install -D -m 0755 "$prerm" "$top/root/prerm"
for name in /usr/libexec/xsproxy/select-xenstored /usr/local/sbin/deb-systemd-invoke; do
    printf '#!/bin/sh\\necho "${0##*/} $*"\\n' | install -D -m 0755 /dev/stdin "$top/root$name"
done
if [ "$bridge" = bridge ]; then
    python3 -c "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])" \
        "$top/root/run/xsproxy/bridge"
fi
PATH=/usr/local/sbin:$PATH exec chroot "$top/root" sh /prerm remove
"""


def remove(tmp_path, bridge):
    mount = ("mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
             "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w o /mnt/r")
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this needs the right to mount an overlay")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", HOST, "sh", tmp_path, ROOT / "debian/prerm", bridge],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr


def test_xsproxyd_runs_on_while_xenstored_has_the_bridge(tmp_path):
    called, said = remove(tmp_path, "bridge")
    assert called == ["select-xenstored off"]
    assert said.count("\n") == 1 and "until dom0 is rebooted" in said


def test_it_is_stopped_where_nobody_needs_it(tmp_path):
    called, said = remove(tmp_path, "none")
    assert called == ["select-xenstored off",
                      "deb-systemd-invoke stop xsproxy.socket xsproxy.service"]
    assert said == ""
