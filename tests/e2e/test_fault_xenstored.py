# SPDX-License-Identifier: MIT
"""xenstored is killed: guests are held, their pages stay whole, the administrator is told at once,
and when the next xenstored comes, of which domains it does not know."""

import json
import subprocess

import pytest

import xensim
from control import Control
from harness import BUILD, NO_MIRROR, Host
from ours import QUIESCE, ask
from relay import FLAVOURS, give_up, introduce, packet, wait_until
from xensim import home
from xsclient import READ, WRITE

GONE = "the bridge in xenstored is gone (it ended); guests are held until"
UNKNOWN = "does not know domains that the one before it knew"
HALF = packet(WRITE, b"data/long\0" + b"x" * 900, req_id=5)


def status(host, *args):
    done = subprocess.run([BUILD / "xsproxyctl", "status", "--control", host.run_dir / "control",
                           *args], capture_output=True, text=True, timeout=xensim.TIMEOUT,
                          check=True)
    return done.stdout


def page_of(guest):
    assert guest.error == 0 and guest.connection == 0
    return guest.page()


def busy_guests(host):
    """One in the middle of a request, one that does not read, one that is quiesced."""
    guests, domains = zip(*(introduce(host, domid) for domid in (7, 8, 10)))
    half, unread, quiet = guests
    half.send_raw(HALF[:500])
    unread.watch("data", "token")
    for _ in range(30):
        host.dom0.write("/local/domain/8/data/x", "1" * 40)
        unread.send(READ, b"domid\0")
    assert ask(host.dom0, QUIESCE, 10) == b"OK\0"
    quiet.send(READ, b"domid\0", req_id=7)
    wait_until(lambda: half.req_cons == half.req_prod)
    return guests, domains


@pytest.mark.parametrize("after", FLAVOURS)
@pytest.mark.parametrize("before", FLAVOURS)
def test_killed(before, after):
    with Host(before, config=NO_MIRROR) as host:
        guests, domains = busy_guests(host)
        host.daemon.kill()
        wait_until(lambda: GONE in host.proxy.text())
        with Control(host) as control:
            # As soon as the log has it.
            said = control.run("status")
            assert (said["state"], said["xenstored"], said["domains"]) == ("waiting", None, 0)
            assert said["unknown_domains"] == [0, 7, 8, 10]
            assert "none with the bridge; guests" in status(host)
            assert "unknown     0 7 8 10; xenstored ended" in status(host)
            assert json.loads(status(host, "--json"))["unknown_domains"] == [0, 7, 8, 10]

            # Nobody is there to read this, nor to say that it cannot be read.
            guests[0].push(HALF[500:] + packet(READ, b"domid\0", req_id=6))
            pages = [page_of(guest) for guest in guests]
            held = host.client()
            held.send(READ, b"/\0", req_id=9)
            control.wait(lambda said: said["clients"] >= 1, "status")
            assert UNKNOWN not in host.proxy.text()

            host.sim.daemons.remove(host.daemon)
            host.flavour = after
            host.start_daemon()
            assert held.recv_reply().req_id == 9
            assert f"{UNKNOWN}; they are held until they are introduced again: 7-8, 10\n" in (
                host.proxy.text())
            assert host.proxy.text().count(UNKNOWN) == 1
            assert control.run("status")["unknown_domains"] == [7, 8, 10]
            assert [page_of(guest) for guest in guests] == pages

            # Which is how one comes back, and the others do not mind.
            home(held, 10)
            held.introduce(10, domains[2].gfn, domains[2].port)
            assert guests[2].recv_reply().req_id == 7
            assert control.run("status")["unknown_domains"] == [7, 8]
            assert "unknown     7 8;" in status(host)
            assert [page_of(guest) for guest in guests[:2]] == pages[:2]
        host.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_given_up_by_xenstored(flavour):
    """xsproxyd does not answer the bridge in time: it is killed, the next one takes up all that
    sessions had, and the late INTRODUCE is as good as any."""
    with Host(flavour) as host:
        guests, _ = busy_guests(host)
        late = host.sim.create(12)
        home(host.dom0, 12)
        give_up(host, 12, late)
        assert UNKNOWN not in host.proxy.text()
        half, unread, quiet = guests
        half.send_raw(HALF[500:])
        assert half.recv_reply().req_id == 5
        for _ in range(30):
            assert unread.recv_reply().payload == b"8"
        assert len(unread.events) >= 2
        assert ask(host.client(), QUIESCE, 10) == b"OK\0"
        assert host.guest(12).read("domid") == b"12"
        with Control(host) as control:
            assert control.run("status")["unknown_domains"] == []
            assert control.state(10) == "quiesced"
        host.check()
