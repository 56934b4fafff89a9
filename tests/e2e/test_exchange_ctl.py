# SPDX-License-Identifier: MIT
"""xsproxyctl xenstored replace: which daemon, at what price, and what is said of it."""

import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

import xensim
from control import Control
from entering import NO_DISK, SMALL
from fake_control import FakeControl, Refused
from harness import DAEMONS, Host
from ours import said, settings
from relay import FLAVOURS, wait_until
from supervised import Supervised
from versions import EXPECT

CTL = xensim.BUILD / "xsproxyctl"
WHO = "xsproxyctl xenstored: "
WITH = {"C": "c", "O": "oxenstored"}
STAGES = ["connections are coming to rest", "transactions are being ended",
          "xenstored was asked for its state",
          "the state waits for a starter; if none comes, start xsproxy-xenstored.service",
          "a starter has the state", "the new xenstored is told of watches and transactions"]
HAVE = STAGES[3]
LARGE = "x" * 3000


def argv(host, *args):
    return [CTL, *map(str, args), "--control", host.run_dir / "control"]


def ctl(host, *args):
    """(its status, its output, its complaints)"""
    done = subprocess.run(argv(host, *args), capture_output=True, text=True, check=False,
                          env=host.tool_env(), timeout=xensim.TIMEOUT)
    return done.returncode, done.stdout, done.stderr


def replace(host, *args):
    return ctl(host, "xenstored", "replace", *args)


def start(host, *args):
    return subprocess.Popen(argv(host, "xenstored", "replace", "-v", *args), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=host.tool_env())


def until(process, line):
    """Read what it complains of until there is this line."""
    for said_line in process.stderr:
        if said_line == f"{WHO}{line}\n":
            return
    raise AssertionError(f"it did not say {line}")


def status(host):
    return json.loads(ctl(host, "status", "--json")[1])


def program(flavour):
    return xensim.XEN_BIN / DAEMONS[flavour]


def served(host, flavour, out):
    """Whether that is what is said when this daemon serves."""
    return re.fullmatch(rf"{DAEMONS[flavour]} \(pid {host.daemon.pid}\) serves; nobody was served "
                        r"for \d+ ms\n", out)


def is_as_before(host, pid):
    assert host.daemon.pid == pid and host.daemon.alive()
    assert status(host)["exchange"] is None
    return host.dom0.read("/local/domain/7/data/x") == b"1"


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param) as host:
        host.add_guest(7).write("data/x", "1")
        yield host


@pytest.fixture(name="c_host")
def c_host_fixture():
    with Supervised("C") as host:
        host.add_guest(7).write("data/x", "1")
        yield host


# --- which

@pytest.mark.parametrize("after", FLAVOURS)
def test_replace(host, after):
    pid = host.daemon.pid
    assert status(host)["last_exchange"] is None
    result, out, err = replace(host, "--with", WITH[after])
    assert (result, err) == (0, "") and served(host, after, out)
    assert host.daemon.pid != pid
    assert host.dom0.read("/local/domain/7/data/x") == b"1"
    now = status(host)
    assert now["xenstored"] == {"name": DAEMONS[after], "pid": host.daemon.pid}
    assert now["exchange"] is None
    pause = int(re.search(r"(\d+) ms", out)[1])
    last = now["last_exchange"]
    assert (last.pop("ended") > 0 and
            last == {"outcome": "done", "why": None, "pause_ms": pause})
    assert f"replaced    done; nobody was served for {pause} ms\n" in ctl(host, "status")[1]


def test_without_a_daemon_it_is_the_one_that_runs(host):
    other = {"C": "O", "O": "C"}[host.flavour]
    for args, flavour in ((("--with", program(other)), other), ((), other), ((), other),
                          (("--with", program(host.flavour)), host.flavour)):
        pid = host.daemon.pid
        result, out, err = replace(host, *args)
        assert (result, err) == (0, "") and served(host, flavour, out)
        assert host.daemon.pid != pid


def test_what_is_no_daemon(c_host, tmp_path):
    plain = tmp_path / "oxenstored"
    plain.write_text("#!/bin/sh\n")
    pid = c_host.daemon.pid
    for path, why in (("/bin/true", "is no xenstored: it is called neither xenstored nor "
                       "oxenstored"), (plain, "is no program"), (tmp_path, "is no program"),
                      (tmp_path / "none", "No such file or directory")):
        result, out, err = replace(c_host, "--with", path)
        assert (result, out) == (1, "") and re.fullmatch(f"{WHO}{path}:? {why}\n", err)
    assert replace(c_host, "--with", "xen") == (
        2, "", WHO + "--with xen: must be c, oxenstored, or the path of one\n")
    assert ctl(c_host, "xenstored", "repair") == (
        2, "", WHO + "'repair': must be replace; see --help\n")
    assert ctl(c_host, "xenstored") == (2, "", WHO + "replace is missing; see --help\n")
    assert is_as_before(c_host, pid)


