# SPDX-License-Identifier: MIT
"""Who has a domain stand still, or lets it go on, is in the log, one line each; and `domain` says
since when and for whom it does."""

import os
import pathlib
import signal
import time

import pytest

from control import Control
from migration import ctl
from ours import (GET_DOMAIN_STATE, HOLD, QUIESCE, RESET_DOMAIN, UNQUIESCE, ask, quiesce, running,
                  settle, unquiesce)
from relay import FLAVOURS, introduce, packet, wait_until
from xsclient import CONTROL, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

COMM = pathlib.Path("/proc/self/comm").read_text(encoding="ascii").strip()
ME = f"{COMM} (pid {os.getpid()}, uid {os.getuid()})"
KERNEL = "dom0's kernel"


class Lines:
    """The log's lines about who asked, as they come."""

    def __init__(self, host):
        self.host = host
        self.count = len(self.all())

    def all(self):
        return [line.removeprefix("xsproxyd: ") for line in self.host.proxy.text().splitlines()
                if " by " in line or "the connection that it stood still for" in line]

    def new(self):
        lines = self.all()[self.count:]
        self.count += len(lines)
        return lines


def stopped(host, domid=7):
    with Control(host) as control:
        return control.run("domain", domid=domid)["stopped"]


def assert_stopped(host, command=COMM, pid=os.getpid(), uid=os.getuid()):
    shown = stopped(host)
    assert (shown["command"], shown["pid"], shown["uid"]) == (command, pid, uid)
    assert abs(shown["since"] + shown["seconds"] - time.time()) < 5
    assert 0 <= shown["seconds"] < 60


