# SPDX-License-Identifier: MIT
"""The control socket: QUIESCE, leases and HOLD, and for how long each of them holds."""

import os
import signal

import pytest

import xsclient
from control import Control, ControlError


@pytest.fixture
def control(host):
    with Control(host) as connection:
        # Toolstack clients may be served a moment before the bridge has said hello.
        connection.wait(lambda status: status["state"] == "running", "status")
        yield connection


def restart(host, sig=signal.SIGKILL):
    """Another xsproxyd; a control connection to it, once it has found its domains."""
    host.proxy.kill(sig)
    host.start_proxy()
    other = Control(host)
    other.wait(lambda status: status["state"] == "running", "status")
    return other


def domids(control):
    return [domain["domid"] for domain in control.run("domains")["domains"]]


def test_quiesce_and_unquiesce(host, control):
    guest = host.add_guest(7)
    assert control.run("quiesce", domid=7) == {}
    assert control.state(7) == "quiesced"
    page = guest.page()
    guest.push(xsclient.HEADER.pack(xsclient.READ, 9, 0, 7) + b"domid\0\0"[:7])
    guest.notify()
    control.run("status")
    assert guest.req_cons == int.from_bytes(page[2048:2052], "little")
    control.run("unquiesce", domid=7)
    assert guest.recv_reply().req_id == 9
    assert control.state(7) == "running"


def test_quiesce_stays_when_its_connection_ends(host, control):
    host.add_guest(7)
    with Control(host) as other:
        other.run("quiesce", domid=7)
    assert control.state(7) == "quiesced"


def test_a_lease_ends_with_its_connection(host, control):
    guest = host.add_guest(7)
    with Control(host) as other:
        other.run("quiesce", domid=7, lease=True)
        assert control.state(7) == "leased"
    assert control.wait(lambda domain: domain["state"] == "running", "domain", domid=7)
    assert guest.read("domid") == b"7"


def test_a_lease_ends_with_the_last_of_two(host, control):
    host.add_guest(7)
    one, other = Control(host), Control(host)
    one.run("quiesce", domid=7, lease=True)
    other.run("quiesce", domid=7, lease=True)
    one.close()
    other.run("status")
    assert other.state(7) == "leased"
    other.close()
    control.wait(lambda domain: domain["state"] == "running", "domain", domid=7)


@pytest.mark.parametrize("by_wire", (False, True))
def test_an_unleased_quiesce_makes_a_lease_permanent(host, control, by_wire):
    host.add_guest(7)
    with Control(host) as other:
        other.run("quiesce", domid=7, lease=True)
        if by_wire:
            host.dom0.control("quiesce", 7)
        else:
            control.run("quiesce", domid=7)
        assert control.state(7) == "quiesced"
    control.run("status")
    assert control.state(7) == "quiesced"


def test_a_lease_does_not_shorten_a_quiesce(host, control):
    host.add_guest(7)
    control.run("quiesce", domid=7)
    with Control(host) as other:
        other.run("quiesce", domid=7, lease=True)
    control.run("status")
    assert control.state(7) == "quiesced"


@pytest.mark.parametrize("sig", (signal.SIGKILL, signal.SIGTERM))
def test_a_lease_ends_with_xsproxyd(host, control, sig):
    guest = host.add_guest(7)
    quiet = host.add_guest(8)
    control.run("quiesce", domid=7, lease=True)
    control.run("quiesce", domid=8)
    with restart(host, sig) as other:
        assert guest.read("domid") == b"7"
        assert other.wait(lambda domain: domain["state"] == "running", "domain", domid=7)
        assert other.state(8) == "quiesced"
        other.run("unquiesce", domid=8)
    assert quiet.read("domid") == b"8"


def test_quiesce_that_cannot_be(host, control):
    guest = host.add_guest(7)
    assert control.said("quiesce", domid=0) == "BadRequest"
    assert control.said("quiesce", domid=9) == "NotFound"
    # Half a request that is larger than the ring: it is taken in pieces, and never ends.
    guest.send_raw(xsclient.HEADER.pack(xsclient.WRITE, 1, 0, 4000) + b"x" * 1500)
    assert control.said("quiesce", domid=7) == "Busy"
    assert control.state(7) == "running"


def test_quiesce_is_abandoned_with_its_connection(host, control):
    guest = host.add_guest(7)
    guest.send_raw(xsclient.HEADER.pack(xsclient.WRITE, 1, 0, 1500) + b"data\0" + b"x" * 1000)
    with Control(host) as other:
        other.send("quiesce", domid=7)
        # It waits: another connection is served meanwhile.
        assert control.state(7) == "running"
    guest.send_raw(b"x" * 495)
    assert guest.recv_reply().type == xsclient.WRITE
    assert guest.read("domid") == b"7"
    assert control.state(7) == "running"


def test_quiesce_of_a_domain_that_ends(host, control):
    guest = host.add_guest(7)
    guest.send_raw(xsclient.HEADER.pack(xsclient.WRITE, 1, 0, 1500) + b"data\0" + b"x" * 1000)
    with Control(host) as other:
        other.send("quiesce", domid=7)
        assert control.state(7) == "running"
        host.dom0.release(7)
        with pytest.raises(ControlError, match="not introduced"):
            other.reply()


def test_hold(host, control):
    control.run("hold", domid=7)
    held = control.run("domains")["domains"][1]
    assert held.pop("stopped")["pid"] == os.getpid()
    assert held == {"domid": 7, "state": "held", "reason": None, "introduced": False,
                    "exists": False}
    guest = host.add_guest(7)
    assert control.state(7) == "held"
    guest.send(xsclient.READ, b"domid\0")
    assert control.said("hold", domid=7) == "Exists"
    control.run("unquiesce", domid=7)
    assert guest.recv_reply().payload == b"7"
    assert control.state(7) == "running"


def test_a_hold_can_be_taken_back(host, control):
    control.run("hold", domid=7)
    control.run("unquiesce", domid=7)
    assert domids(control) == [0]
    assert control.said("unquiesce", domid=7) == "NotFound"
    assert host.add_guest(7).read("domid") == b"7"


def test_a_hold_ends_with_its_domain(host, control):
    control.run("hold", domid=7)
    port, gfn = host.sim.create(7)
    host.dom0.introduce(7, gfn, port)
    assert control.state(7) == "held"
    host.dom0.release(7)
    assert domids(control) == [0]
    host.dom0.introduce(7, gfn, port)
    assert control.state(7) == "running"


def test_hold_new(host, control):
    first = host.add_guest(5)
    control.run("hold", new=True)
    assert control.run("status")["hold_new"] is True
    second = host.add_guest(6)
    second.send(xsclient.READ, b"domid\0")
    assert (control.state(5), control.state(6)) == ("running", "held")
    control.run("hold", new=False)
    third = host.add_guest(7)
    assert (first.read("domid"), third.read("domid")) == (b"5", b"7")
    assert control.state(6) == "held"
    control.run("unquiesce", domid=6)
    assert second.recv_reply().payload == b"6"


def test_holds_are_kept_across_restarts(host, control):
    control.run("hold", domid=6)
    control.run("hold", new=True)
    with restart(host) as other, host.client() as dom0:
        assert other.run("status")["hold_new"] is True
        assert domids(other) == [0, 6]
        port, gfn = host.sim.create(7)
        dom0.introduce(7, gfn, port)
        assert other.state(7) == "held"
        # dom0 is never held.
        assert other.state(0) == "running"
