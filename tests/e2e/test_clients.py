# SPDX-License-Identifier: MIT
"""Toolstacks' connections, as an administrator sees them: `xsproxyctl clients`, and their programs
in `trace`."""

import json
import os
import re
import signal
import subprocess

import pytest

import xensim
from control import Control
from ours import running
from relay import FLAVOURS, wait_until
from watching import Watching, bare, said
from xsclient import READ, join

CTL = xensim.BUILD / "xsproxyctl"


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    with running(request.param, config="[log]\nslow = 20ms\n") as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        yield host


def clients(host):
    return json.loads(said(host, "clients", "--json"))["clients"]


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
        rows = said(host, "clients").splitlines()
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
        assert "READ for " in said(host, "clients").splitlines()[1]
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    assert client.recv_reply().req_id == sent
    assert clients(host)[0]["under_way"] == [] and clients(host)[0]["oldest_ms"] == 0
    line, = slow(host, "python3")
    assert re.fullmatch(rf"xsproxyd: d0\(python3,pid={os.getpid()}\) s\d+: READ of / took "
                        r"\d+\.\d s, \d+\.\d s of these in xenstored", line)


def slow(host, whose):
    """The lines about somebody's requests that took long, as soon as there are some."""
    def lines():
        return [line for line in host.proxy.text(names=True).splitlines() if " took " in line and
                whose in line]
    assert wait_until(lines)
    return lines()


def test_one_that_does_not_read(host):
    """It is told apart from one that has nothing to read, and a line says so, once."""
    with host.client() as deaf:
        deaf.watch("/tool", "t")
        session = clients(host)[-1]["session"]
        for _ in range(40):
            for i in range(100):
                host.dom0.write(f"/tool/{i:0200}", "x")
            if "it has not read" in host.proxy.text():
                break
        one = clients(host)[-1]
        assert one["session"] == session and one["unread_ms"] >= 20 and one["events"] > 0
        assert re.search(r"\d+ events are not read for \d+ ms",
                         said(host, "clients", str(session)))
        line, = [line for line in host.proxy.text(names=True).splitlines()
                 if "has not read" in line]
        assert re.fullmatch(rf"xsproxyd: d0\(python3,pid={os.getpid()}\) s{session}: it has not "
                            r"read what is sent to it for \d+\.\d s, and more waits; see "
                            "xsproxyctl clients", line)


def oldest(host):
    with Control(host) as control:
        return control.run("domain", domid=7)["oldest_ms"]


def test_a_guest_that_waits(host):
    guest = host.add_guest(7)
    host.daemon.process.send_signal(signal.SIGSTOP)
    try:
        guest.send(READ, join("name"))
        assert wait_until(lambda: oldest(host) >= 20)
        assert "waits for an answer for " in said(host, "domain", "7")
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    guest.recv_reply()
    assert oldest(host) == 0
    line, = slow(host, ": d7")
    assert re.match(r"xsproxyd: d7(\(guest-7\))? s\d+: READ of name took ", line)


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


def test_what_one_has(host):
    """Its watches, more than a page of them, and its transactions."""
    with host.client() as client:
        for i in range(300):
            client.watch("/local", f"\x1b{i}")
        tx = client.start()
        session = clients(host)[-1]["session"]
        one = json.loads(said(host, "clients", f"s{session}", "--json"))
        assert one["session"] == session and one["transaction_list"] == [tx]
        assert one["watch_list"] == [{"path": "/local", "token": f"\\x1b{i}"} for i in range(300)]
        assert "next" not in one
        lines = said(host, "clients", str(session)).splitlines()
        assert len(lines) == 303 and lines[1].split()[0] == str(session)
        assert lines[2] == "watch /local \\x1b0" and lines[-1] == f"transaction {tx}"
        client.end(tx)
    done = subprocess.run([CTL, "clients", "99999", "--control", host.run_dir / "control"],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False)
    assert (done.returncode, done.stderr) == (
        1, "xsproxyctl clients: there is no toolstack with the session 99999\n")


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
