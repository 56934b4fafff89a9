# SPDX-License-Identifier: MIT
"""QUIESCE of a guest that does not read: events may wait, one of them in its ring in part, and it
gets each of them afterwards, in order; replies may not."""

import signal

import pytest

from control import Control
from migration import ctl
from ours import (GET_DOMAIN_STATE, QUIESCE, START_DOMAIN_TRANSACTION, ask, error_of, quiesce,
                  running, settle, unquiesce)
from relay import FLAVOURS, RING, introduce, wait_until
from xsclient import READ, WATCH_EVENT

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

EVENTS = 60


def watching(host):
    """A guest that has a watch, and reads nothing from now on."""
    guest, _ = introduce(host, 7)
    guest.watch("data", "token")
    assert guest.recv_message().type == WATCH_EVENT
    return guest


def change(host, first, count):
    """As many events for it; when this returns they have come to xsproxyd."""
    for number in range(first, first + count):
        host.dom0.write(f"/local/domain/7/data/{number:03}", "x")
    assert ask(host.dom0, START_DOMAIN_TRANSACTION, 7, 1000 + first) == b"OK\0"


def full(guest):
    return guest.rsp_prod - guest.rsp_cons == RING


def reads(guest, count, first=0):
    """It gets them all, each once, in order."""
    for number in range(first, first + count):
        event = guest.recv_message()
        assert (event.type, event.payload) == (
            WATCH_EVENT, f"data/{number:03}\0token\0".encode())
    assert guest.read("domid") == b"7"
    assert not guest.events


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_events_wait(flavour, how):
    """Those that came before it and those that come meanwhile, whatever becomes of xsproxyd."""
    with running(flavour) as host:
        guest = watching(host)
        change(host, 0, EVENTS)
        wait_until(lambda: full(guest))
        quiesce(host.dom0, 7)
        page = guest.page()
        change(host, EVENTS, EVENTS)
        if how:
            host.proxy.kill(how)
            host.start_proxy()
            host._dom0 = host.client()  # pylint: disable=protected-access
        change(host, 2 * EVENTS, EVENTS)
        with Control(host) as control:
            shown = control.run("domain", domid=7)
        assert shown["state"] == "quiesced"
        assert 2 * EVENTS < shown["events"] < 3 * EVENTS
        assert shown["queued"] > 25 * shown["events"]
        assert shown["replies"] == 0
        settle(host)
        assert guest.page() == page
        unquiesce(host.dom0, 7)
        reads(guest, 3 * EVENTS)


def test_a_planned_stop_waits_for_nobody(flavour):
    """Events that a guest does not read are the next xsproxyd's."""
    with running(flavour) as host:
        guest = watching(host)
        change(host, 0, EVENTS)
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert "do not read" not in host.proxy.text()
        host.start_proxy()
        reads(guest, EVENTS)


def test_a_guest_that_reads(flavour):
    """It is left at the boundary of an event."""
    with running(flavour) as host:
        guest = watching(host)
        change(host, 0, EVENTS)
        wait_until(lambda: full(guest))
        asker = host.client()
        asker.send(QUIESCE, b"7\0")
        settle(host)
        events = [guest.recv_message()]
        assert asker.recv_reply().payload == b"OK\0"
        while guest.rsp_prod != guest.rsp_cons:
            events.append(guest.recv_message())
        assert all(event.type == WATCH_EVENT for event in events)
        assert len(events) < EVENTS
        unquiesce(host.dom0, 7)
        events += [guest.recv_message() for _ in range(EVENTS - len(events))]
        assert [event.payload[:8] for event in events] == (
            [f"data/{number:03}".encode() for number in range(EVENTS)])


def test_export(flavour, tmp_path):
    """The rest of an event has no place in a stream; without one it can be exported."""
    with running(flavour) as host:
        guest = watching(host)
        change(host, 0, EVENTS)
        wait_until(lambda: full(guest))
        message = ctl(host, "export", 7, "-o", tmp_path / "stream", status=1)
        assert "its ring holds a part of an event, octets that are to follow: " in message
        assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"running\0"
        reads(guest, EVENTS)
        # None of those that wait is in the ring in part.
        quiesce(host.dom0, 7)
        change(host, EVENTS, EVENTS)
        ctl(host, "export", 7, "-o", tmp_path / "stream")
        unquiesce(host.dom0, 7)
        reads(guest, EVENTS, EVENTS)


@pytest.mark.parametrize("where", ["behind events", "in part"])
def test_replies_may_not_wait(flavour, where):
    with running(flavour) as host:
        guest = watching(host)
        if where == "in part":
            host.dom0.write("/local/domain/7/large", "v" * 2000)
            host.dom0.set_perms("/local/domain/7/large", "n7")
            guest.send(READ, b"large\0", req_id=77)
        else:
            change(host, 0, EVENTS)
            guest.send(READ, b"domid\0", req_id=77)
        wait_until(lambda: full(guest))
        assert ask(host.dom0, QUIESCE, 7) == "EBUSY"
        with Control(host) as control:
            assert control.run("domain", domid=7)["replies"] == 1
        msg = guest.recv_reply()
        assert msg.req_id == 77 and not error_of(msg)
        quiesce(host.dom0, 7)
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"