def test_without_a_xenstored():
    with Host("C", start=False) as host:
        host.start_proxy()
        assert replace(host) == (
            1, "", WHO + "there is no xenstored with the bridge; see xsproxyctl status\n")


def test_no_room(host, tmp_path):
    """Neither that command nor the stock tool touches anything."""
    pid = host.daemon.pid
    small = tmp_path / "xsproxyd"
    small.write_text(f"#!/bin/sh\nexec unshare -m sh -ec 'mount -t tmpfs run /run; {SMALL}"
                     f"""exec "$@"' sh {xensim.BUILD}/xsproxyd "$@"\n""")
    small.chmod(0o755)
    host.proxy.stop()
    host.start_proxy(program=small)
    wait_until(lambda: host.ask("status")["state"] == "running")
    for args in ((), ("--dry-run",)):
        assert replace(host, *args) == (1, "", f"{WHO}{NO_DISK}\n")
    assert is_as_before(host, pid)


# --- at what price

def test_what_would_be_lost(c_host, tmp_path):
    dom0, pid = c_host.dom0, c_host.daemon.pid
    to_ox = ("--with", "oxenstored")
    assert replace(c_host, *to_ox, "--dry-run") == (
        0, f"nothing would be lost with {program('O')}\n", "")
    dom0.write("/tool/large", LARGE)
    dom0.write("/tool/large/below", "1")
    lost = ["left out: /tool/large: node: oxenstored takes no value of so many octets",
            "left out: /tool/large/below: node: it is below a node that is left out"]
    result, out, err = replace(c_host, *to_ox, "--dry-run")
    assert (result, err) == (1, "")
    assert out.splitlines() == [f"oxenstored: {line}" for line in lost] + [
        f"2 things would be lost with {program('O')}"]
    assert replace(c_host, "--dry-run")[0] == 0
    path = tmp_path / "list"
    result, out, err = replace(c_host, *to_ox, "--report", path)
    assert (result, out) == (1, "")
    assert err.splitlines() == [WHO + line for line in lost] + [
        f"{WHO}2 things would be lost with {program('O')}; --force replaces xenstored all the "
        "same"]
    assert [json.loads(line)["left_out"]["path"] for line in path.read_text().splitlines()] == [
        "/tool/large", "/tool/large/below"]
    assert is_as_before(c_host, pid)
    assert dom0.read("/tool/large") == LARGE.encode()

    result, out, err = replace(c_host, *to_ox, "--force")
    assert result == 0 and served(c_host, "O", out)
    assert err.splitlines() == [WHO + line for line in lost]
    assert not dom0.exists("/tool/large") and dom0.exists("/tool")
    assert dom0.read("/local/domain/7/data/x") == b"1"


def test_much_that_would_be_lost_is_counted(c_host):
    for i in range(15):
        c_host.dom0.write(f"/tool/{i:02}", LARGE)
    result, out, _ = replace(c_host, "--with", "oxenstored", "--dry-run")
    lines = out.splitlines()
    assert result == 1 and len(lines) == 12
    assert all("left out: /tool/" in line for line in lines[:10])
    assert lines[10:] == ["oxenstored: warning: 5 more are not listed here; see --report",
                          f"15 things would be lost with {program('O')}"]


def test_what_the_other_one_does_not_serve(c_host):
    """Watches beyond its quota, and nodes that it has and does not find."""
    guest, limit = c_host.add_guest(9), EXPECT["O"].watch_limit
    path = "/tool/" + "a" * 2000
    c_host.dom0.write(path, "1")
    for i in range(limit + 2):
        guest.watch("data", f"token{i:03}")
    out = replace(c_host, "--with", "oxenstored", "--dry-run")[1].splitlines()
    assert len(out) == 4 and "the daemon would have it, but serve no path of so" in out[0]
    assert out[1:3] == [
        f"oxenstored: left out: /local/domain/9/data: watch token{i:03}: oxenstored takes no more "
        "watches of a domain" for i in (limit, limit + 1)]
    assert replace(c_host, "--with", "oxenstored", "--force")[0] == 0
    assert said(c_host.dom0.read, path) == "EINVAL"
    with Control(c_host) as control:
        assert control.run("domain", domid=9)["watches"] == limit
    # The other way nothing is lost, also of what cannot be asked for.
    assert replace(c_host, "--with", "c")[0] == 0
    assert c_host.dom0.read(path) == b"1"


