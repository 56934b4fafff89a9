# SPDX-License-Identifier: MIT
"""However xsproxyd ends and comes again, toolstack clients find nothing out: no reply is lost or
doubled, watches fire once, transactions stay open."""

import contextlib
import itertools
import pathlib
import random
import signal
import socket

import pytest

import built
import xensim
import xsclient
from control import Control
from harness import NO_MIRROR, Host
from ours import running
from relay import FLAVOURS, packet, wait_until
from seed import SEED
from service import proxy_on
from stress import restart
from test_config_wrong import ctl
from toolstack_load import Toolstack
from xsclient import DIRECTORY, READ, WATCH_EVENT, WRITE, join

HOME = "/tools"
CRASHES_FOR = 66  # the domain that tests/kill/crash.c crashes for


class Tool:
    """A client in the middle of all it can be in the middle of."""

    numbers = itertools.count()
    asks = 20  # whole requests

    def __init__(self, host):
        self.home = f"{HOME}/{next(self.numbers)}"
        self.host = host
        self.client = host.client()
        self.client.write(f"{self.home}/value", "v" * 1500)
        self.client.watch(self.home, "token")
        assert self.client.wait_event() == (self.home, "token")
        # Where nobody else does anything, or it would end in EAGAIN.
        self.inner = self.home.replace(HOME, "/transactions", 1)
        self.client.mkdir(self.inner)
        self.client.watch(self.inner, "inner")
        assert self.client.wait_event() == (self.inner, "inner")
        self.tx = self.client.start()
        self.client.write(f"{self.inner}/tx", "in it", tx=self.tx)
        self.rounds = 0

    def ask(self):
        """Leave much unread, and half a request behind."""
        for req_id in range(self.asks):
            self.client.send(READ, join(f"{self.home}/value"), req_id=100 + req_id)
        self.client.send_raw(self._last()[:20])

    def _last(self):
        return packet(READ, join(f"{self.home}/value"), req_id=100 + self.asks)

    def check(self):
        """All that was asked is answered, once; the watch fires once; the transaction is open."""
        self.client.send_raw(self._last()[20:])
        for req_id in range(self.asks + 1):
            assert self.client.recv() == (READ, 100 + req_id, 0, b"v" * 1500)
        self.rounds += 1
        self.host.dom0.write(f"{self.home}/seen", self.rounds)
        assert self.client.wait_event() == (f"{self.home}/seen", "token")
        self.client.write(f"{self.inner}/tx", self.rounds, tx=self.tx)
        assert self.client.read(f"{self.inner}/tx", tx=self.tx) == str(self.rounds).encode()
        assert not self.client.exists(f"{self.inner}/tx")
        self.client.mkdir("/tools/barrier")
        assert not self.client.events

    def end(self):
        self.client.end(self.tx)
        assert self.client.wait_event() == (f"{self.inner}/tx", "inner")
        assert self.client.read(f"{self.inner}/tx") == str(self.rounds).encode()
        self.client.unwatch(self.home, "token")
        with pytest.raises(xsclient.XsError, match="ENOENT"):
            self.client.unwatch(self.home, "token")


# --- one way each that xsproxyd can end, and come again

def terminated(host):
    restart(host, signal.SIGTERM)


def killed(host):
    restart(host, signal.SIGKILL)


def sleeps(process):
    """All has been done that there was to do: it has nothing else to wait for."""
    stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return stat.rsplit(")", 1)[1].split()[0] == "S"


def crashed(host):
    """While it serves nobody: whose turn it is twice is closed (test_crash.py)."""
    wait_until(lambda: sleeps(host.proxy))
    restart(host, signal.SIGSEGV)


def away_for_a_while(host):
    """Whoever asks meanwhile waits, and so does who comes."""
    host.proxy.kill(signal.SIGTERM)
    host.dom0.send(WRITE, join(f"{HOME}/meanwhile") + b"1", req_id=77)
    late = host.client()
    late.send(READ, join(f"{HOME}/meanwhile"), req_id=78)
    with pytest.raises(xsclient.Timeout):
        late.recv(0.1)
    host.start_proxy()
    assert host.dom0.recv_reply().req_id == 77
    assert late.recv_reply()[:2] in ((READ, 78), (xsclient.ERROR, 78))
    late.close()


def start_that_fails(host, program, *args):
    host.start_proxy(*args, program=program, wait=False)
    host.proxy.ended = True
    assert host.proxy.wait() not in (0, -signal.SIGKILL)


