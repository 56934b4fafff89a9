# SPDX-License-Identifier: MIT
"""A planned end (SIGTERM, as `systemctl restart` sends it) without a keeper: what toolstack clients
have asked is answered first, but nobody is waited for without bound, and a QUIESCE that waits is
carried out or not, never half. With one nobody notices: test_keeper*.py."""

import contextlib
import signal
import socket

import pytest

import xsclient
from control import Control
from harness import Host
from ours import QUIESCE, running, settle, tracked_transactions, unquiesce
from relay import FLAVOURS, packet, wait_until
from service import proxy_on
from xsclient import DIRECTORY, READ, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

CLIENTS = 12
REQUESTS = 20
LATE = "toolstack clients that are not answered in time or do not read: "
HALF = packet(WRITE, b"data/half\0" + b"x" * 100, req_id=5)


def begin_to_end(host, *meanwhile):
    """Have it find SIGTERM, and all that is done @meanwhile, in one wake-up."""
    host.proxy.ended = True
    host.proxy.process.send_signal(signal.SIGSTOP)
    for do in meanwhile:
        do()
    host.proxy.process.send_signal(signal.SIGTERM)
    host.proxy.process.send_signal(signal.SIGCONT)


def ending(host):
    """It has begun to end."""
    wait_until(lambda: "ending on signal" in host.proxy.text())


def ask_much(client):
    for req_id in range(1, REQUESTS + 1):
        client.send(READ, b"/data\0", req_id=req_id)


def assert_all_answered(client):
    """Every request, in order."""
    for req_id in range(1, REQUESTS + 1):
        assert client.recv() == (READ, req_id, 0, b"x" * 500)


def assert_closed(client):
    with pytest.raises((xsclient.Closed, ConnectionResetError)):
        client.recv()


# --- requests in flight

def test_what_was_asked_is_answered(flavour):
    """Sent before the end begins, be it by clients that are not even accepted yet."""
    with running(flavour, keeper=False) as host:
        host.dom0.write("/data", "x" * 500)
        clients = [host.client() for _ in range(CLIENTS)]
        for client in clients:
            client.directory("/")

        def ask():
            clients.extend(host.client() for _ in range(CLIENTS))
            for client in clients:
                ask_much(client)

        begin_to_end(host, ask)
        for client in clients:
            assert_all_answered(client)
            assert_closed(client)
        assert host.proxy.wait() == 0
        assert LATE not in host.proxy.text()
        # Nobody has to guess whether this one was carried out.
        with pytest.raises(BrokenPipeError):
            clients[0].send(DIRECTORY, b"/\0")
        host.start_proxy()


def test_a_write_is_done_once(flavour):
    """Answered and carried out, by this xsproxyd and not again by the next."""
    with running(flavour, keeper=False) as host:
        for number in range(10):
            client = host.client()
            client.mkdir("/counted")
            begin_to_end(host, lambda client=client: client.send(xsclient.RM, b"/counted\0"))
            assert client.recv().payload == b"OK\0"
            assert_closed(client)
            assert host.proxy.wait() == 0
            host.start_proxy()
            assert not host.client().exists("/counted"), number


def test_systemds_socket(flavour):
    """Who is not accepted in time is served by the next xsproxyd."""
    with (Host(flavour, start=False, keeper=False) as host,
          socket.socket(socket.AF_UNIX) as listener):
        host.start_daemon()
        listener.bind(str(host.socket))
        listener.listen(64)
        with proxy_on(host, listener) as notify:
            notify.wait("READY=1")
            early, late = [host.client() for _ in range(CLIENTS)], []
            early[0].write("/data", "x" * 500)
            for client in early:
                client.directory("/")

            def ask():
                late.extend(host.client() for _ in range(CLIENTS))
                for client in early + late:
                    ask_much(client)

            begin_to_end(host, ask)
            for client in early:
                assert_all_answered(client)
                assert_closed(client)
            assert host.proxy.wait() == 0
        with proxy_on(host, listener):
            for client in late:
                assert_all_answered(client)
            host.check()
            host.proxy.stop()


# --- who is not waited for

