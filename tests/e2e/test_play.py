# SPDX-License-Identifier: MIT
"""`make play`: a host with traffic, a shell or a command that finds it, and nothing left behind,
however it ends."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

import xsclient
from left import left
from relay import wait_until
from terminal import Terminal
from xsguest import BUILD, ROOT

PLAY = ROOT / "tests/demo/play"
TIMEOUT = 60
NAMES = {"C": "xenstored", "O": "oxenstored"}
# Says where it is; then as many processes as may be left wait for the end of standard input.
WAIT = 'echo "$XENSIM_DIR"; (cat; true) | cat'
METRICS = ("/usr/bin/python3 -c 'import os, urllib.request as r; "
           'print(r.urlopen(os.environ["METRICS"]).read().decode())\'')


def environment(**env):
    """That of a play; the build is this one."""
    return {**os.environ, "XSPROXY_BUILD": str(BUILD), **env}


class Play:
    """A play with a command, in a session of its own."""

    def __init__(self, command, argv=(PLAY,), **env):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True, cwd=ROOT,
            env=environment(PLAY_COMMAND=command, **env))

    def end(self):
        """Wait for its end, and see that nothing is left: (status, output, errors)."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        assert left(self.process.pid) == []
        return self.process.returncode, out, err


def said(command, **env):
    """The output of a command that ends well."""
    status, out, err = Play(f"set -e; echo $XENSIM_DIR; {command}", **env).end()
    assert (status, err) == (0, "")
    directory, out = out.split("\n", 1)
    assert not pathlib.Path(directory).exists()
    return out


@pytest.fixture(name="flavour", params=NAMES)
def a_flavour(request):
    return request.param


def test_command_finds_the_host(flavour):
    out = said("xsproxyctl domains; xsproxyctl check; xenstore-ls /local/domain/3; "
               "xsproxyctl watches 2; xsproxyctl export 1 | xsproxyctl show -; " + METRICS,
               PLAY_DAEMON=flavour, PLAY_GUESTS="3")
    for domid in range(4):
        assert re.search(rf"\n{domid} +\S+ +running ", out)
    assert f"ok: xsproxyd has {NAMES[flavour]}" in out
    assert 'name = "guest-3"' in out and "control/shutdown" in out
    assert "/local/domain/1/device/vif/0/mac" in out
    assert "\nxsproxy_build_info{" in out


@pytest.mark.long
def test_traffic(flavour):
    """Each waits until it has seen some."""
    out = said("seen() { xsproxyctl trace $1 2>/dev/null | head -$2; }; "
               "seen '1 --op TRANSACTION_END' 1; seen '1 --op WRITE' 1; seen '0 --op DIRECTORY' 1; "
               "seen '--events --path /local/domain/1/memory' 3",
               PLAY_DAEMON=NAMES[flavour], PLAY_GUESTS="1")
    for words in (" d1(guest-1) ", "TRANSACTION_END",
                  "WRITE", 'DIRECTORY "/local/domain" = "0" "1"',
                  'WATCH_EVENT "memory/target"', 'READ "memory/target" = "2'):
        assert words in out


def test_guest_reboots_and_powers_off(flavour):
    """It does as it is told; it comes back under another number."""
    play = Play(WAIT, PLAY_DAEMON=flavour, PLAY_GUESTS="2")
    directory = pathlib.Path(play.process.stdout.readline().strip())
    with xsclient.Client(directory / "root/run/xenstored/socket") as client:
        client.write("/local/domain/1/control/shutdown", "reboot")
        wait_until(lambda: client.directory("/local/domain") == ["0", "2", "3"])
        wait_until(lambda: client.exists("/local/domain/3/data/meminfo_free"))
        client.write("/local/domain/2/control/shutdown", "poweroff")
        wait_until(lambda: client.directory("/local/domain") == ["0", "3"])
        assert not client.is_introduced(2) and client.is_introduced(3)
        assert client.directory("/local/domain/0/backend/vif") == ["3"]
    assert play.end()[0] == 0


def test_status_is_the_commands():
    assert Play("exit 7", PLAY_GUESTS="1").end()[0] == 7
    assert Play("kill -9 $$", PLAY_GUESTS="1").end()[0] == 128 + signal.SIGKILL


def test_manual_and_prompt():
    out = said('cat "${MANPATH%%:*}/man8/xsproxyctl.8"; echo "$PS1"')
    assert out.startswith((ROOT / "docs/man/xsproxyctl.8").read_text(encoding="utf-8"))
    assert out.endswith("[play: xenstored] $ \n")


@pytest.mark.parametrize("name, value, why", [
    ("PLAY_DAEMON", "xenstore", "say xenstored (C) or oxenstored (O)"),
    ("PLAY_GUESTS", "0", "say 1 to 100"), ("PLAY_GUESTS", "101", "say 1 to 100"),
    ("PLAY_GUESTS", "x", "say 1 to 100")])
