# SPDX-License-Identifier: MIT
"""Domains that Xen itself has made at boot: their page says that it is not connected, and they wait
on a channel that Xen has made, too, until Xen's init-dom0less introduces them, perhaps much later
(docs/daemons.md, "Domains without a toolstack")."""

import concurrent.futures

import pytest

import xsclient
from harness import Host
from ours import HOLD, ask, running, unquiesce
from relay import FLAVOURS, introduce, packet, same
from xensim import home
from xsclient import READ

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

RECONNECT, CONNECTED = 1, 0


def late(guest):
    """As Xen, or init-dom0less, leaves the page."""
    guest.connection = RECONNECT


def as_linux(guest):
    """With the first event it goes on, and looks at `connection` no more."""
    guest.wait_event()
    guest.send_raw(packet(READ, b"name\0", req_id=1))
    return guest.recv_message(), guest.connection


def test_first_event(flavour):
    """What the guest sends when it hears the first event is answered, as directly."""
    domids = range(5, 25)

    def scenario(host):
        found = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for domid in domids:
                waiting = []
                introduce(host, domid, lambda guest, waiting=waiting: (
                    late(guest), waiting.append(pool.submit(as_linux, guest))))
                found.append(waiting[0].result())
        return found

    found = same(flavour, scenario)
    assert found == [((READ, 1, 0, b"guest-%d" % domid), CONNECTED) for domid in domids]


def test_no_event_before(flavour):
    """It stands still from INTRODUCE on, so it hears nothing until it is connected."""
    with running(flavour) as host:
        assert ask(host.dom0, HOLD, 7) == b"OK\0"
        guest, _ = introduce(host, 7, late)
        with pytest.raises(xsclient.Timeout):
            guest.wait_event(timeout=0)
        host.proxy.kill()
        host.start_proxy()
        with pytest.raises(xsclient.Timeout):
            guest.wait_event(timeout=0)
        assert guest.connection == RECONNECT
        unquiesce(host.dom0, 7)
        assert as_linux(guest) == ((READ, 1, 0, b"guest-7"), CONNECTED)


def test_introduced_while_xsproxyd_is_away(flavour):
    """The toolstack waits for the next xsproxyd; the guest hears of it when all is ready."""
    with Host(flavour) as host, concurrent.futures.ThreadPoolExecutor(2) as pool:
        domain = host.sim.create(7)
        home(host.dom0, 7)
        guest = host.guest(7)
        late(guest)
        waiting = pool.submit(as_linux, guest)
        host.proxy.kill()
        introducing = pool.submit(host.dom0.introduce, 7, domain.gfn, domain.port)
        host.start_proxy()
        introducing.result()
        assert waiting.result() == ((READ, 1, 0, b"guest-7"), CONNECTED)