def not_started_at_first(host):
    host.proxy.kill(signal.SIGTERM)
    start_that_fails(host, "/bin/false")
    # One that has got as far as taking over all that there is.
    host.run_dir.joinpath("control.new").mkdir(exist_ok=True)
    blocked = host.run_dir / "blocked"
    blocked.mkdir(exist_ok=True)
    blocked.joinpath("x").touch()
    start_that_fails(host, "xsproxyd", "--control", str(blocked))
    host.start_proxy()


def another_build_and_back(host):
    restart(host, signal.SIGTERM, program=built.need("other/xsproxyd"))
    host.dom0.directory("/")
    restart(host, signal.SIGKILL)


def wait_kept(host, before):
    wait_until(lambda: host.proxy.text().count("connected to the keeper") > before)


def keeper_ends(host):
    """It is filled anew before xsproxyd ends, too."""
    before = host.proxy.text().count("connected to the keeper")
    host.keeper.kill()
    host.start_keeper()
    wait_kept(host, before)
    killed(host)


WAYS = (terminated, killed, crashed, away_for_a_while, not_started_at_first,
        another_build_and_back, keeper_ends)


@pytest.fixture(name="tools")
def some_tools(host):
    return [Tool(host) for _ in range(3)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way(host, tools, way):
    for _ in range(2):
        for tool in tools:
            tool.ask()
        way(host)
        for tool in tools:
            tool.check()
    for tool in tools:
        tool.end()


@pytest.mark.long
def test_twenty_in_a_row(host, tools):
    """Of all kinds, in an order that goes by chance, under clients that check every answer."""
    load = Toolstack(host, each=2)
    try:
        rng = random.Random(SEED)
        ways = [*WAYS, *rng.choices(WAYS, k=20 - len(WAYS))]
        rng.shuffle(ways)
        for way in ways:
            for tool in tools:
                tool.ask()
            way(host)
            assert load.all_alive(), (way, load.end())
            for tool in tools:
                tool.check()
        load.end()
    finally:
        load.kill()
    for tool in tools:
        tool.end()


def test_it_crashes_again_and_again_for_a_guest(host, tools):
    """While one tool waits for the answer of which it crashes."""
    tools[0].ask()
    host.proxy.kill(signal.SIGTERM)
    program = built.need("xsproxyd-crashing")
    host.start_proxy(program=program)
    domain = host.sim.create(CRASHES_FOR)
    xensim.home(host.dom0, CRASHES_FOR)
    host.dom0.send(xsclient.INTRODUCE, join(CRASHES_FOR, domain.gfn, domain.port), req_id=5)
    for _ in range(2):
        host.proxy.ended = True
        assert host.proxy.wait() not in (0, -signal.SIGKILL)
        host.start_proxy(program=program, wait=False)
    assert host.dom0.recv_reply()[:2] == (xsclient.INTRODUCE, 5)
    tools[0].check()
    for tool in tools[1:]:
        tool.ask()
        tool.check()


def test_systemds_socket(host, tools):
    """xsproxyd gets its listening socket from systemd from now on, and then has its own again."""
    for tool in tools:
        tool.ask()
    host.proxy.kill(signal.SIGTERM)
    host.socket.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(host.socket))
        listener.listen(16)
        with proxy_on(host, listener) as notify:
            notify.wait("READY=1")
            for tool in tools:
                tool.check()
            assert host.client().directory("/")
            host.proxy.kill(signal.SIGKILL)
    for tool in tools:
        tool.ask()
    host.start_proxy()
    for tool in tools:
        tool.check()
        tool.end()
    assert host.client().directory("/")


# --- a build that does not know what it finds

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("what", ["ledger", "ledgers", "rings", "link"])
def test_a_build_that_stands_by_keeps_them_waiting(host, tools, what, sig):
    """Until the right one is back, as it keeps guests waiting (test_foreign.py)."""
    for tool in tools:
        tool.ask()
    restart(host, sig, program=built.need(f"foreign/{what}/xsproxyd"), until="STATUS=")
    # Of another layout it takes nothing from the keeper, and so it has nobody.
    with Control(host) as control:
        there = 0 if what in ("ledger", "ledgers") else len(tools) + 1
        control.wait(lambda status: status["clients"] == there, "status")
    restart(host, sig)
    for tool in tools:
        tool.check()
        tool.end()