def test_requests(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        lines = Lines(host)
        assert stopped(host) is None
        quiesce(host.dom0, 7)
        assert lines.new() == [f"d7: QUIESCE by {ME}: it stands still"]
        assert_stopped(host)
        quiesce(host.dom0, 7)
        assert lines.new() == [f"d7: QUIESCE by {ME}: it stood still already"]
        assert ask(host.dom0, RESET_DOMAIN, 7) == b"OK\0"
        assert lines.new() == [
            f"d7: RESET_DOMAIN by {ME}: watches, transactions and events are dropped"]
        unquiesce(host.dom0, 7)
        assert lines.new() == [f"d7: UNQUIESCE by {ME}: it goes on"]
        assert stopped(host) is None
        unquiesce(host.dom0, 7)
        assert lines.new() == [f"d7: UNQUIESCE by {ME}: it ran already"]

        for type_, domid, error in ((HOLD, 7, "EEXIST"), (QUIESCE, 8, "ENOENT"),
                                    (UNQUIESCE, 8, "ENOENT"), (RESET_DOMAIN, 7, "EBUSY")):
            assert ask(host.dom0, type_, domid) == error
            (line,) = lines.new()
            assert line.startswith(f"d{domid}: ") and line.endswith(f" by {ME}: {error}")

        # As the stock tool and dom0's kernel ask.
        host.dom0.request(CONTROL, join("quiesce", 7))
        host.dom0.request(CONTROL, join("unquiesce", 7))
        kernel = host.guest(0)
        assert ask(kernel, QUIESCE, 7) == b"OK\0"
        assert lines.new() == [f"d7: QUIESCE by {ME}: it stands still",
                               f"d7: UNQUIESCE by {ME}: it goes on",
                               f"d7: QUIESCE by {KERNEL}: it stands still"]
        assert_stopped(host, KERNEL, pid=0, uid=0)
        assert ask(kernel, UNQUIESCE, 7) == b"OK\0"
        assert guest.read("domid") == b"7"


def test_that_fails(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        lines = Lines(host)
        guest.send_raw(packet(WRITE, b"data/x\0value", req_id=5)[:18])
        wait_until(lambda: guest.req_cons == guest.req_prod)
        assert ask(host.dom0, QUIESCE, 7) == "EBUSY"
        (line,) = lines.new()
        assert line.startswith(f"d7: QUIESCE by {ME}: EBUSY: it is in the middle of a request for ")
        client = host.client()
        client.send(QUIESCE, b"7\0")
        settle(host)
        client.close()
        wait_until(lambda: lines.all()[lines.count:])
        assert lines.new() == [
            f"d7: QUIESCE by {ME}: given up, for that connection has ended"]


@pytest.mark.parametrize("by", ["wire", "control"])
def test_lease(flavour, by):
    with running(flavour) as host:
        host.add_guest(7)
        lines = Lines(host)
        if by == "wire":
            holder = host.client()
            assert ask(holder, QUIESCE, 7, "lease") == b"OK\0"
        else:
            holder = Control(host)
            holder.run("quiesce", domid=7, lease=True)
        assert lines.new() == [
            f"d7: QUIESCE by {ME}: it stands still as long as that connection lasts"]
        assert_stopped(host)
        holder.close()
        wait_until(lambda: ask(host.dom0, GET_DOMAIN_STATE, 7) == b"running\0")
        assert lines.new() == ["d7: the connection that it stood still for has ended; it goes on"]


def test_of_xsproxyctl(flavour):
    """It has ended when somebody asks, but is not forgotten; and a lease that becomes permanent."""
    with running(flavour) as host:
        host.add_guest(7)
        lines = Lines(host)
        ctl(host, "quiesce", 7)
        (line,) = lines.new()
        assert line.startswith("d7: QUIESCE by xsproxyctl (pid ")
        assert line.endswith(f", uid {os.getuid()}): it stands still")
        text = ctl(host, "domain", 7, "--control", host.run_dir / "control").decode()
        assert "\nquiesced for " in text and ", by xsproxyctl (pid " in text
        assert time.strftime(" s, since %Y-%m-%d ") in text
        unquiesce(host.dom0, 7)
        assert ask(host.dom0, QUIESCE, 7, "lease") == b"OK\0"
        lines.new()
        ctl(host, "quiesce", 7)
        (line,) = lines.new()
        assert line.endswith(": it goes on standing still, for good")
        assert stopped(host)["command"] == "xsproxyctl"


def test_export_and_import(flavour, tmp_path):
    """These are made of several requests; all lines say which command it is."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        for _ in range(3):
            guest.start()
        lines = Lines(host)
        ctl(host, "export", 7, "--keep", "-o", tmp_path / "stream")
        said = lines.new()
        assert [line.split(" (pid ")[0] for line in said] == (
            2 * ["d7: QUIESCE by xsproxyctl export"])
        assert said[0].endswith(": it stands still as long as that connection lasts")
        assert said[1].endswith(": it goes on standing still, for good")
        assert ask(host.dom0, RESET_DOMAIN, 7) == b"OK\0"
        lines.new()
        ctl(host, "import", 7, "--resume", "-i", tmp_path / "stream")
        assert [line.split(" (pid ")[0] for line in lines.new()] == [
            "d7: ADD_DOMAIN_WATCHES by xsproxyctl import", "d7: UNQUIESCE by xsproxyctl import"]


def test_hold(flavour):
    with running(flavour) as host:
        lines = Lines(host)
        assert ask(host.dom0, HOLD, 7) == b"OK\0"
        assert lines.new() == [f"d7: HOLD by {ME}: it will stand still from its INTRODUCE on"]
        assert_stopped(host)
        introduce(host, 7)
        assert lines.new() == [f"d7: HOLD by {ME}: it is introduced, and stands still"]
        assert_stopped(host)
        unquiesce(host.dom0, 7)
        assert ask(host.dom0, HOLD, 8) == b"OK\0"
        unquiesce(host.dom0, 8)
        assert lines.new()[-1] == f"d8: UNQUIESCE by {ME}: its hold is over"

        with Control(host) as control:
            for new, what in ((True, "stand still"), (False, "run")):
                control.run("hold", new=new)
                assert lines.new() == [
                    f"hold --new by {ME}: domains that are introduced from now on {what}"]
                if new:
                    introduce(host, 9)
                    assert lines.new() == [f"d9: HOLD by {ME}: it is introduced, and stands still"]
                    assert stopped(host, 9)["command"] == COMM


def test_restart(flavour):
    """What an earlier xsproxyd was asked for stays, and so does for whom, and since when."""
    with running(flavour) as host:
        host.add_guest(7)
        quiesce(host.dom0, 7)
        with Control(host) as control:
            before = control.run("domain", domid=7)["stopped"]
        host.proxy.kill(signal.SIGKILL)
        host.start_proxy()
        host.dom0.directory("/")
        with Control(host) as control:
            shown = control.run("domain", domid=7)
        assert shown["state"] == "quiesced" and before["pid"] == os.getpid()
        assert shown["stopped"] | {"seconds": 0} == before | {"seconds": 0}
        unquiesce(host.dom0, 7)


def test_many(flavour):
    """No line is left out because there are many."""
    with running(flavour) as host:
        host.add_guest(7)
        lines = Lines(host)
        for _ in range(100):
            quiesce(host.dom0, 7)
            unquiesce(host.dom0, 7)
        assert len(lines.new()) == 200
