# SPDX-License-Identifier: MIT
"""Toolstacks' connections, as an administrator sees them: `xsproxyctl clients`, and their programs
in `trace`."""

import json
import os
import signal
import subprocess

import pytest

import xensim
from control import Control
from ours import running
from relay import FLAVOURS, wait_until
from watching import Watching, bare
from xsclient import READ, join

CTL = xensim.BUILD / "xsproxyctl"


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    with running(request.param) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        yield host


def ctl(host, *args):
    done = subprocess.run([CTL, *args, "--control", host.run_dir / "control"], capture_output=True,
                          text=True, timeout=xensim.TIMEOUT, check=True, env=host.tool_env())
    assert not done.stderr
    return done.stdout


def clients(host):
    return json.loads(ctl(host, "clients", "--json"))["clients"]


def test_who_is_there(host):
    client = host.dom0
    client.watch("/local", "a token")
    tx = client.start()
    mine, = clients(host)
    assert (mine["pid"], mine["uid"], mine["command"]) == (os.getpid(), os.getuid(), "python3")
    assert (mine["watches"], mine["transactions"], mine["under_way"]) == (1, 1, [])
    assert mine["asked"] >= 2 and mine["oldest_ms"] == 0 and mine["events"] == 0
    client.end(tx)
    with host.client() as other:
        other.read("/")
        first, second = clients(host)
        assert first["session"] == mine["session"] < second["session"]
        assert first["transactions"] == 0
        rows = ctl(host, "clients").splitlines()
        assert rows[0].split()[:4] == ["SESSION", "PID", "UID", "COMMAND"]
        assert [row.split()[:4] for row in rows[1:]] == [
            [str(it["session"]), str(os.getpid()), str(os.getuid()), "python3"]
            for it in (first, second)]
    assert wait_until(lambda: len(clients(host)) == 1)


def test_what_it_waits_for(host):
    """A request that xenstored does not answer is seen, and how long that has been so."""
    client = host.dom0
    client.read("/")
    host.daemon.process.send_signal(signal.SIGSTOP)
    try:
        sent = client.send(READ, join("/"))
        assert wait_until(lambda: clients(host)[0]["under_way"] == ["READ"])
        assert wait_until(lambda: clients(host)[0]["oldest_ms"] >= 20)
        assert "READ for " in ctl(host, "clients").splitlines()[1]
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    assert client.recv_reply().req_id == sent
    assert clients(host)[0]["under_way"] == [] and clients(host)[0]["oldest_ms"] == 0


def oldest(host):
    with Control(host) as control:
        return control.run("domain", domid=7)["oldest_ms"]


def test_a_guest_that_waits(host):
    guest = host.add_guest(7)
    host.daemon.process.send_signal(signal.SIGSTOP)
    try:
        guest.send(READ, join("name"))
        assert wait_until(lambda: oldest(host) >= 20)
        assert "waits for an answer for " in ctl(host, "domain", "7")
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    guest.recv_reply()
    assert oldest(host) == 0


def test_more_than_a_page(host):
    before = len(clients(host))
    others = [host.client() for _ in range(150)]
    for client in others:
        client.read("/")
    found = [client["session"] for client in clients(host)]
    assert len(found) == before + 150
    assert found == sorted(set(found))
    for client in others:
        client.close()


def test_trace_says_which_program(host):
    """And not what it asks itself to find that out."""
    host.add_guest(7)
    with Watching(host, "trace") as trace:
        host.dom0.read("/local/domain/7/name")
        host.add_guest(8)
        with host.client() as other:
            other.read("/local/domain/8/name")
        lines = trace.until('"/local/domain/8/name"')
    callers = {line.split()[1] for line in lines}
    assert "d0(python3)" in callers and "d0(xsproxyctl)" not in callers, lines
    assert bare(lines[0]) == 'd0c > READ "/local/domain/7/name" = "guest-7"'
