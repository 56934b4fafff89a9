# SPDX-License-Identifier: MIT
"""From the last release to this one under load, and back. The running xenstored keeps its bridge;
whichever xsproxyd comes serves it, takes over what the other left, and stands by for nothing."""

import json
import signal
import subprocess

import pytest

import built
import xsclient
from control import Control
from harness import BUILD, Host
from ours import quiesce, tracked_transactions, tracked_watches, unquiesce
from relay import FLAVOURS, wait_until
from stress import Frozen, Load, all_go_on, nothing_is_left, restart
from xensim import XEN_VERSION

GUESTS = 12
ROUNDS = 3
ARCHIVE, = (built.ROOT / "tests/releases").glob("xsproxy-*.tar.xz")
ITS_XEN = (built.ROOT / "tests/releases/xen").read_text(encoding="ascii").strip()

pytestmark = pytest.mark.skipif(XEN_VERSION != ITS_XEN, reason=f"it was for Xen {ITS_XEN}")

OLD = f"release/{ARCHIVE.name.removesuffix('.tar.xz')}/build/xsproxyd"


@pytest.fixture(name="old_host", params=FLAVOURS)
def an_old_host(request):
    """As the last release started it."""
    bridge = built.need(OLD).parent / "libxsproxy-bridge.so"
    # The package stops the keeper before a version that knows none.
    with Host(request.param, start=False, bridge=bridge, keeper=False) as host:
        host.start_daemon()
        host.start_proxy(program=OLD)
        yield host
        host.check()


def version(host):
    with Control(host) as control:
        return control.run("status")["version"]


def new_status(host):
    """As soon as it has found the bridge."""
    def running():
        status = status_now(host)
        return status if status["state"] == "running" else None
    return wait_until(running)


def status_now(host):
    done = subprocess.run([BUILD / "xsproxyctl", "status", "--json", "--control",
                           host.run_dir / "control"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_upgrade_and_back_under_load(old_host, sig):
    host = old_host
    load = Load(host, range(1, GUESTS + 1))
    try:
        frozen = Frozen(host, 100)
        old = version(host)
        for _ in range(ROUNDS):
            restart(host, sig)
            assert version(host) != old
            assert "0.1" in new_status(host)["bridge_lacks"]
            all_go_on(host, load)
            frozen.check()
            restart(host, sig, program=OLD)
            assert version(host) == old
            all_go_on(host, load)
            frozen.check()
            assert load.all_alive(), load.end()
        restart(host, sig)
        load.end()
    finally:
        load.kill()
    nothing_is_left(host, load.processes)
    frozen.thaw(host, 100)


@pytest.mark.long
def test_all_that_there_is_goes_over(old_host):
    """Watches, transactions, a quiesced domain, holds, half a request: there and back again."""
    host = old_host
    guest, quiet = host.add_guest(7), host.add_guest(8)
    payload = b"data/half\0" + b"x" * 2000
    half = xsclient.HEADER.pack(xsclient.WRITE, 3, 0, len(payload)) + payload
    held = host.sim.create(9)
    with Control(host) as control:
        control.run("hold", domid=9)
    quiesce(host.dom0, 8)
    guest.send_raw(half[:700])
    for number, program in enumerate(["xsproxyd", OLD] * 2):
        restart(host, signal.SIGTERM, program=program)
        guest.send_raw(half[700:])
        assert guest.recv_reply().req_id == 3
        guest.watch("data", f"token{number}")
        tx = guest.start()
        assert len(tracked_watches(host.client(), 7)) == number + 1
        assert len(tracked_transactions(host.client(), 7)) == number + 1
        guest.write("data/x", number, tx=tx)
        guest.send_raw(half[:700])
        with Control(host) as control:
            assert control.state(8) == "quiesced"
            assert control.state(9) == "held"
    client = host.client()
    unquiesce(client, 8)
    assert quiet.read("domid") == b"8"
    client.introduce(9, held.gfn, held.port)
    with Control(host) as control:
        assert control.state(9) == "held"


def test_domains_come_and_go_before_the_old_bridge(old_host):
    """A new xsproxyd makes, keeps and forgets ledgers where the old one looks for them."""
    host = old_host
    restart(host, signal.SIGTERM)
    for domid in (20, 21, 22):
        host.add_guest(domid).watch("data", f"of-{domid}")
    host.sim.destroy(21)
    client = host.client()
    wait_until(lambda: not client.is_introduced(21))
    again = host.sim.add_guest(client, 21)
    assert again.read("domid") == b"21"
    again.close()
    restart(host, signal.SIGKILL, program=OLD)
    client = host.client()
    assert tracked_watches(client, 20) == [("data", "of-20")]
    assert tracked_watches(client, 21) == []
    assert tracked_watches(client, 22) == [("data", "of-22")]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_old_one_stands_by_for_the_new_bridge(flavour):
    """What it does not know it leaves alone, and says so; guests wait and lose nothing."""
    with Host(flavour, keeper=False) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.wait_watch()
        restart(host, signal.SIGTERM, program=built.need(OLD), until="STATUS=")
        assert "of another version" in host.status
        guest.send(xsclient.READ, b"domid\0", req_id=5)
        restart(host, signal.SIGTERM)
        assert guest.recv_reply().req_id == 5
        assert tracked_watches(host.client(), 7) == [("data", "token")]
        host.check()
