# SPDX-License-Identifier: MIT
"""`xsproxyctl why`: what a domain's devices wait for."""

import json
import signal
import subprocess

import pytest

import xensim
from control import Control
from ours import running
from relay import FLAVOURS

CTL = xensim.BUILD / "xsproxyctl"
FRONT, BACK = "/local/domain/7/device/vif/0", "/local/domain/0/backend/vif/7/0"
CONNECTED = "connected"


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    """Guest 7 with a network device, as libxl makes it."""
    with running(request.param) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        host.web = host.add_guest(7)
        device(host)
        yield host


def device(host, front=FRONT, back=BACK):
    host.dom0.write(front + "/backend", back)
    host.dom0.write(front + "/state", "1")
    host.dom0.set_perms(front, "n7", "r0")
    for node in ("/backend", "/state"):
        host.dom0.set_perms(front + node, "n7", "r0")
    host.dom0.write(back + "/frontend", front)
    host.dom0.write(back + "/state", "1")


def states(host, front, back):
    host.dom0.write(FRONT + "/state", str(front))
    host.dom0.write(BACK + "/state", str(back))


def run(host, *args):
    return subprocess.run([CTL, "why", *args, "--control", host.run_dir / "control"],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False,
                          env=host.tool_env())


def why(host):
    """{device: what it waits for}; both forms say the same."""
    text, found = run(host, "7"), run(host, "guest-7", "--json")
    assert (text.returncode, text.stderr, found.returncode, found.stderr) == (0, "", 0, "")
    devices = json.loads(found.stdout)["devices"]
    for it in devices:
        assert it["why"] in text.stdout
    return {it["device"]: it["why"] for it in devices}


@pytest.mark.parametrize("front, back, says", [
    (1, 1, "it waits for the backend to begin: its driver, or a hotplug script"),
    (1, 2, "it waits for the guest's driver"),
    (3, 2, "it waits for the backend to connect"),
    (3, 4, "it waits for the guest's driver to connect"),
    (4, 4, CONNECTED),
    (4, 5, "the backend is closing, or closed: it is being detached"),
    (6, 4, "the guest's driver has closed it"),
    ("four", 2, "it waits for the guest's driver"),
    (1, "", "there is no backend: nobody has made it, or it was removed")])
def test_who_is_to_do_the_next_step(host, front, back, says):
    states(host, front, back)
    assert why(host) == {"vif/0": says}


def test_what_drivers_wrote(host):
    states(host, 4, 4)
    host.dom0.write("/local/domain/0/error/backend/vif/7/0/error", "2 hotplug failed")
    assert why(host) == {"vif/0": "the backend has failed"}
    assert "backend: 2\\x20hotplug\\x20failed" in run(host, "7").stdout
    host.dom0.rm("/local/domain/0/error")
    host.dom0.write("/local/domain/7/error/device/vif/0/error", "no\x1b[2J")
    assert why(host) == {"vif/0": "the guest's driver has failed"}
    assert "guest: no\\x1b[2J" in run(host, "7").stdout


def test_a_guest_that_lies(host):
    """It says whose backend it has; the backend must say so, too."""
    states(host, 4, 4)
    host.dom0.write("/local/domain/0/backend/vif/8/0/frontend", "/local/domain/8/device/vif/0")
    host.dom0.write("/local/domain/0/backend/vif/8/0/state", "4")
    host.web.write("device/vif/0/backend", "/local/domain/0/backend/vif/8/0")
    assert why(host) == {"vif/0": "that backend is another device's: the guest's link is wrong"}
    for link in ("\x1b[31m", "relative", "/local/domain/99999999999/x", "/" * 300):
        host.web.write("device/vif/0/backend", link)
        assert why(host) == {"vif/0": "there is no backend: nobody has made it, or it was removed"}
        assert "\x1b" not in run(host, "7").stdout
    host.web.rm("device/vif/0/backend")
    assert why(host)["vif/0"].startswith("it has no backend")


def test_several_and_none(host):
    device(host, "/local/domain/7/device/vbd/51712", "/local/domain/0/backend/vbd/7/51712")
    assert set(why(host)) == {"vif/0", "vbd/51712"}
    host.dom0.rm("/local/domain/7/device")
    assert why(host) == {}
    assert "it has no devices" in run(host, "7").stdout


def test_what_xsproxyd_knows(host):
    states(host, 4, 4)
    assert "running: all that it asked is answered" in run(host, "7").stdout
    subprocess.run([CTL, "quiesce", "7"], env=host.tool_env(), check=True, timeout=xensim.TIMEOUT)
    assert "quiesced: it is not served" in run(host, "7").stdout
    assert run(host, "99").returncode == 1


def test_without_an_answer(host):
    """What is known without xenstored is said all the same."""
    host.daemon.process.send_signal(signal.SIGSTOP)
    try:
        done = run(host, "7")
    finally:
        host.daemon.process.send_signal(signal.SIGCONT)
    assert done.returncode == 1 and done.stdout.startswith("session ")
    assert done.stderr == ("xsproxyctl: xenstored does not answer; see xsproxyctl status\n")
