# SPDX-License-Identifier: MIT
"""An xsproxyd that does not know the version of what it finds says so in one line and touches
nothing; guests and toolstacks wait until the right one is back, and then nothing is lost."""

import re
import signal
import subprocess

import pytest

import built
import xsclient
from control import Control
from harness import BUILD
from ours import quiesce, tracked_watches, unquiesce
from relay import wait_until
from stress import Frozen, all_go_on, nothing_is_left, restart

# What each build does not know, and what its line says and advises.
FOREIGN = {
    "ledger": (r"left by an xsproxyd of another version \(ledger (\d+), this one knows (?:\1)9\)",
               "install that version again and restart xsproxy"),
    "rings": (r"the bridge in the running xenstored is of another version \(its memory's layout\)",
              "reboot dom0"),
    "ledgers": (r"left by an xsproxyd of another version \(layout (\d+), this one knows (?:\1)9\)",
                "install that version again and restart xsproxy"),
    "link": (r"the bridge in the running xenstored is of another version \(its messages\)",
             "reboot dom0"),
}
# Toolstacks' connections have such a layout, too.
KEPT = ("ledger", "ledgers")


def start_foreign(host, what, sig=signal.SIGTERM):
    """Restart into a build that cannot go on: the lines that it logs until it says so."""
    host.proxy.kill(sig)
    before = len(host.proxy.text())
    host.start_proxy(program=built.need(f"foreign/{what}/xsproxyd"), until="STATUS=")
    return host.proxy.text()[before:].splitlines()


def is_refused(host, what, lines):
    """By one line in the log, what systemd shows, and xsproxyctl."""
    problem, advice = FOREIGN[what]
    if what in KEPT:
        kept = lines.pop(0)
        assert "the keeper has toolstacks' connections that an xsproxyd of another version" in kept
    assert len(lines) == 1, lines
    reason = lines[0].removeprefix("xsproxyd: ")
    assert re.search(problem, reason) and advice in reason
    assert "guests and toolstacks wait" in reason
    assert host.status == f"STATUS={reason}"
    with Control(host) as control:
        status = control.run("status")
        assert (status["state"], status["reason"]) == ("refused", reason)
        assert status["xenstored"] is None
        assert control.said("quiesce", domid=1) == "NotReady"
    done = subprocess.run([BUILD / "xsproxyctl", "status", "--control", host.run_dir / "control"],
                          capture_output=True, text=True, check=True)
    assert f"xenstored   refused: {reason}\n" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("what", FOREIGN)
def test_guests_are_held_not_dropped(host, load, what):
    frozen = Frozen(host, 100)
    for sig in (signal.SIGTERM, signal.SIGKILL):
        is_refused(host, what, start_foreign(host, what, sig))
        frozen.check()
        restart(host, sig)
        all_go_on(host, load)
        assert load.all_alive(), load.end()
    load.end()
    nothing_is_left(host, load.processes)
    frozen.thaw(host, 100)


@pytest.mark.parametrize("what", FOREIGN)
def test_nothing_is_touched(host, what):
    """Neither the pages of guests that ask meanwhile, nor what is known of them."""
    guest = host.add_guest(7)
    guest.watch("data", "token")
    guest.wait_watch()
    tx = guest.start()
    start_foreign(host, what)
    guest.send(xsclient.WRITE, b"data/x\0in", req_id=1, tx=tx)
    guest.send(xsclient.READ, b"domid\0", req_id=2)
    page = guest.page()
    client = host.client()
    client.send(xsclient.DIRECTORY, b"/\0")
    waiting = 1 if what in KEPT else 2  # host.dom0, which else stays with the keeper
    with Control(host) as control:
        control.wait(lambda status: status["clients"] == waiting, "status")
    assert guest.page() == page
    with pytest.raises(xsclient.Timeout):
        client.recv(timeout=0.2)
    restart(host, signal.SIGTERM)
    assert [guest.recv_reply().req_id for _ in range(2)] == [1, 2]
    guest.end(tx)
    assert guest.wait_watch() == ("data/x", "token")
    assert guest.read("data/x") == b"in"
    assert tracked_watches(host.client(), 7) == [("data", "token")]


def test_domains_come_and_go_meanwhile(host):
    """xenstored sees a domain die while nobody is there who could be told."""
    guests = {domid: host.add_guest(domid) for domid in (7, 8, 9)}
    quiesce(host.dom0, 9)
    start_foreign(host, "ledger")
    guests[8].close()
    host.sim.destroy(8)
    restart(host, signal.SIGTERM)
    client = host.client()
    wait_until(lambda: not client.is_introduced(8))
    assert guests[7].read("domid") == b"7"
    again = host.sim.add_guest(client, 8)
    assert again.read("domid") == b"8"
    again.close()
    unquiesce(client, 9)
    assert guests[9].read("domid") == b"9"
