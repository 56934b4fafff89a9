# SPDX-License-Identifier: MIT
"""A disk that is full: an export fails in one line, nothing is left of it, the guest goes on. And
what the disk is not blamed for, or is: a quota of xenstored's has the same number."""

import subprocess

import pytest

import xensim
from ours import GET_DOMAIN_STATE, ask, running
from relay import FLAVOURS
from migration import CTL, ctl, env

# Run a command where DIR is too small for an export; then say what is in there.
SMALL = """
mount -t tmpfs -o size=32k none "$1" || exit 99
dir=$1
shift
"$@"
status=$?
ls -A "$dir"
exit $status
"""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_export(flavour, tmp_path):
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(50):
            host.dom0.write(f"/local/domain/7/data/n{i}", "x" * 1500)
        commands = (["unshare", "-m", "sh", "-c", SMALL, "sh", tmp_path, CTL, "export", "7", "-o",
                     tmp_path / "stream"],
                    ["sh", "-c", 'exec "$@" >/dev/full', "sh", CTL, "export", "7"])
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, env=env(host), timeout=xensim.TIMEOUT)
            assert done.returncode == 1, done
            assert done.stderr == ("xsproxyctl export: cannot write the stream: No space left on "
                                   "device\n")
            assert not done.stdout
            assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"running\0"
            assert guest.read("domid") == b"7"
        path = tmp_path / "stream"
        ctl(host, "export", 7, "-o", path, "--resume")
        assert path.stat().st_size > 50 * 1500
        assert guest.read("domid") == b"7"


def test_what_keeps_a_stream_to_import(tmp_path):
    """A stream from a pipe goes to a file first."""
    with running("C") as host:
        host.add_guest(7)
        for i in range(50):
            host.dom0.write(f"/local/domain/7/data/n{i}", "x" * 1500)
        ctl(host, "export", 7, "-o", tmp_path / "stream")
        script = f'mount -t tmpfs -o size=32k none /tmp || exit 99; exec {CTL} import 7'
        with open(tmp_path / "stream", "rb") as stream:
            done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True,
                                  text=True, check=False, stdin=stream, env=env(host),
                                  timeout=xensim.TIMEOUT)
        assert (done.returncode, done.stderr) == (
            1, "xsproxyctl import: cannot read standard input: No space left on device\n")


def test_what_is_printed():
    with running("C") as host, open("/dev/full", "wb") as full:
        for command in ("status", "domains", "check"):
            done = subprocess.run([CTL, command, "--control", host.run_dir / "control"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                  timeout=xensim.TIMEOUT)
            assert (done.returncode, done.stderr) == (
                1, f"xsproxyctl {command}: cannot print: No space left on device\n")
