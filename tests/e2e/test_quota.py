# SPDX-License-Identifier: MIT
"""xsproxyctl quota: what domains have of what they may have, as the daemon says and as we know."""

import json
import subprocess

import pytest

import xensim
from control import Control
from ours import running
from relay import FLAVOURS
from watching import said

CTL = xensim.BUILD / "xsproxyctl"


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    with running(request.param, config="[limits]\nwatches = 100\n") as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        yield host


def quotas(host, *args):
    """{domid: {quota: (has, may have)}}"""
    return {domain["domid"]: {it["quota"]: (it["has"], it["may"]) for it in domain["quotas"]}
            for domain in json.loads(said(host, "quota", "--json", *args))["domains"]}


def test_one(host):
    guest = host.add_guest(7)
    before = quotas(host, "7")[7]
    for i in range(3):
        guest.watch("data", str(i))
        guest.write(f"data/{i}", "x" * 50)
    tx = guest.start()
    found = quotas(host, "7")[7]
    assert found["watches"] == (3, 100)
    # The first of them has made data, too, where it was not there.
    assert 3 <= found["nodes"][0] - before["nodes"][0] <= 4 and found["nodes"][1] == 1000
    assert 0 < found["watch-memory"][0] < found["watch-memory"][1] == 8 << 20
    if host.flavour == "C":
        assert found["transactions"] == (1, 10)
        assert found["memory"][0] > before["memory"][0] and found["memory"][1] == 2621440
        assert found["node-size"] == (None, 2048)
    else:
        assert found["transactions"] == (1, None) and "memory" not in found
    lines = [line.split() for line in said(host, "quota", "7").splitlines()]
    assert lines[0] == ["QUOTA", "HAS", "MAY", "HAVE"]
    assert ["watches", "3", "100"] in lines and ["nodes", str(found["nodes"][0]), "1000"] in lines
    guest.end(tx)


def test_all(host):
    """Dom0 may have any number; one that is only held has nothing, and is not there."""
    host.add_guest(7).watch("data", "t")
    host.add_guest(9)
    with Control(host) as control:
        control.run("hold", domid=11)
    found = quotas(host)
    assert set(found) - {0} == {7, 9}
    assert found[7]["watches"] == (1, 100) and found[9]["watches"] == (0, 100)
    if 0 in found:
        assert found[0]["watches"][1] is None
    rows = {row.split()[0]: row.split()[1:] for row in said(host, "quota").splitlines()}
    assert rows["DOMID"] == ["NAME", "WATCHES", "NODES", "TRANSACTIONS", "MEMORY"]
    assert rows["7"][:2] == ["guest-7", "1/100"] and rows["7"][2].endswith("/1000")


def test_nobody_there(host):
    done = subprocess.run([CTL, "quota", "8", "--control", host.run_dir / "control"],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False,
                          env=host.tool_env())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "xsproxyctl quota: domain 8 is neither introduced nor held\n"
