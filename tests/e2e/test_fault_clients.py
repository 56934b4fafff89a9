# SPDX-License-Identifier: MIT
"""Toolstack clients that are killed: after any octet of a request, within a transaction or a
QUIESCE, and xsproxyctl at any step of an export and an import.

A request that is not whole has no effect, a whole one all of its effect or none; nothing is left
behind, and others never notice.
"""

import os
import queue
import signal
import subprocess

import pytest

import xensim
import xsclient
from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_STATE, HOLD, QUIESCE, RESET_DOMAIN,
                  START_DOMAIN_TRANSACTION, UNQUIESCE, add_watches, ask, quiesce, running,
                  tracked_transactions, tracked_watches, unquiesce)
from relay import FLAVOURS, introduce, packet, wait_until
from migration import FRESH, Tap, assert_imported, count_requests, ctl, reset, start_ctl, stream
from xsclient import RM, TRANSACTION_END, WATCH, WRITE, join

HOME = "/local/domain/7"
NODE = f"{HOME}/data/killed"
FORWARDED = ("write", "end", "introduce")

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def state(host):
    """What a request may change."""
    return (ask(host.dom0, GET_DOMAIN_STATE, 7), tracked_watches(host.dom0, 7),
            tracked_transactions(host.dom0, 7), host.dom0.exists(NODE),
            host.dom0.is_introduced(8))


def put_back(host):
    """The state before each case: quiesced, nothing there."""
    ask(host.dom0, QUIESCE, 7)
    ask(host.dom0, RESET_DOMAIN, 7)
    ask(host.dom0, xsclient.RELEASE, 8)
    ask(host.dom0, RM, NODE)


def cuts(length):
    """Every octet of the header and around the ends of the payload; some between them."""
    return sorted({*range(18), *range(18, length, 11), length - 1, length})


def descriptors(host):
    return len(os.listdir(f"/proc/{host.proxy.pid}/fd"))


@pytest.mark.parametrize("request_", ["write", "watch", "end", "quiesce", "unquiesce", "watches",
                                      "transaction", "introduce"])
def test_any_octet(flavour, request_):
    with running(flavour) as host:
        guest, other = host.add_guest(7), host.add_guest(9)
        coming = host.sim.create(8)
        xensim.home(host.dom0, 8)
        put_back(host)
        before, open_before = state(host), descriptors(host)
        tx = 0

        def octets():
            return {
                "write": packet(WRITE, join(NODE) + b"1", 1),
                "watch": packet(WATCH, join(HOME, "token"), 1),
                "end": packet(TRANSACTION_END, b"T\0", 1, tx),
                "quiesce": packet(QUIESCE, join(7), 1),
                "unquiesce": packet(UNQUIESCE, join(7), 1),
                "watches": packet(ADD_DOMAIN_WATCHES, join(7, "data", "a", "data/b", "b"), 1),
                "transaction": packet(START_DOMAIN_TRANSACTION, join(7, 5), 1),
                "introduce": packet(xsclient.INTRODUCE, join(8, coming.gfn, coming.port), 1),
            }[request_]

        for cut in cuts(len(octets())):
            with host.client() as client:
                client.directory("/")  # it was accepted, so its end will be seen
                if request_ == "end":
                    tx = client.start()
                    client.write(NODE, "1", tx=tx)
                client.send_raw(octets()[:cut])
            wait_until(lambda: descriptors(host) <= open_before)
            if cut < len(octets()):
                assert state(host) == before, cut
            else:
                # What is being taken back is so before the next one's turn.
                assert add_watches(host.dom0, 7, [("data", "probe")]) is None
                after = state(host)
                assert after[1].pop() == ("data", "probe")
                # All, or none; what goes to xenstored is carried out.
                changed = sum(a != b for a, b in zip(before, after))
                assert changed == 1 if request_ in FORWARDED else changed <= 1, (before, after)
                assert len(after[1]) in (0, 2) and after[2] in (set(), {5})
            put_back(host)
            assert state(host) == before
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"
        assert {event.token for event in guest.events} <= {"probe"}
        assert other.read("domid") == b"9"


def kill_at(host, tap, step, *args, octets=None):
    """xsproxyctl is killed when it has sent request number @step: whether it had ended before."""
    started = queue.SimpleQueue()
    open_before = descriptors(host)
    tap.requests.clear()
    tap.fault = lambda n, msg: started.get(timeout=xensim.TIMEOUT).kill() if n == step else None
    process = start_ctl(host, *args, "--socket", tap.path, stdin=subprocess.PIPE)
    started.put(process)
    _, errors = process.communicate(octets, timeout=xensim.TIMEOUT)
    assert process.returncode in (0, -signal.SIGKILL), errors
    # The last request comes after its end.
    wait_until(lambda: descriptors(host) <= open_before)
    return process.returncode == 0


def test_export_is_killed(flavour, tmp_path):
    """The domain runs or is quiesced, which the administrator sees; no file with the stream's name
    is there; the next export takes everything."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.wait_watch()
        tx = guest.start()
        path = tmp_path / "stream"
        steps = count_requests(host, "export", 7, "--keep")
        unquiesce(host.dom0, 7)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                assert not kill_at(host, tap, step, "export", 7, "--keep", "-o", path)
                assert not path.exists()
                assert ask(host.dom0, GET_DOMAIN_STATE, 7) in (b"running\0", b"quiesced\0")
                ctl(host, "export", 7, "-o", path, "--resume")
                path.unlink()
                # What was quiesced by the one that was killed stays so.
                ask(host.dom0, UNQUIESCE, 7)
                assert guest.read("domid") == b"7"
        assert tracked_watches(host.dom0, 7) == [("data", "token")]
        assert tracked_transactions(host.dom0, 7) == {tx}
        guest.end(tx)


def test_import_is_killed(flavour):
    """The domain stays held; RESET_DOMAIN takes back what there is, and the import can be made."""
    with running(flavour) as host:
        assert ask(host.dom0, HOLD, 7) == b"OK\0"
        guest, _ = introduce(host, 7)
        page = guest.page()
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                kill_at(host, tap, step, "import", 7, octets=octets)
                assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"held\0"
                assert ask(host.dom0, RESET_DOMAIN, 7) == b"OK\0"
                assert tracked_watches(host.dom0, 7) == []
                assert tracked_transactions(host.dom0, 7) == set()
                assert guest.page() == page
        ctl(host, "import", 7, input=octets)
        assert_imported(host)
        ask(host.dom0, UNQUIESCE, 7)
        assert guest.read("data/a/b") == b"deep"


def test_quiesce_of_one_that_is_killed_in_the_middle(flavour):
    """Its guest is within a request, so QUIESCE waits; whoever waits for it is gone."""
    half = packet(WRITE, join("data/long") + b"x" * 900, req_id=5)
    with running(flavour) as host:
        guest = host.add_guest(7)
        open_before = descriptors(host)
        for cut in (1, 500, len(half) - 1):
            guest.send_raw(half[:cut])
            with host.client() as client:
                client.directory("/")
                client.send(QUIESCE, join(7))
            wait_until(lambda: descriptors(host) <= open_before)
            guest.send_raw(half[cut:])
            assert guest.recv_reply().req_id == 5
        quiesce(host.dom0, 7)
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"
