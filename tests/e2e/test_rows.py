# SPDX-License-Identifier: MIT
"""Which domains a table shows, and in which order: `domains` and `top`."""

import json
import subprocess

import pytest

import xensim
import xsclient
from control import Control
from ours import running
from relay import FLAVOURS

CTL = xensim.BUILD / "xsproxyctl"


def ctl(host, *args, status=0):
    done = subprocess.run([CTL, *args, "--control", host.run_dir / "control"], capture_output=True,
                          text=True, timeout=xensim.TIMEOUT, check=False, env=host.tool_env())
    assert done.returncode == status, done
    return done.stderr if status else done.stdout


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    """7 is called web and quiesced, 8 db and has most watches, 9 was refused something."""
    with running(request.param) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        guests = {domid: host.add_guest(domid) for domid in (7, 8, 9)}
        for domid, name in ((0, "Domain-0"), (7, "web"), (8, "db"), (9, "web-2")):
            host.dom0.write(f"/local/domain/{domid}/name", name)
        for i in range(3):
            guests[8].watch("data", f"token {i}")
        guests[7].watch("data", "token")
        with pytest.raises(xsclient.XsError):
            guests[9].write("/vm/x", "1")
        ctl(host, "quiesce", "7")
        yield host


def shown(host, *args):
    """Domids, in the order of both forms."""
    rows = [int(row.split()[0]) for row in ctl(host, "domains", *args).splitlines()[1:]]
    listed = [domain["domid"] for domain in json.loads(
        ctl(host, "domains", *args, "--json"))["domains"]]
    assert rows == listed
    return rows


def test_order(host):
    assert shown(host) == shown(host, "--sort", "domid") == [0, 7, 8, 9]
    assert shown(host, "--sort", "watches") == [8, 7, 0, 9]
    assert shown(host, "--sort", "name") == [0, 8, 7, 9]
    assert shown(host, "--sort", "state") == [7, 0, 8, 9]
    assert shown(host, "--sort", "refusals") == [9, 0, 7, 8]


def test_which(host):
    assert shown(host, "--state", "quiesced") == [7]
    assert shown(host, "--state", "quiesced,running", "--sort", "watches") == [8, 7, 0, 9]
    assert shown(host, "--state", "failed", "--state", "ended") == []
    assert shown(host, "--match", "^web") == [7, 9]
    assert shown(host, "--match", "^web$|^8$") == [7, 8]
    assert shown(host, "--match", "^web", "--state", "running") == [9]
    assert shown(host, "--match", "EACCES") == [9]


def test_top(host):
    for args, expected in ((("--state", "quiesced"), ["7"]), (("--match", "^web"), ["7", "9"]),
                           (("--sort", "watches"), ["8", "7", "0", "9"])):
        lines = ctl(host, "top", "--batch", "--count", "1", "--interval", "0.1", *args)
        rows = [line.split()[0] for line in lines.splitlines()[4:]]
        assert (rows if "--sort" in args else sorted(rows)) == expected


@pytest.mark.parametrize("args, why", [
    (("domains", "--sort", "p99"), "must be domid, name, state"),
    (("domains", "--state", "well"), "must be running, quiesced"),
    (("domains", "--state", "running,"), "must be running, quiesced"),
    (("domains", "--match", "("), "--match (: "), (("top", "--match", "["), "--match [: "),
    (("status", "--match", "x"), "there is no option --match")])
def test_what_is_wrong(args, why):
    done = subprocess.run([CTL, *args], capture_output=True, text=True, check=False,
                          timeout=xensim.TIMEOUT)
    assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1