def test_limits_are_those_of_its_configuration(tmp_path):
    with Supervised("O", daemon_args=settings(tmp_path, {"quota-maxsize": 3500})) as host:
        host.dom0.write("/tool/large", LARGE)
        assert replace(host, "--dry-run")[0] == 0
        assert replace(host)[0] == 0
        assert host.dom0.read("/tool/large") == LARGE.encode()


# --- how it gets on

def test_progress(c_host):
    result, out, err = replace(c_host, "-v")
    assert result == 0 and served(c_host, "C", out)
    assert err.splitlines() == [WHO + stage for stage in STAGES]


def test_progress_on_a_terminal(c_host):
    ours, its = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(argv(c_host, "xenstored", "replace"), stdout=subprocess.PIPE,
                              stderr=its, env=c_host.tool_env(), timeout=xensim.TIMEOUT,
                              check=False)
        os.close(its)
        assert done.returncode == 0
        said = b""
        with contextlib.suppress(OSError):  # EIO: that was all, and it comes in parts
            while part := terminal.read(4096):
                said += part
        assert said.decode().splitlines() == [WHO + stage for stage in STAGES]


def test_the_control_socket(c_host):
    """Who asks for progress gets it before the answer."""
    with Control(c_host) as control:
        control.send("replace", progress=True)
        for stage in STAGES:
            assert control.recv() == {"stage": stage, "id": 1}
        assert control.reply()["pause_ms"] > 0
        assert set(control.run("replace")) == {"pause_ms"}
        assert control.run("replace", check=True) == {}
        assert control.said("replace", progress=1) == "BadRequest"


def test_while_it_is_under_way(c_host):
    c_host.may_start.clear()
    with start(c_host) as process:
        until(process, HAVE)
        now = status(c_host)
        assert now["exchange"]["stage"] == HAVE and now["last_exchange"] is None
        assert re.search(rf"^replacing   xenstored, for \d+ s: {HAVE}$", ctl(c_host, "status")[1],
                         re.M)
        assert ctl(c_host, "check") == (0, "ok: xenstored is just being replaced\n", "")
        assert replace(c_host) == (1, "", f"{WHO}one is under way already\n")
        with Control(c_host) as control:
            assert control.said("replace") == "Unchanged"
        c_host.may_start.set()
        out, _ = process.communicate(timeout=xensim.TIMEOUT)
    assert process.returncode == 0 and served(c_host, "C", out)


def test_it_ends_although_nobody_waits(host):
    host.may_start.clear()
    with start(host) as process:
        until(process, HAVE)
        process.kill()
    host.may_start.set()
    assert wait_until(lambda: status(host)["last_exchange"])["outcome"] == "done"
    assert host.dom0.read("/local/domain/7/data/x") == b"1"


@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGKILL))
def test_xsproxyd_is_restarted_in_the_middle(host, sig):
    host.may_start.clear()
    with start(host) as process:
        until(process, HAVE)
        host.proxy.process.send_signal(sig)
        host.proxy.process.wait()
        host.proxy.ended = True
        until(process, "xsproxyd has closed the connection; waiting for the next one")
        host.start_proxy()
        until(process, HAVE)
        host.may_start.set()
        out, _ = process.communicate(timeout=xensim.TIMEOUT)
    assert process.returncode == 0 and served(host, host.flavour, out)
    assert host.dom0.read("/local/domain/7/data/x") == b"1"


# --- how it ends

def broken(tmp_path):
    """An oxenstored that ends at once."""
    path = tmp_path / "oxenstored"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


RESTORED = "the new xenstored ended at its start"


def test_the_one_before_is_started_again(host, tmp_path):
    """Also when that has happened before."""
    for _ in range(2):
        pid = host.daemon.pid
        result, out, err = replace(host, "--with", broken(tmp_path))
        assert (result, out) == (3, "")
        assert err == f"{WHO}{RESTORED}; the one before was started again\n"
        assert host.daemon.pid != pid
        assert host.dom0.read("/local/domain/7/data/x") == b"1"
        last = status(host)["last_exchange"]
        assert (last["outcome"], last["why"]) == ("restored", RESTORED)
        assert f"replaced    restored: {RESTORED}\n" in ctl(host, "status")[1]
    result, out, _ = replace(host)
    assert result == 0 and served(host, host.flavour, out)