def test_idle_clients_and_open_transactions(flavour):
    with running(flavour, keeper=False) as host:
        clients = [host.client() for _ in range(CLIENTS)]
        for client in clients:
            tx = client.start()
            client.write("/uncommitted", "x", tx=tx)
            client.watch("/", "token")
        with contextlib.suppress(BrokenPipeError):
            clients[0].send_raw(packet(READ, b"/data\0")[:10])
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert LATE not in host.proxy.text()
        host.start_proxy()
        client = host.client()
        assert not client.exists("/uncommitted")
        assert tracked_transactions(client, 0) == set()


def test_a_client_that_does_not_read(flavour):
    with running(flavour, keeper=False) as host:
        guest = host.add_guest(7)
        host.dom0.write("/data", "x" * 2000)
        client = host.client()
        client.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.sock.sendall(packet(READ, b"/data\0"))
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert f"{LATE}1;" in host.proxy.text()
        host.start_proxy()
        assert guest.read("domid") == b"7"


# --- a QUIESCE that waits

def quiesce_waits(host):
    """A guest within a request, and a client whose QUIESCE waits for it."""
    guest = host.add_guest(7)
    guest.send_raw(HALF[:40])
    client = host.client()
    client.send(QUIESCE, join(7))
    # Clients are accepted in order, and each one's request is taken with the first look at it.
    host.client().directory("/")
    settle(host)
    return guest, client


def outcome(client):
    """What the client learned: the payload of the reply, or None."""
    try:
        return client.recv().payload
    except (xsclient.Closed, ConnectionResetError):
        return None


def state_after(host, domid=7):
    """How the next xsproxyd finds the domain."""
    host.start_proxy()
    host._dom0 = host.client()  # pylint: disable=protected-access
    host.dom0.directory("/")
    with Control(host) as control:
        return control.state(domid)


def goes_on(host, guest, rest=b""):
    """Whatever it was: the guest's request is answered, once."""
    unquiesce(host.dom0, 7)
    guest.send_raw(rest)
    assert guest.recv_reply() == (WRITE, 5, 0, b"OK\0")
    assert guest.read("data/half") == b"x" * 100


def test_quiesce_that_cannot_be_done(flavour):
    """The guest does not finish its request: it runs on, and nobody is told otherwise."""
    with running(flavour, keeper=False) as host:
        guest, client = quiesce_waits(host)
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert outcome(client) in (None, b"EBUSY\0")
        assert state_after(host) == "running"
        goes_on(host, guest, HALF[40:])


def test_quiesce_that_is_done_meanwhile(flavour):
    """The guest finishes while xsproxyd ends; if that was in time, it is told so and it is so."""
    with running(flavour, keeper=False) as host:
        guest, client = quiesce_waits(host)
        begin_to_end(host)
        ending(host)
        guest.send_raw(HALF[40:])
        said = outcome(client)
        assert host.proxy.wait() == 0
        assert (said, state_after(host)) in (
            (b"OK\0", "quiesced"), (b"EBUSY\0", "running"), (None, "running"))
        goes_on(host, guest)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_quiesce_at_any_moment(flavour, sig):
    """The domain runs, or it stands still; who was told that it stands still was told the truth."""
    with running(flavour, keeper=False) as host:
        guest = host.add_guest(7)
        for i in range(25):
            for req_id in range(5):
                guest.send(READ, b"domid\0", req_id=req_id)
            client = host.client()
            client.send(QUIESCE, join(7))
            for _ in range(i % 5):
                host.dom0.directory("/")
            host.proxy.kill(sig)
            said, state = outcome(client), state_after(host)
            if said == b"OK\0":
                assert state == "quiesced"
            else:
                assert said is None
                assert state == "running" or sig == signal.SIGKILL and state == "quiesced"
            unquiesce(host.dom0, 7)
            assert [guest.recv_reply().req_id for _ in range(5)] == list(range(5))


@pytest.mark.parametrize("lease", [False, True])
def test_quiesce_by_the_control_socket(flavour, lease):
    """Its connection ends, and the domain runs on."""
    with running(flavour, keeper=False) as host:
        guest = host.add_guest(7)
        guest.send_raw(HALF[:40])
        with Control(host) as control:
            control.send("quiesce", domid=7, lease=lease)
            begin_to_end(host)
            assert control.ended()
        assert host.proxy.wait() == 0
        assert state_after(host) == "running"
        goes_on(host, guest, HALF[40:])
