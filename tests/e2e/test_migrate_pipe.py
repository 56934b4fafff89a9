# SPDX-License-Identifier: MIT
"""export into import, as README and the manual have it: whatever becomes of either, the guest ends
up running here or held there, and never frozen here alone."""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import threading

import pytest

import xensim
from migration import (CTL, ROUTES, Tap, argv, assert_runs_on, ctl, ctl_says, held, start_ctl,
                       state)
from ours import HOLD, ask, running
from relay import FLAVOURS, introduce, wait_until
from xsclient import SET_PERMS, WRITE

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def importing(host, *args):
    """The command that imports there."""
    words = [f"XENSTORED_PATH={host.socket}", *argv(host, "import", 7, *args)]
    return shlex.join(["env", *map(str, words)])


def hold(host):
    assert ask(host.dom0, HOLD, 7) == b"OK\0"
    return introduce(host, 7)[0]


@pytest.mark.parametrize("here, there", ROUTES)
def test_to(here, there):
    """The guest stands still here, and is held there until it is let go on."""
    with running(here) as source, running(there) as target:
        source.add_guest(7).write("data/x", "moved")
        guest = hold(target)
        assert ctl_says(source, "export", 7, "--to", importing(target)) == (b"", "")
        assert (state(source), state(target)) == ("quiesced", "held")
        ctl(target, "unquiesce", 7)
        assert guest.read("data/x") == b"moved"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_stands_still_until_it_is_taken(flavour):
    """Until the command ends; then for good."""
    with running(flavour) as host:
        host.add_guest(7)
        process = start_ctl(host, "export", 7, "--to", "cat >/dev/null; kill -STOP $$; exit 0")
        wait_until(lambda: state(host) == "quiesced")
        children = wait_until(lambda: stopped_children(process.pid))
        assert state(host) == "quiesced" and process.poll() is None
        for pid in children:
            os.kill(pid, signal.SIGCONT)
        assert process.communicate(timeout=xensim.TIMEOUT) == (b"", b"")
        assert (process.returncode, state(host)) == (0, "quiesced")