def test_one_that_does_not_get_ready(tmp_path):
    """It is killed, and what it was given is not lost."""
    path = broken(tmp_path)
    path.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    with Supervised("C", config="start-timeout = 2s\n") as host:
        host.add_guest(7).write("data/x", "1")
        result, _, err = replace(host, "--with", path)
        assert (result, err) == (
            3, f"{WHO}the new xenstored did not get ready within 2000 ms ([xenstored] "
            "start-timeout); the one before was started again\n")
        assert host.dom0.read("/local/domain/7/data/x") == b"1"
        assert host.starts >= 3


def test_the_one_before_is_started_again_by_the_next_xsproxyd(c_host, tmp_path):
    """It knows why there is no other one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = broken(tmp_path)
    path.write_text(f"#!/bin/sh\nread -r line <{fifo}\nexit 1\n")
    with start(c_host, "--with", path) as process:
        until(process, STAGES[4])
        c_host.may_start.clear()
        with open(fifo, "w", encoding="ascii") as file:
            file.write("end\n")
        c_host.daemon.process.wait()
        c_host.proxy.kill()
        c_host.start_proxy()
        c_host.may_start.set()
        out, err = process.communicate(timeout=xensim.TIMEOUT)
    assert (process.returncode, out) == (3, "")
    assert err.splitlines()[-1] == f"{WHO}{RESTORED}; the one before was started again"
    assert c_host.dom0.read("/local/domain/7/data/x") == b"1"


def test_what_is_in_the_way_is_said_before_all_else():
    with Supervised("C", keeper=False) as host:
        host.add_guest(7).write("data/x", "1")
        pid = host.daemon.pid
        for args in ((), ("--dry-run",)):
            assert replace(host, *args) == (
                1, "", f"{WHO}there is no keeper; start xsproxy-keeper\n")
        assert is_as_before(host, pid)


class Fake(FakeControl):
    """An xsproxyd of which the exchanges end as a test says."""

    def __init__(self, host):
        self.host = host
        self.outcome = self.exchange = self.last = None
        super().__init__(host.run_dir / "control")

    def _run_status(self):
        return {"state": "running", "xenstored": {"name": "xenstored", "pid": self.host.daemon.pid},
                "exchange": self.exchange, "last_exchange": self.last}

    def _run_domains(self, index):
        assert index == 0
        return {"domains": [], "next": None}

    def _run_replace(self, check=False, **_):
        if check:
            return {}
        if not self.outcome:
            raise ConnectionResetError  # it ends, and is there again
        raise Refused("it is gone", self.outcome)


@pytest.fixture(name="fake")
def fake_fixture():
    with Host("C", proxied=False) as host, Fake(host) as fake:
        yield fake


def test_outcomes(fake):
    for fake.outcome, result in (("Lost", 4), ("Restored", 3), ("Unchanged", 1), ("Failed", 1)):
        assert replace(fake.host) == (result, "", f"{WHO}it is gone\n")


@pytest.mark.parametrize("outcome, result, more", (
    ("lost", 4, ""), ("restored", 3, "; the one before was started again"),
    ("unchanged", 1, "; all goes on as before")))
def test_an_xsproxyd_that_knows(fake, outcome, result, more):
    """It is the next one."""
    fake.last = {"outcome": outcome, "why": "it is gone", "ended": 2**62, "pause_ms": 5}
    assert replace(fake.host) == (result, "", f"{WHO}it is gone{more}\n")


@pytest.mark.parametrize("last", (None, {"outcome": "done", "ended": 1, "pause_ms": 5}))
def test_an_xsproxyd_that_does_not_know(fake, last):
    """What came of another one before does not count."""
    fake.last = last
    assert replace(fake.host) == (
        1, "", WHO + "xsproxyd was restarted, and does not know what came of it; see its log, and "
        "xsproxyctl status\n")


def test_one_that_lasts_is_something_wrong(fake):
    fake.exchange = {"stage": "a starter has the state", "seconds": 4}
    assert ctl(fake.host, "check")[0] == 0
    fake.exchange["seconds"] = 5
    assert ctl(fake.host, "check") == (
        1, "xenstored: it is being replaced for 5 s, and nobody is served: a starter has the "
        "state\n", "")
