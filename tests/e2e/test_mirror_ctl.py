# SPDX-License-Identifier: MIT
"""xsproxyctl mirror: how the mirror of the store is, and what differs from the store."""

import json
import re
import subprocess
import time

import pytest

import xensim
from control import Control
from fake_control import FakeControl
from harness import Host
from mirrored import wait_whole
from relay import FLAVOURS, wait_until
from supervised import Supervised
from xsclient import Client

CTL = xensim.BUILD / "xsproxyctl"
WHO = "xsproxyctl mirror: "
NO_AUDIT = "[mirror]\naudit = off\n"  # which would find a difference before it is looked for
KEYS = {"state", "nodes", "octets", "unsure", "compared", "differed", "changes", "waits", "reread",
        "beyond"}


def mirror(host, *args):
    """(its status, its output, its complaints)"""
    done = subprocess.run([CTL, "mirror", *args, "--control", host.run_dir / "control"],
                          capture_output=True, text=True, check=False, timeout=xensim.TIMEOUT)
    return done.returncode, done.stdout, done.stderr


def result_of(out):
    """(compared, differed), and the lines before."""
    *lines, last = out.splitlines()
    numbers = re.fullmatch(r"nodes compared: (\d+), different: (\d+) \(mended\)", last)
    return int(numbers[1]), int(numbers[2]), lines


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param, config=NO_AUDIT) as host:
        host.add_guest(7).write("data/x", "1")
        host.dom0.write("/tool/x", "1")
        wait_whole(host)
        yield host
        host.check()


def test_how_it_is(host):
    result, out, err = mirror(host)
    assert (result, err) == (0, "")
    assert re.fullmatch(r"mirror      whole\n"
                        r"nodes       \d+, in [\d.]+[KM]? of memory\n"
                        r"unsure      \d+, which are to be read again\n"
                        r"compared    \d+, different: 0 \(mended\)\n"
                        r"changes     \d+; requests that waited for others: \d+\n"
                        r"read again  \d+; changes beyond \[mirror\] transaction: 0\n", out)
    result, out, err = mirror(host, "--json")
    status = json.loads(out)
    assert (result, err, out.count("\n")) == (0, "", 1)
    assert set(status) == KEYS and status["state"] == "whole" and status["nodes"] > 10


def test_nothing_differs(host):
    result, out, err = mirror(host, "check")
    compared, differed, lines = result_of(out)
    assert (result, err, differed, lines) == (0, "", 0, [])
    assert compared >= json.loads(mirror(host, "--json")[1])["nodes"] // 2
    result, out, err = mirror(host, "check", "--json")
    assert (result, err) == (0, "")
    assert json.loads(out) == {"compared": compared, "differed": 0}


@pytest.mark.parametrize("path, line", (
    ("/tool/x", "/tool/x: its value"),
    ("/tool/new", "/tool: its child new is not in the mirror")))
def test_something_differs(host, path, line):
    """A node that was written past xsproxyd."""
    assert mirror(host, "check")[0] == 0  # the first comparison has ended, too
    with Client(host.run_dir / "upstream") as past:
        past.write(path, "2")
    result, out, err = mirror(host, "check")
    compared, differed, lines = result_of(out)
    assert (result, err, differed, lines) == (1, "", 1, [line]) and compared > 10
    assert mirror(host, "check")[0] == 0
    with Client(host.run_dir / "upstream") as past:
        past.write(path, "3")
    result, out, err = mirror(host, "check", "--json")
    assert (result, err) == (1, "")
    note, answer = map(json.loads, out.splitlines())
    assert list(note) == ["differs"] and note["differs"] == f"{path}: its value"
    assert answer["differed"] == 1
    assert json.loads(mirror(host, "--json")[1])["differed"] == 2
    assert mirror(host, "check")[0] == 0


def test_the_control_socket(host):
    """Only who asks for progress gets it."""
    with Control(host) as control:
        assert control.run("mirror", check=True)["differed"] == 0
        for progress in (True, False):
            with Client(host.run_dir / "upstream") as past:
                past.write("/tool/x", f"{progress}")
            control.send("mirror", check=True, progress=progress)
            if progress:
                note = control.recv()
                assert note == {"differs": "/tool/x: its value", "id": note["id"]}
            assert control.reply()["differed"] == 1
        assert set(control.run("mirror")) == KEYS
        assert control.said("mirror", check=1) == "BadRequest"
        assert control.said("mirror", domid=7) == "BadRequest"


def test_it_is_off():
    with Supervised("C", config="[mirror]\nenabled = off\n") as host:
        assert mirror(host) == (0, "mirror      off ([mirror] enabled)\n", "")
        assert json.loads(mirror(host, "--json")[1])["state"] == "off"
        for args in ((), ("--json",)):
            assert mirror(host, "check", *args) == (
                1, "", f"{WHO}there is no mirror that is whole\n")


def test_without_a_xenstored():
    with Host("C", start=False) as host:
        host.start_proxy()
        assert mirror(host) == (
            0, "mirror      none; it takes a xenstored, and dom0's ring\n", "")
        assert mirror(host, "check") == (1, "", f"{WHO}there is no mirror that is whole\n")


def test_without_an_xsproxyd(tmp_path):
    for args in ((), ("check",)):
        done = subprocess.run([CTL, "mirror", *args, "--control", tmp_path / "control"],
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(WHO) and "is xsproxyd running?" in done.stderr


def test_another_word(tmp_path):
    done = subprocess.run([CTL, "mirror", "repair"], capture_output=True, text=True, check=False,
                          cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{WHO}'repair': must be check; see --help\n"


# --- what an xsproxyd may say besides

class Fake(FakeControl):
    """An xsproxyd of which the mirror is as a test says."""

    def __init__(self, path):
        self.run_dir = path
        self.state = "whole"
        super().__init__(path / "control")

    def _run_mirror(self, check=False, **_):
        return {"compared": 9, "differed": 3} if check else {"state": self.state, "nodes": 5}

    def _replies(self, request):
        if request["arguments"].get("check"):
            yield {"differs": "/a: its value"}
        if self.state == "gone":
            raise ConnectionResetError
        yield from super()._replies(request)


@pytest.fixture(name="fake")
def fake_fixture(tmp_path):
    with Fake(tmp_path) as fake:
        yield fake


@pytest.mark.parametrize("state, line, there", (
    ("reads", "the store is being read; of no use until all was", True),
    ("broken", "of no more use; see xsproxyd's log", True), ("odd", "odd", True),
    ("waits", "none; it takes a xenstored, and dom0's ring", False)))
def test_states(fake, state, line, there):
    fake.state = state
    result, out, err = mirror(fake)
    assert (result, err) == (0, "")
    assert out.splitlines()[0] == f"mirror      {line}"
    assert ("nodes       5," in out) == there


def test_what_was_left_out(fake):
    assert mirror(fake, "check") == (
        1, "/a: its value\n2 more, which are not listed\n"
        "nodes compared: 9, different: 3 (mended)\n", "")


def test_it_ends_in_the_middle(fake):
    fake.state = "gone"
    result, _, err = mirror(fake, "check")
    assert result == 1 and err.startswith(f"{WHO}xsproxyd does not answer: ")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_audit_takes_its_time(flavour):
    """Four nodes a second, not one after the other."""
    with Host(flavour) as host:
        def compared():
            return host.ask_json("mirror")["return"]["compared"]

        first = wait_until(lambda: compared() >= 3 and compared())
        before = wait_until(lambda: compared() > first and compared())
        since = time.monotonic()
        wait_until(lambda: compared() > before + 4)
        assert time.monotonic() - since > 0.5