def test_wrong_setting(name, value, why):
    status, out, err = Play("true", **{name: value}).end()
    assert (status, out) == (1, "")
    assert err.startswith(f"play: {name}={value} ") and err.endswith(f"{why}\n")
    assert err.count("\n") == 1


def test_xenstored_missing(tmp_path):
    status, _, err = Play("true", XEN_BIN=str(tmp_path)).end()
    assert status == 1
    assert err.startswith(f"play: {tmp_path}/xenstored is missing: install Debian's package")


def test_make_play():
    """make leaves the command's own variables to the shell. What it would install and build is."""
    play = Play("", ["make", "-s", "-o", "deps", "play", "MAKE=true",
                     f"BUILD={os.path.relpath(BUILD, ROOT)}", "PLAY_GUESTS=2", "PLAY_DAEMON=O",
                     'PLAY=echo "$PLAY_HOST"; xsproxyctl domains'])
    status, out, err = play.end()
    assert (status, err) == (0, "")
    assert out.startswith("play: oxenstored\n") and re.search(r"\n2 +guest-2 +running ", out)


# --- ends


def second_of(play):
    """The second process of the two."""
    return int(pathlib.Path(f"/proc/{play.pid}/task/{play.pid}/children").read_text())


@pytest.mark.parametrize("sig, who, status", [
    (signal.SIGINT, "first", 130), (signal.SIGTERM, "first", 130), (signal.SIGHUP, "first", 130),
    (signal.SIGKILL, "first", -signal.SIGKILL), (signal.SIGKILL, "second", 137)])
def test_killed(sig, who, status):
    play = Play(WAIT, PLAY_GUESTS="2")
    directory = pathlib.Path(play.process.stdout.readline().strip())
    wait_until(lambda: sum("cat" in line for line in left(play.process.pid)) >= 2)
    assert directory.is_dir() and any("xsproxyd" in line for line in left(play.process.pid))
    os.kill(play.process.pid if who == "first" else second_of(play.process), sig)
    assert play.process.wait(TIMEOUT) == status
    wait_until(lambda: not left(play.process.pid))
    wait_until(lambda: not directory.exists())
    play.process.communicate()


def test_killed_while_it_starts():
    """Its directory goes, too, and nobody waits for it."""
    play = Play("true", PLAY_GUESTS="100")
    wait_until(lambda: any("xsproxyd" in line for line in left(play.process.pid)))
    directory, = {line.split("\0")[2].rsplit("/", 1)[0] for line in left(play.process.pid)
                  if line.startswith(f"{BUILD}/xsproxyd")}
    play.process.terminate()
    assert play.end()[0] == 130
    assert not pathlib.Path(directory).exists()


# --- a terminal


def shell(flavour):
    return Terminal([PLAY], rows=40, columns=120, SHELL="/bin/bash", PLAY_DAEMON=flavour,
                    PLAY_COMMAND="", XSPROXY_BUILD=str(BUILD))


def prompts(lines, flavour):
    """How many are shown, of which the last waits for a command."""
    found = [line for line in lines if f"[play: {NAMES[flavour]}]" in line]
    shown = [line for line in lines if line]
    return len(found) if shown and found and shown[-1] == found[-1] else 0


def test_shell(flavour):
    with shell(flavour) as terminal:
        lines = terminal.wait(lambda lines: prompts(lines, flavour) == 1, "a prompt")
        for words in ("xsproxyctl domains", "xsproxyctl trace", "xsproxyctl top", "tshark -l -r -",
                      "curl -s $METRICS", "guests 1 to 4", "`exit` ends it all"):
            assert any(words in line for line in lines), words
        terminal.press("xsproxyctl trace 4\r")
        terminal.wait_text('> WRITE "data/meminfo_free"')
        terminal.press("\x03")
        terminal.wait(lambda lines: prompts(lines, flavour) >= 2, "a prompt after Ctrl-C")
        terminal.press("clear; xsproxyctl check; cat &\r")
        terminal.wait_text(f"ok: xsproxyd has {NAMES[flavour]}, 5 domains")
        terminal.press("exit 3\r")
        terminal.wait_text("exit")
        terminal.press("exit 3\r")  # bash warns of the job that is stopped
        assert terminal.wait_end() == 3
        assert left(terminal.process.pid) == []
        assert terminal.is_restored()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_shell_is_ended(sig):
    with shell("C") as terminal:
        terminal.wait(lambda lines: prompts(lines, "C") == 1, "a prompt")
        terminal.press("xsproxyctl top\r")
        terminal.wait_text("REQ/s")
        terminal.signal(sig)
        assert terminal.wait_end() == 130
        assert left(terminal.process.pid) == []
        assert terminal.is_restored()