@pytest.mark.parametrize("what", ["ledger", "ledgers"])
def test_until_there_is_a_new_keeper(host, tools, what):
    """A build that does not know what the keeper has says so, and uses the next one."""
    for tool in tools:
        tool.ask()
    restart(host, signal.SIGTERM, program=built.need(f"foreign/{what}/xsproxyd"), until="STATUS=")
    with Control(host) as control:
        status = control.run("status")
        assert status["keeper_foreign"] and not status["keeper"]
        for command in "status", "check":
            assert "connections that another version left" in ctl(host, command)[1]
        host.client()  # which waits until guests are served, too
        control.wait(lambda status: status["clients"] == 1, "status")
        host.keeper.kill()
        host.start_keeper()
        control.wait(lambda status: status["keeper"] and status["clients_kept"] == 1, "status")
        assert not control.run("status")["keeper_foreign"]
    for tool in tools:
        with pytest.raises((xsclient.Closed, ConnectionError)):
            while tool.client.recv():
                pass


# --- what happens while it is away

def test_who_closes_meanwhile_is_gone_upstream(host):
    tool, other = Tool(host), Tool(host)
    tool.ask()
    host.proxy.kill(signal.SIGTERM)
    tool.client.close()
    host.start_proxy()
    with Control(host) as control:
        control.wait(lambda status: status["clients"] == 2, "status")  # the other, and dom0
    # Its watch is gone, or xenstored would count it among those that fire.
    other.ask()
    other.check()
    other.end()


def test_xenstored_ends_meanwhile(flavour):
    """Without a mirror of the store: what it had said is passed on, then comes the end."""
    with Host(flavour, config=NO_MIRROR) as host:
        client = host.client()
        client.write("/x", "v" * 1500)
        client.directory("/")
        for req_id in range(1, 11):
            client.send(READ, b"/x\0", req_id=req_id)
        wait_until(lambda: waits_unread(client) >= 10 * 1516)
        host.proxy.kill(signal.SIGKILL)
        host.daemon.kill()
        host.start_proxy()
        for req_id in range(1, 11):
            assert client.recv() == (READ, req_id, 0, b"v" * 1500)
        with pytest.raises(xsclient.Closed):
            client.recv()
        # And the next xenstored serves who comes then.
        host.start_daemon()
        assert host.client().directory("/")


def waits_unread(client):
    """Octets that the kernel has for it."""
    with contextlib.suppress(BlockingIOError):
        return len(client.sock.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_who_waits_for_xenstored_waits_on(flavour, sig):
    with Host(flavour, start=False) as host:
        host.start_proxy()
        clients = [host.client() for _ in range(3)]
        for client in clients:
            client.send(DIRECTORY, b"/\0", req_id=9)
        for _ in range(3):
            with Control(host) as control:
                control.wait(lambda status: status["clients"] == 3, "status")
            restart(host, sig)
        clients[2].close()
        with Control(host) as control:
            control.wait(lambda status: status["clients"] == 2, "status")
        host.start_daemon()
        for client in clients[:2]:
            assert client.recv()[:2] == (DIRECTORY, 9)


def test_who_waits_is_not_in_the_way_of_who_has_a_session(flavour):
    """Whoever came later may have a lower number, and be given what belongs to those before."""
    with Host(flavour) as host, Control(host) as control:
        early = [host.client() for _ in range(8)]
        tool = Tool(host)
        for client in early:
            client.close()
        control.wait(lambda status: status["clients"] == 2, "status")
        host.daemon.process.send_signal(signal.SIGSTOP)
        try:
            late = [host.client() for _ in range(8)]
            for client in late:
                client.send(DIRECTORY, b"/\0", req_id=9)
            tool.ask()
            # Its backlog is full, so most of them have no session.
            control.wait(lambda status: status["clients"] == 10 and status["clients_waiting"] > 4,
                         "status")
            host.proxy.kill()
            host.start_proxy()
        finally:
            host.daemon.process.send_signal(signal.SIGCONT)
        tool.check()
        tool.end()
        for client in late:
            assert client.recv()[:2] == (DIRECTORY, 9)


@pytest.fixture(name="flavour", params=FLAVOURS)
def each_flavour(request):
    return request.param


def test_events_that_nobody_reads_wait_too(flavour):
    """More of them than a socket takes, while it is away and before."""
    with running(flavour) as host:
        client = host.client()
        client.watch("/unread", "token")
        client.wait_event()
        for i in range(2000):
            host.dom0.mkdir(f"/unread/{i:0100}")
            if i % 500 == 400:
                restart(host, signal.SIGKILL)
        for i in range(2000):
            msg = client.recv()
            assert msg.type == WATCH_EVENT
            assert msg.payload == join(f"/unread/{i:0100}", "token")