def stopped_children(pid):
    """Those of a process that have stopped."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone by now
            state_of, parent = path.read_text().rpartition(") ")[2].split()[:2]
            if int(parent) == pid and state_of == "T":
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("command, ended", [
    ("false", "1"), ("exit 3", "3"), ("/nowhere", "127"), ("cat >/dev/null; exit 3", "3"),
    ("cat >/dev/null; kill -9 $$", "137"), ("head -c 100 >/dev/null; exit 1", "1"),
    ("exec <&-; kill -TERM $$", "143")])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_is_not_taken(flavour, command, ended):
    """Whatever the command dies from, and when: the guest goes on, and it is said what became of
    the command."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(100):
            host.dom0.write(f"/local/domain/7/data/n{i}", b"x" * 1500)  # more than a pipe holds
        _, errors = ctl_says(host, "export", 7, "--to", command, status=1)
        lines = [line for line in errors.splitlines() if line.startswith("xsproxyctl")]
        assert lines == [f"xsproxyctl export: the stream was not taken (exit status {ended} of "
                         f"{command}); domain 7 goes on here"], errors
        assert_runs_on(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_ends_well_before_it_has_read_all(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(100):
            host.dom0.write(f"/local/domain/7/data/n{i}", b"x" * 1500)
        _, errors = ctl_says(host, "export", 7, "--to", "exit 0", status=1)
        assert errors == ("xsproxyctl export: the stream was not taken (exit status 0 of exit 0, "
                          "which ended before it had read all); domain 7 goes on here\n")
        assert_runs_on(host, guest)


@pytest.mark.parametrize("command", ("exit 3", "cat >/dev/null; exit 3"))
def test_what_stood_still_before_does_not_go_on(command):
    with running("C") as host:
        host.add_guest(7)
        for i in range(100):
            host.dom0.write(f"/local/domain/7/data/n{i}", b"x" * 1500)
        ctl(host, "quiesce", 7)
        _, errors = ctl_says(host, "export", 7, "--to", command, status=1)
        assert errors == (f"xsproxyctl export: the stream was not taken (exit status 3 of {command}"
                          "); domain 7 stays quiesced here, as it was before\n")
        assert state(host) == "quiesced"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_import_fails(flavour):
    """There it is not held, or refuses the stream, or dies in the middle."""
    with running(flavour) as source, running(flavour) as target:
        guest = source.add_guest(7)
        guest.write("data/x", "y")
        _, errors = ctl_says(source, "export", 7, "--to", importing(target), status=1)
        assert "it is not introduced" in errors
        assert_runs_on(source, guest)
        hold(target)
        for args in (("--max-stream", 10), ("--socket", "/nowhere")):
            ctl_says(source, "export", 7, "--to", importing(target, *args), status=1)
            assert_runs_on(source, guest)
        with Tap(target, lambda n, msg: "EIO" if msg.type == WRITE else None) as tap:
            ctl_says(source, "export", 7, "--to", importing(target, "--socket", tap.path), status=1)
        assert_runs_on(source, guest)
        assert state(target) == "held"
        ctl_says(source, "export", 7, "--to", importing(target))
        assert (state(source), state(target)) == ("quiesced", "held")


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_export_is_killed_while_it_waits(flavour, sig):
    with running(flavour) as source, held(flavour) as (target, _):
        guest = source.add_guest(7)
        guest.write("data/x", "y")
        entered, go_on = threading.Event(), threading.Event()

        def fault(_, msg):
            if msg.type in (WRITE, SET_PERMS):
                entered.set()
                assert go_on.wait(xensim.TIMEOUT)

        with Tap(target, fault) as tap:
            process = start_ctl(source, "export", 7, "--to",
                                importing(target, "--socket", tap.path))
            assert entered.wait(xensim.TIMEOUT)
            assert state(source) == "quiesced"
            process.send_signal(sig)
            wait_until(lambda: state(source) == "running")
            go_on.set()
            process.communicate(timeout=xensim.TIMEOUT)
        assert process.returncode == (1 if sig != signal.SIGKILL else -sig)
        assert_runs_on(source, guest)
        wait_until(lambda: not list(target.run_dir.glob("import-*")))
        assert state(target) == "held"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_plain_pipe(flavour):
    """The guest goes on here whatever becomes of the other end, for nobody would tell."""
    with running(flavour) as source, held(flavour) as (target, there):
        guest = source.add_guest(7)
        guest.write("data/x", "copied")
        for args, status in ((("--max-stream", 10), 1), ((), 0)):
            sender = start_ctl(source, "export", 7)
            ctl_says(target, "import", 7, *args, stdin=sender.stdout, status=status)
            assert sender.wait(xensim.TIMEOUT) == 0
            for pipe in (sender.stdout, sender.stderr):
                pipe.close()
            assert_runs_on(source, guest)
        ctl(target, "unquiesce", 7)
        assert there.read("data/x") == b"copied"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_who_else_stopped_it(flavour):
    """A domain that somebody else has quiesced stays so, unless --resume is given; --keep keeps."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        ctl(host, "quiesce", 7)
        for args in ((), ("--to", "cat >/dev/null"), ("--keep",)):
            ctl(host, "export", 7, *args)
            assert state(host) == "quiesced"
        assert ctl_says(host, "export", 7, "--to", "cat >/dev/null; false", status=1)
        assert state(host) == "quiesced"
        ctl(host, "export", 7, "--resume")
        assert_runs_on(host, guest)
        ctl(host, "export", 7, "--to", "cat >/dev/null", "--resume")
        assert_runs_on(host, guest)
        ctl(host, "export", 7, "--keep")
        assert state(host) == "quiesced"


def test_what_the_texts_show():
    """Neither README nor the manual nor --help pipes an export that could leave a guest frozen."""
    texts = [SOURCE / "README.md", SOURCE / "docs/man/xsproxyctl.8"]
    help_text = subprocess.run([CTL, "export", "--help"], capture_output=True, text=True,
                               check=True).stdout
    shown_to = 0
    for text in [path.read_text() for path in texts] + [help_text]:
        assert not re.search(r"xsproxyctl export[^\n]*\|[^\n]*import", text)
        shown_to += len(re.findall(r"xsproxyctl export 7 --to 'ssh there xsproxyctl import 7'",
                                   text))
    assert shown_to == 3


def test_command_line():
    for args in (("--keep", "--resume"), ("--to", "x", "-o", "y"), ("--to", "x", "--keep")):
        done = subprocess.run([CTL, "export", "7", *args], capture_output=True, check=False)
        assert done.returncode == 2
