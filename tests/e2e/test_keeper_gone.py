# SPDX-License-Identifier: MIT
"""Without a keeper all is as it was before there was one; with one that comes late, stands still or
ends, clients are kept from the moment on when it has them."""

import contextlib
import re
import signal
import socket

import pytest

import xsclient
from control import Control
from harness import Host
from ours import GET_DOMAIN_STATE, QUIESCE, ask, running
from relay import FLAVOURS, descriptors, packet, wait_until
from stress import restart
from test_users import LET_IN, ME, client_of
from xsclient import DIRECTORY, READ

NONE = "there is no keeper at "
BACK = "connected to the keeper"
GONE = "the keeper is gone ("


@pytest.fixture(name="flavour", params=FLAVOURS)
def each_flavour(request):
    return request.param


def assert_closed(client):
    with pytest.raises((xsclient.Closed, ConnectionResetError)):
        client.recv()


def said(host, words):
    return host.proxy.text().count(words)


def works(client):
    client.send(DIRECTORY, b"/\0", req_id=5)
    return client.recv_reply()[:2] == (DIRECTORY, 5)


# --- none

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_without_one_a_restart_closes(flavour, sig):
    """What was asked before a planned one is answered first (test_stop.py)."""
    with running(flavour, keeper=False) as host:
        client = host.client()
        assert works(client)
        restart(host, sig)
        assert_closed(client)
        assert works(host.client())
        lines = [line for line in host.proxy.text().splitlines() if NONE in line]
        assert len(lines) == 2  # once a start
        assert "a restart of xsproxyd closes toolstacks' connections" in lines[0]
        assert "start xsproxy-keeper" in lines[0]


def test_one_that_comes_later_keeps_from_then_on(flavour):
    with running(flavour, keeper=False) as host:
        client = host.client()
        client.watch("/kept", "token")
        client.wait_event()
        tx = client.start()
        host.start_keeper()
        wait_until(lambda: said(host, BACK))
        restart(host, signal.SIGKILL)
        client.write("/kept/x", "1", tx=tx)
        client.end(tx)
        assert client.wait_event() == ("/kept/x", "token")
        assert works(host.dom0)
        assert said(host, NONE) == 1


def test_one_that_waits_for_xenstored_is_kept_by_it_too(flavour):
    with Host(flavour, start=False, keeper=False) as host:
        host.start_proxy()
        client = host.client()
        client.send(DIRECTORY, b"/\0", req_id=5)
        host.start_keeper()
        wait_until(lambda: said(host, BACK))
        restart(host, signal.SIGKILL)
        host.start_daemon()
        assert client.recv()[:2] == (DIRECTORY, 5)


# --- one that ends

def test_it_is_killed_and_xsproxyd_too(flavour):
    """Both at once: nobody has the connections any more, and who connects then is served."""
    with running(flavour) as host:
        client = host.client()
        assert works(client)
        host.keeper.kill()
        restart(host, signal.SIGKILL)
        assert_closed(client)
        again = host.client()
        assert works(again)
        before = said(host, BACK)
        host.start_keeper()
        wait_until(lambda: said(host, BACK) > before)
        restart(host, signal.SIGKILL)
        assert works(again)


def test_it_is_killed_again_and_again(flavour):
    with running(flavour) as host:
        clients = [host.client() for _ in range(20)]
        for client in clients:
            client.watch("/again", "token")
            client.wait_event()
        for i in range(5):
            before = said(host, BACK)
            host.keeper.kill()
            host.dom0.mkdir(f"/again/{i}")
            host.start_keeper()
            wait_until(lambda seen=before: said(host, BACK) > seen)
            for client in clients:
                assert client.wait_event() == (f"/again/{i}", "token")
        restart(host, signal.SIGKILL)
        assert all(works(client) for client in clients)
        assert said(host, GONE) == 5


def test_both_are_restarted_one_after_the_other(flavour):
    """By somebody in a hurry, or by what restarts all that uses a library that is new."""
    with running(flavour) as host:
        client = host.client()
        assert works(client)
        for _ in range(3):
            before = said(host, GONE)
            host.keeper.kill()
            wait_until(lambda seen=before: said(host, GONE) > seen)
            host.start_keeper()
            restart(host, signal.SIGTERM)
            assert works(client) and works(host.dom0)


# --- one that stands still

def test_it_stands_still(flavour):
    """Nobody waits for it; it is given up, and filled anew when it goes on."""
    with running(flavour) as host:
        kept = host.client()
        assert works(kept)
        host.keeper.process.send_signal(signal.SIGSTOP)
        for _ in range(300):  # more packets than its socket holds
            with xsclient.Client(host.socket, timeout=1.5) as client:
                assert works(client)
        wait_until(lambda: said(host, GONE + "it stands still"))
        assert works(kept)
        before = said(host, BACK)
        host.keeper.process.send_signal(signal.SIGCONT)
        wait_until(lambda: said(host, BACK) > before)
        wait_until(lambda: kept_sockets(host) == 4)  # dom0's and that one's, two each
        restart(host, signal.SIGKILL)
        assert works(kept) and works(host.dom0)


