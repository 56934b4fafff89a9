# SPDX-License-Identifier: MIT
"""xenstore-control live-update, the stock tool: another build of the same xenstored takes over, by
the machinery of xsproxyctl xenstored replace."""

import pathlib
import shutil
import subprocess
import threading

import pytest

import things
from gate import Gate
from harness import DAEMONS, xensim
from ours import NOT_THERE
from relay import FLAVOURS, wait_until
from supervised import Supervised
from xsclient import CONTROL, join

TOOL = xensim.XEN_BIN / "xenstore-control"
NOT_OURS = ("It is not called as the daemon that runs, xenstored or oxenstored; xsproxyctl "
            "xenstored replace says what another one would not take.")
STARTED = "exchange of xenstored: a starter has the state"


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param, log="info") as host:
        yield host
        host.check()


@pytest.fixture(name="program")
def program_fixture(host, tmp_path):
    """Another build of the daemon."""
    path = tmp_path / DAEMONS[host.flavour]
    path.symlink_to(xensim.XEN_BIN / DAEMONS[host.flavour])
    return path


@pytest.fixture(name="gate")
def gate_fixture(host, tmp_path):
    """The other daemon waits there."""
    name = DAEMONS[host.flavour]
    return Gate(tmp_path / "gate", name, xensim.XEN_BIN / name)


def update(host, *args):
    """(its status, its output, its complaints)"""
    done = subprocess.run([TOOL, "live-update", *map(str, args)], env=host.tool_env(), text=True,
                          capture_output=True, check=False, timeout=xensim.TIMEOUT)
    return done.returncode, done.stdout, done.stderr


def updated(host, *args):
    pid = host.daemon.pid
    assert update(host, *args) == (0, "", "")
    host.wait_daemon()
    assert host.daemon.pid != pid


def words(host):
    return pathlib.Path(f"/proc/{host.daemon.pid}/cmdline").read_bytes().decode().split("\0")


def test_all_goes_on(host, program):
    """Whatever -t and -F say: open transactions conflict."""
    def twice():
        updated(host, program)
        updated(host, "-t", "5", "-F", program)
    things.moved(host, things.THINGS, twice)


def test_a_transaction(host, program):
    guest = host.add_guest(7)
    tx = guest.start()
    guest.write("data/x", "1", tx=tx)
    updated(host, program)
    assert not guest.exists("data/x")
    guest.end(tx, commit=False)


def test_arguments(host, program):
    """They are added to those that its unit gives."""
    before = words(host)
    more = {"C": ["--watch-nb", "77"], "O": ["--reraise-top-level"]}[host.flavour]
    updated(host, "-c", " ".join(more), program)
    now = words(host)
    assert set(more) | set(before[1:]) <= set(now)
    updated(host, program)
    assert not set(more) & set(words(host))


def test_arguments_of_a_kind_that_is_not_configured(host, tmp_path):
    """They are those of the daemon that runs."""
    other = {"C": "O", "O": "C"}[host.flavour]
    host.replace(other)
    more = {"C": ["--watch-nb", "77"], "O": ["--reraise-top-level"]}[other]
    updated(host, "-c", " ".join(more), xensim.XEN_BIN / DAEMONS[other])
    assert set(more) <= set(words(host))


def test_what_is_no_daemon(host, program, tmp_path):
    other = tmp_path / DAEMONS[{"C": "O", "O": "C"}[host.flavour]]
    other.symlink_to("/bin/true")
    pid = host.daemon.pid
    renamed, disguised = tmp_path / f"{DAEMONS[host.flavour]}-4.19", tmp_path / "other"
    shutil.copy(xensim.XEN_BIN / DAEMONS[host.flavour], renamed)
    disguised.mkdir()
    disguised /= DAEMONS[host.flavour]
    disguised.symlink_to(xensim.XEN_BIN / other.name)
    for path, why in (("/nonexistent", NOT_THERE), (other, NOT_OURS), (renamed, NOT_OURS),
                      (disguised, NOT_OURS),
                      ("xenstored", "The path of the daemon must be an absolute one.")):
        assert update(host, path) == (3, "", f"Setting update binary failed:\n{why}\n")
    for long in 300, 245 - len(str(program)):
        assert update(host, "-c", "x" * long, program) == (
            3, "", "Setting update binary failed:\n"
            "The arguments are too long, or more than a line.\n")
    assert host.daemon.pid == pid


def test_a_daemon_that_ends(host, tmp_path):
    path = tmp_path / DAEMONS[host.flavour]
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    guest = host.add_guest(7)
    assert update(host, path) == (3, "", "Starting live update failed:\n"
                                  "the new xenstored ended at its start\n")
    assert guest.read("domid") == b"7"


def test_one_at_a_time(host, program):
    """Step by step; who has begun is forgotten when it goes, or by -a."""
    first, second = host.client(), host.client()
    ask = ("live-update", "-f", str(program))
    assert first.control("live-update", "-s") == "No daemon was named."
    assert first.control(*ask) == "OK"
    for step in ask, ("live-update", "-s"):
        assert second.control(*step) == "Another connection is about to do that."
    assert second.control("live-update", "-a") == "OK"
    assert second.control(*ask) == "OK"
    second.close()
    wait_until(lambda: first.control(*ask) == "OK")
    first.send(CONTROL, join("live-update", "-s"))
    assert first.recv_reply().payload == b"OK\0"


def stands_still(host):
    """Where the other daemon has the state."""
    return STARTED in (host.sim.dir / "xsproxyd.log").read_text()


def test_who_asks_goes(host, gate):
    """The exchange goes on, and nobody is stuck."""
    guest, client = host.add_guest(7), host.client()
    assert client.control("live-update", "-f", str(gate.path)) == "OK"
    client.send(CONTROL, join("live-update", "-s"))
    wait_until(lambda: stands_still(host))
    client.close()
    gate.open()
    assert guest.read("domid") == b"7"
    assert "xenstored was exchanged" in (host.sim.dir / "xsproxyd.log").read_text()


def test_xsproxyd_ends_meanwhile(host, gate):
    """Nobody knows who had asked; all goes on."""
    guest = host.add_guest(7)
    said = []
    asking = threading.Thread(target=lambda: said.append(update(host, gate.path)))
    asking.start()
    wait_until(lambda: stands_still(host))
    host.proxy.kill()
    host.start_proxy()
    gate.open()
    asking.join()
    assert said == [(3, "", "Starting live update failed:\nResource temporarily unavailable\n")]
    assert guest.read("domid") == b"7"
