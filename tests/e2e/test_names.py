# SPDX-License-Identifier: MIT
"""Domains by their names, shown and given: as /local/domain/DOMID/name has them, now."""

import json
import signal
import subprocess
import time

import pytest

import xensim
from control import Control
from harness import Host
from ours import running
from relay import FLAVOURS, wait_until

CTL = xensim.BUILD / "xsproxyctl"
NAME = "/local/domain/7/name"
SHORT = 20  # s; no listing may take that long, whatever xenstored does


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    with running(request.param) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        host.web = host.add_guest(7)
        host.add_guest(9)
        host.dom0.write(NAME, "web")
        yield host


def ctl(host, *args, control=True, status=0):
    where = ["--control", host.run_dir / "control"] if control else []
    done = subprocess.run([CTL, *map(str, args), *where], capture_output=True, text=True,
                          timeout=xensim.TIMEOUT, check=False, env=host.tool_env())
    assert done.returncode == status, done
    assert bool(done.stderr) == bool(status) and done.stderr.count("\n") <= 1
    return done.stderr if status else done.stdout


def names(host):
    """{domid: name} as domains prints them."""
    rows = [line.split() for line in ctl(host, "domains").splitlines()[1:]]
    return {int(row[0]): row[1] for row in rows}


def test_names_are_listed(host):
    assert names(host) == {0: "-", 7: "web", 9: "guest-9"}
    listed = json.loads(ctl(host, "domains", "--json"))["domains"]
    assert {domain["domid"]: domain["name"] for domain in listed} == {
        0: None, 7: "web", 9: "guest-9"}
    assert ctl(host, "domain", 7).splitlines()[1].split()[:2] == ["7", "web"]
    assert json.loads(ctl(host, "domain", 7, "--json"))["name"] == "web"
    host.dom0.write(NAME, "other")
    assert names(host)[7] == "other"
    host.dom0.rm(NAME)
    assert names(host)[7] == "(null)"


def test_what_a_terminal_would_obey(host):
    """Octets of a name are shown, and not printed."""
    host.dom0.write(NAME, b"a\x1b[2J\n\xff b")
    assert names(host)[7] == "a\\x1b[2J\\x0a\\xff\\x20b"
    assert json.loads(ctl(host, "domain", 7, "--json"))["name"] == "a\x1b[2J\n\\xff b"
    host.dom0.write(NAME, "n" * 1000)
    assert set(names(host)[7].rstrip(".")) == {"n"}


def test_by_name(host):
    """Whatever takes a domain takes its name."""
    guest = host.web
    guest.watch("data", "a token")
    tx = guest.start()
    assert json.loads(ctl(host, "domain", "web", "--json"))["domid"] == 7
    assert json.loads(ctl(host, "watches", "web", "--json"))["domid"] == 7
    assert ctl(host, "transactions", "web", control=False).splitlines() == ["TRANSACTION", str(tx)]
    assert json.loads(ctl(host, "stats", "web", "--json"))["requests"]["WATCH"] == 1
    guest.end(tx)
    ctl(host, "quiesce", "web")
    assert json.loads(ctl(host, "domain", 7, "--json"))["state"] == "quiesced"
    ctl(host, "unquiesce", "web", control=False)
    with subprocess.Popen([CTL, "flight", "web", "--control", host.run_dir / "control"],
                          stdout=subprocess.PIPE, text=True, env=host.tool_env()) as flight:
        assert " d7(web) s" in flight.communicate(timeout=xensim.TIMEOUT)[0]


def test_trace_has_names(host):
    """Those of now: when a domain is called otherwise its next line says so."""
    argv = [CTL, "trace", "web", "--path", "/local/domain/7/data", "--control",
            host.run_dir / "control"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=host.tool_env()) as trace:
        assert "until it is interrupted" in trace.stderr.readline()
        host.web.write("data/x", "1")
        assert ' d7(web) s' in trace.stdout.readline()
        host.dom0.write(NAME, "db")
        assert wait_until(lambda: traced(host, trace) == "d7(db)")
        host.dom0.rm(NAME)
        assert wait_until(lambda: traced(host, trace) == "d7")
        trace.send_signal(signal.SIGINT)
        assert trace.wait(xensim.TIMEOUT) == 0


def traced(host, trace):
    """Who trace says it was that writes something."""
    host.web.write("data/x", "1")
    return trace.stdout.readline().split()[1]


def test_json_of_trace_has_names(host):
    host.web.write("data/x", "1")
    lines = [json.loads(line) for line in ctl(host, "flight", "web", "--json").splitlines()]
    assert lines and all(line["name"] == "web" for line in lines)


def test_names_of_nobody_and_of_several(host):
    assert "no domain is called db; see xl list" in ctl(host, "domain", "db", status=1)
    assert "no domain is called a\\x1bb" in ctl(host, "domain", "a\x1bb", status=1)
    host.dom0.write("/local/domain/9/name", "web")
    assert "several domains are called web: give the number" in ctl(
        host, "domain", "web", status=1)
    host.dom0.write("/local/domain/0/name", "Domain-0")
    assert names(host)[0] == "Domain-0"
    assert "Domain-0 is domain 0, and must be a guest" in ctl(host, "quiesce", "Domain-0", status=1)
    # As xl has it: all digits are a number, whoever is called that.
    host.dom0.write(NAME, "9")
    assert json.loads(ctl(host, "domain", "9", "--json"))["domid"] == 9


def test_nobody_waits_for_xenstored(host):
    """All that is known without it is shown without it, and soon."""
    host.daemon.process.send_signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert names(host) == {0: "-", 7: "-", 9: "-"}
        assert "xenstored does not answer; give the number" in ctl(host, "domain", "web", status=1)
        assert time.monotonic() - begin < SHORT
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: names(host)[7] == "web")


def test_without_xenstored():
    with Host("C", start=False) as host:
        host.start_proxy()
        assert json.loads(ctl(host, "domains", "--json")) == {"domains": []}
        assert "cannot read the names of domains: " in ctl(host, "domain", "web", status=1)


def test_top_has_names(host):
    """Those of now, and how a domain is."""
    host.dom0.write("/local/domain/9/name", "a long name for a guest")
    ctl(host, "quiesce", "9")
    lines = ctl(host, "top", "--batch", "--count", "1", "--sort", "domid").splitlines()
    rows = {row[0]: row for row in (line.split() for line in lines[4:])}
    assert rows["7"][1] == "web" and rows["7"][-1] == "running"
    assert "a\\x20long\\x20name".startswith(rows["9"][1][:8]) and rows["9"][-1] == "quiesced"