def kept_sockets(host):
    """The connections that the keeper holds: all sockets, but its own two and the listener."""
    return sum(name.startswith("socket:") for name in descriptors(host.keeper).values()) - 3


def call_all_of(path):
    """Connections to @path until nobody else can wait to be accepted there."""
    callers = []
    with contextlib.suppress(BlockingIOError):
        while True:
            callers.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            callers[-1].setblocking(False)
            callers[-1].connect(str(path))
    return callers


def test_one_that_was_given_up_knows_too_little(flavour):
    """It was told of a client that waits, and not that it has a session since: whoever took that
    for a new one would begin in the middle of its stream."""
    with Host(flavour, start=False) as host:
        host.start_proxy()
        client = host.client()
        wait_until(lambda: kept_sockets(host) == 1)
        host.keeper.process.send_signal(signal.SIGSTOP)
        callers = call_all_of(host.run_dir / "keeper")  # so that xsproxyd cannot tell it anew
        others = [host.client() for _ in range(300)]  # more packets than its socket holds
        host.start_daemon()
        assert works(client)
        wait_until(lambda: said(host, GONE + "it stands still"))
        client.send_raw(packet(READ, b"/\0")[:9])  # the rest never comes: in the middle of one
        for other in others:
            other.close()
        assert works(host.client())
        host.proxy.kill()
        for caller in callers:
            caller.close()
        host.keeper.process.send_signal(signal.SIGCONT)
        host.start_proxy()
        assert_closed(client)
        host.daemon.kill()


def test_it_stands_still_when_xsproxyd_starts(flavour):
    """It waits for a moment, and then goes on without."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        host.keeper.process.send_signal(signal.SIGSTOP)
        try:
            restart(host, signal.SIGKILL)
            assert guest.read("domid") == b"7"
            assert works(host.client())
        finally:
            host.keeper.process.send_signal(signal.SIGCONT)
        wait_until(lambda: said(host, BACK))
        client = host.client()
        assert works(client)
        restart(host, signal.SIGKILL)
        assert works(client)


# --- who they are

def test_who_it_is_stays_known(flavour):
    """Also of one that has no process any more, for it was asked when it connected."""
    with running(flavour, config=LET_IN) as host:
        host.add_guest(7)
        client = client_of(host)
        assert ask(client, GET_DOMAIN_STATE, 7) == b"running\0"
        for sig in (signal.SIGTERM, signal.SIGKILL):
            restart(host, sig)
            before = said(host, "refused")
            assert ask(client, QUIESCE, 7) == "EACCES"
            refused = [line for line in host.proxy.text().splitlines() if "refused" in line]
            (line,) = refused[before:]
            assert f"QUIESCE of {ME} was refused with EACCES" in line
        assert ask(host.dom0, QUIESCE, 7) == b"OK\0"


def test_whose_user_is_not_listed_any_more_is_closed(flavour):
    with running(flavour, config=LET_IN) as host:
        client, root = client_of(host), host.client()
        assert works(client) and works(root)
        host.config = "[socket]\nmode = 0660\ngroup = nogroup\n"
        restart(host, signal.SIGTERM)
        assert_closed(client)
        assert works(root)
        assert (f"closed the connection of {ME} to the Xenstore socket: [socket] users does not "
                "list its user any more") in host.proxy.text()


def test_whose_user_is_not_listed_any_more_waits_no_longer(flavour):
    """Nor is one let in that had not been when xenstored was not there yet."""
    with Host(flavour, start=False, config=LET_IN) as host:
        host.start_proxy()
        client, root = client_of(host), host.client()
        with Control(host) as control:
            control.wait(lambda status: status["clients_kept"] == 2, "status")
        host.config = "[socket]\nmode = 0660\ngroup = nogroup\n"
        restart(host, signal.SIGTERM)
        assert_closed(client)
        host.start_daemon()
        assert works(root)
        assert (f"closed the connection of {ME} to the Xenstore socket: [socket] users does not "
                "list its user any more") in host.proxy.text()


def test_what_stands_still_says_since_when_and_for_whom(flavour):
    with running(flavour) as host:
        host.add_guest(7)
        ask(host.dom0, QUIESCE, 7)
        with Control(host) as control:
            before = control.run("domain", domid=7)
        restart(host, signal.SIGKILL)
        assert works(host.dom0)
        with Control(host) as control:
            after = control.run("domain", domid=7)
        assert {key: after[key] for key in after if re.search("since|by", key)} == \
            {key: before[key] for key in before if re.search("since|by", key)}
