# SPDX-License-Identifier: MIT
"""Dom0's own kernel talks over a ring, too: relayed by default, or left to xenstored by
XSPROXY_DOM0=0. The test plays the kernel."""

import signal

import pytest

from harness import BRIDGE, Host
from relay import FLAVOURS, RING, Tape, exchange, packet, pattern, same, wait_until
from xsclient import (CONTROL, DIRECTORY, INTRODUCE, IS_DOMAIN_INTRODUCED, READ, TRANSACTION_START,
                      WATCH, WRITE)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def start_unrelayed(host):
    """The daemon with the bridge told to leave dom0's ring alone."""
    host.daemon = host.sim.start_daemon(
        host.flavour, preloads=(BRIDGE,), socket=None,
        env={"XSPROXY_DIR": host.run_dir, "XSPROXY_DOM0": "0"})


def as_linux(host, kernel):
    """What Linux does in dom0: backends watch, read and write in transactions."""
    tape = Tape(kernel)
    for path in ("backend", "/local/domain/0/cpu", "@releaseDomain", "@introduceDomain"):
        tape.ok(WATCH, path, f"token {path}")
        tape.event(path)
    tx = tape.start()
    tape.ok(WRITE, payload=b"backend/vbd/7/0/state\0002", tx=tx)
    tape.ok(READ, "backend/vbd/7/0/state", tx=tx)
    tape.end(tx)
    tape.call(DIRECTORY, "backend/vbd/7")
    with host.client() as client:
        client.write("/local/domain/0/backend/vbd/7/0/state", "4")
    tape.event("backend/vbd/7/0/state")
    domain = host.sim.create(7)
    tape.ok(INTRODUCE, 7, domain.gfn, domain.port)
    tape.ok(IS_DOMAIN_INTRODUCED, 7)
    return tape.messages


def test_as_linux(flavour):
    def scenario(host):
        kernel = host.guest(0)
        kernel.wait_event()  # that xenstored is there
        return as_linux(host, kernel)

    same(flavour, scenario)


@pytest.mark.parametrize("eager", [False, True])
def test_large(flavour, eager):
    """Requests and replies beyond the ring's size, pipelined."""
    size = 3900 if flavour == "C" else 2000
    octets = b"".join(packet(WRITE, b"/tool/v\0" + pattern(size, i), i) +
                      packet(READ, b"/tool/v\0", 0) for i in range(40))
    messages = same(flavour, lambda host: exchange(host.guest(0), octets, 80, eager))
    assert [msg.payload for msg in messages[1::2]] == [pattern(size, i) for i in range(40)]


@pytest.mark.parametrize("relayed", [True, False])
def test_who_serves(flavour, relayed):
    """Who holds the other end of the kernel's event channel. Unrelayed, the kernel needs no
    xsproxyd at all, and guests are relayed all the same."""
    with Host(flavour, start=False) as host:
        if relayed:
            host.start_daemon()
        else:
            start_unrelayed(host)
        kernel = host.guest(0)
        if not relayed:
            Tape(kernel).ok(DIRECTORY, "/")
        host.start_proxy()
        Tape(kernel).ok(DIRECTORY, "/")
        server = host.proxy if relayed else host.daemon
        assert host.sim.list()[0]["bound_by"] == server.pid
        guest = host.add_guest(8)
        assert guest.read("name") == b"guest-8"
        assert host.sim.list()[8]["bound_by"] == host.proxy.pid
        messages = as_linux(host, kernel)
        assert messages[-1].payload == b"T\0"
        if not relayed:
            host.proxy.kill(signal.SIGTERM)
            Tape(kernel).ok(READ, "/local/domain/8/name")


def test_before_everybody(flavour):
    """The kernel's first request lies in the page before xenstored and xsproxyd start: it waits."""
    with Host(flavour, start=False) as host:
        kernel = host.guest(0)
        kernel.push(packet(DIRECTORY, b"/\0", 3))
        host.start_daemon()
        host.start_proxy()
        assert kernel.recv_message().req_id == 3
        host.dom0.write("/tool/x", "1")
        assert kernel.read("/tool/x") == b"1"


def test_restart(flavour):
    """Watches, transactions and waiting requests of the kernel survive xsproxyd's restart."""
    with Host(flavour) as host:
        kernel = host.guest(0)
        host.dom0.write("/tool/v", pattern(1800))
        kernel.watch("/tool/w", "t")
        assert kernel.wait_watch().path == "/tool/w"
        tx = kernel.start()
        kernel.write("/tool/in-tx", "1", tx=tx)
        kernel.push(packet(READ, b"/tool/v\0", 5) * 2)
        wait_until(lambda: kernel.rsp_prod - kernel.rsp_cons == RING)
        assert host.proxy.kill(signal.SIGTERM) == 0
        kernel.push(packet(TRANSACTION_START, b"\0", 6))
        host.start_proxy()
        assert [kernel.recv_reply().payload for _ in range(2)] == [pattern(1800)] * 2
        assert kernel.recv_reply().req_id == 6
        kernel.end(tx)
        with host.client() as client:
            assert client.read("/tool/in-tx") == b"1"
            client.write("/tool/w", "x")
        assert kernel.wait_watch().path == "/tool/w"


def test_toolstack_in_the_kernel(flavour):
    """xenstore-* tools fall back to /dev/xen/xenbus, so our requests come over this ring, too."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        tape = Tape(host.guest(0))
        assert b"data token" in tape.ok(CONTROL, "get-domain-watches", "7")
        assert tape.ok(CONTROL, "quiesce", "7") == b"OK\0"
        assert tape.ok(CONTROL, "unquiesce", "7") == b"OK\0"
        assert guest.read("name") == b"guest-7"


def test_daemon_comes_back(flavour):
    """The kernel outlives xenstored; its ring is taken up by the next one as it stands."""
    with Host(flavour) as host:
        kernel = host.guest(0)
        Tape(kernel).ok(DIRECTORY, "/")
        host.daemon.kill()
        host.sim.daemons.remove(host.daemon)
        kernel.push(packet(DIRECTORY, b"/\0", 3))
        host.start_daemon()
        assert kernel.recv_message().req_id == 3
