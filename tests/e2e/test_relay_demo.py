# SPDX-License-Identifier: MIT
"""`make demo` succeeds, ends non-zero when a step fails, and leaves nothing behind either way."""

import os
import signal
import subprocess
import sys

import pytest

from left import left
from xensim import XEN_VERSION
from xsguest import BUILD, ROOT

DEMO = ROOT / "tests/demo/demo"
TIMEOUT = 60

# Runs the demo and notes the directories that it makes.
DRIVER = """
import runpy, sys, tempfile
make = tempfile.mkdtemp
def noted(*args, **kwargs):
    path = make(*args, **kwargs)
    with open(sys.argv[1], "a") as notes:
        notes.write(path + "\\n")
    return path
tempfile.mkdtemp = noted
runpy.run_path(sys.argv[2], run_name="__main__")
"""


class Run:
    """A run of the demo in a session of its own."""

    def __init__(self, tmp_path, **env):
        self.notes = tmp_path / "notes"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", DRIVER, self.notes, DEMO], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "XSPROXY_BUILD": str(BUILD),
                 **{name: str(value) for name, value in env.items()}})

    def end(self):
        """Wait for its end, and see that nothing is left: (status, output, errors)."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        assert left(self.process.pid) == []
        made = self.notes.read_text().splitlines() if self.notes.exists() else []
        assert not [path for path in made if os.path.exists(path)]
        return self.process.returncode, out, err


def test_succeeds(tmp_path):
    status, out, err = Run(tmp_path).end()
    assert (status, err) == (0, "")
    for words in ("Round 1: xenstored", "Round 2: oxenstored", "xenstore-ls", "xenstore-write",
                  "xenstore-watch printed it", 'guest 3 got its watch event and read "poweroff"',
                  "All steps succeeded"):
        assert words in out
    assert out.count("got its watch event") == 7


def build_with(tmp_path, name, script):
    """The build directory, but for one program."""
    build = tmp_path / "build"
    build.mkdir()
    for path in BUILD.iterdir():
        if path.is_file():
            (build / path.name).symlink_to(path)
    (build / name).unlink()
    (build / name).write_text(script)
    (build / name).chmod(0o755)
    return build


@pytest.mark.parametrize("name, script, step", [
    ("xsproxyd", "#!/bin/sh\nexit 3\n", "xenstored starts"),
    ("xsguest", "#!/bin/sh\necho '> READ domid'\n", "Three guests boot"),
    ("xsguest", "#!/bin/sh\necho '! EACCES'\necho '< TRANSACTION_END OK'\n", "Three guests boot"),
    ("xsproxyctl", "#!/bin/sh\nexit 1\n", "The session follows"),
])
def test_step_fails(tmp_path, name, script, step):
    build = build_with(tmp_path, name, script)
    status, out, err = Run(tmp_path, XSPROXY_BUILD=build).end()
    assert status == 1
    assert f'FAILED at "{step}' in err
    assert "All steps succeeded" not in out


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(tmp_path, sig):
    run = Run(tmp_path)
    for line in run.process.stdout:
        if "guest 1:" in line:
            break
    run.process.send_signal(sig)
    assert run.end()[0] == 130


def test_xenstored_missing(tmp_path):
    """It says which package has it."""
    status, _, err = Run(tmp_path, XEN_BIN=tmp_path).end()
    assert status == 1
    assert err.count("\n") == 1 and f"{tmp_path}/xenstored" in err
    assert f"xen-utils-{XEN_VERSION}" in err
