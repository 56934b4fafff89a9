# SPDX-License-Identifier: MIT
"""A guest's user space (tests/sim/xenbus_dev.py): many programs share the one ring of their domain
through their kernel. They see the same through xsproxyd as without it, also while xsproxyd is
killed and the domain is quiesced."""

import contextlib
import subprocess

import pytest

import xenbus_dev
import xensim
import xsclient
from harness import Host
from ours import quiesce, tracked_transactions, tracked_watches, unquiesce
from relay import FLAVOURS, packet, wait_until
from test_relay_libraries import done, either, load
from xsclient import ERROR, READ, WRITE, XsError

both = pytest.mark.parametrize("flavour", FLAVOURS)
DOMID = 7


class UserSpace:
    """Domain 7 of @host: a kernel that serves its user space at @path."""

    def __init__(self, host, path, stack):
        self.host = host
        self.path = path
        self._stack = stack

    def open(self):
        """A program that has the device open."""
        return self._stack.enter_context(xsclient.Client(self.path))

    def tool(self, name, *args):
        """A stock tool there: (status, output, errors)."""
        ran = subprocess.run([name, *args], env=self.host.tool_env() | {
            "XENSTORED_PATH": str(self.path)}, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=xensim.TIMEOUT, check=False)
        return ran.returncode, ran.stdout, ran.stderr


@contextlib.contextmanager
def userspace(flavour, proxied=True):
    with Host(flavour, proxied) as host, contextlib.ExitStack() as stack:
        domain = host.sim.create(DOMID)
        xensim.home(host.dom0, DOMID)
        host.dom0.introduce(DOMID, domain.gfn, domain.port)
        path = host.sim.dir / "xenbus"
        stack.enter_context(xenbus_dev.running(host.sim.dir, DOMID, path, host.sim.nudge))
        yield UserSpace(host, path, stack)
        host.check()


def answer(client, type_, *words, tx=0):
    """The reply's type and payload, under the id that was asked with."""
    req_id = client.send(type_, xsclient.join(*words), tx, req_id=4711)
    msg = client.recv_reply()
    assert (msg.req_id, msg.tx_id) == (req_id, tx)
    return msg.type, msg.payload


COMMANDS = ("xenstore-ls", "xenstore-ls .", "xenstore-read domid name", "xenstore-read /local",
            "xenstore-write data/x 1 data/y 2", "xenstore-list data", "xenstore-list -p device",
            "xenstore-read data/x data/y data/z", "xenstore-rm data/x", "xenstore-exists data/x",
            "xenstore-chmod data/y n7 r0", "xenstore-ls -p data", "xenstore-write name mine",
            "xenstore-watch -n 2 data device", "xenstore-write -s domid 9")


@both
def test_tools(flavour):
    """With a guest's rights, and the same as without xsproxyd."""
    results = []
    for proxied in (False, True):
        with userspace(flavour, proxied) as user:
            results.append([(command, user.tool(*command.split())) for command in COMMANDS])
    for direct, through in zip(*results):
        assert through == direct
    said = dict(results[0])
    assert said["xenstore-read domid name"] == (0, "7\nguest-7\n", "")
    assert said["xenstore-watch -n 2 data device"] == (0, "data\ndevice\n", "")
    assert said["xenstore-write name mine"][0] == 1


@both
@either
def test_what_belongs_to_whom(flavour, proxied):
    """Two with the same request ids, the same watch and a transaction each."""
    with userspace(flavour, proxied) as user:
        one, two = user.open(), user.open()
        for client in (one, two):
            client.watch("data", "token")
            assert client.wait_event() == ("data", "token")
        one.write("data/x", "1")
        assert one.wait_event() == two.wait_event() == ("data/x", "token")
        # One's UNWATCH is not the other's.
        one.unwatch("data", "token")
        two.write("data/x", "2")
        assert two.wait_event() == ("data/x", "token") and not one.events
        assert answer(one, xsclient.UNWATCH, "data", "token") == (xsclient.UNWATCH, b"OK\0")
        assert answer(one, xsclient.WATCH, "data") == (ERROR, b"EINVAL\0")
        assert answer(one, xsclient.WATCH, "//", "t") == (ERROR, b"EINVAL\0")
        first, second = one.start(), two.start()
        assert first != second
        one.write("data/one", "1", tx=first)
        assert answer(two, READ, "data/one", tx=first) == (ERROR, b"ENOENT\0")
        assert answer(two, xsclient.TRANSACTION_END, "T", tx=first) == (ERROR, b"ENOENT\0")
        assert answer(one, xsclient.TRANSACTION_END, "x", tx=first) == (ERROR, b"EINVAL\0")
        two.end(second, commit=False)
        one.end(first)
        assert two.read("data/one") == b"1"
        assert answer(one, READ, "data/one") == answer(two, READ, "data/one") == (READ, b"1")


@both
def test_who_closes_leaves_nothing(flavour):
    """Watches and transactions end with who had them; what xsproxyd tracks is what there is."""
    with userspace(flavour) as user, user.host.client() as dom0:
        stays = user.open()
        stays.watch("data", "stays")
        with xsclient.Client(user.path) as goes:
            for i in range(5):
                goes.watch("data", f"goes{i}")
            goes.write("data/no", "1", tx=goes.start())
            goes.start()
            assert len(tracked_watches(dom0, DOMID)) == 6
            assert len(tracked_transactions(dom0, DOMID)) == 2
        wait_until(lambda: not tracked_transactions(dom0, DOMID))
        wait_until(lambda: len(tracked_watches(dom0, DOMID)) == 1)
        with pytest.raises(XsError):
            stays.read("data/no")
        # Who goes before the answers come leaves nothing either.
        for _ in range(20):
            with xsclient.Client(user.path) as client:
                client.send(xsclient.TRANSACTION_START, b"\0")
                client.send(xsclient.WATCH, b"data\0gone\0")
                client.send(READ, b"domid\0")
        stays.write("data/x", "1")
        wait_until(lambda: not tracked_transactions(dom0, DOMID))
        wait_until(lambda: len(tracked_watches(dom0, DOMID)) == 1)


@both
@either
def test_closed_in_the_middle_of_a_header(flavour, proxied):
    """What is not whole never gets onto the ring; others are served."""
    with userspace(flavour, proxied) as user:
        octets = packet(WRITE, b"data/no\0xyz")
        for cut in range(len(octets)):
            with xsclient.Client(user.path) as client:
                client.send_raw(octets[:cut])
        client = user.open()
        client.write("data/x", "1")
        assert client.directory("data") == ["x"]
        # In two pieces it is as good as in one.
        client.send_raw(octets[:7])
        assert user.open().read("domid") == b"7"
        client.send_raw(octets[7:])
        assert client.recv_reply().type == WRITE
        # A length that cannot be ends the one that says it.
        with pytest.raises(xsclient.Closed):
            client.send_raw(packet(WRITE, length=5000))
            client.recv()


@both
@either
def test_many_threads_on_one_connection(flavour, proxied):
    """Two programs of many threads beside each other; a guest may have 11 transactions at once."""
    with userspace(flavour, proxied) as user:
        user.host.dom0.mkdir("/local/domain/7/data/a")
        user.host.dom0.set_perms("/local/domain/7/data/a", "n7")
        loads = [load(user.path, base, threads=5, rounds=10) for base in ("data/a", "data")]
        assert all(done(process) >= 50 for process in loads)


@both
@pytest.mark.usefixtures("descriptors")
def test_a_thousand_have_it_open(flavour):
    with userspace(flavour) as user:
        clients = [user.open() for _ in range(1000)]
        for i, client in enumerate(clients):
            client.send(WRITE, b"data/%d\0%d" % (i % 100, i))
        for client in clients:
            assert client.recv_reply().type == WRITE
        for client in clients:
            client.send(READ, b"domid\0")
        for client in clients:
            assert client.recv_reply().payload == b"7"


@both
def test_while_xsproxyd_comes_and_goes(flavour):
    """Quiesced and gone on, killed and started again, and no program is told."""
    with userspace(flavour) as user:
        host = user.host
        process = load(user.path, "data", threads=5, rounds=60)
        for _ in range(5):
            with host.client() as dom0:
                wait_until(lambda: dom0.directory("/local/domain/7/data"))
                quiesce(dom0, DOMID)
                unquiesce(dom0, DOMID)
            host.proxy.kill()
            host.start_proxy()
        assert done(process) >= 300


def test_the_domain_goes():
    """The program says so, and ends."""
    with Host("C") as host:
        domain = host.sim.create(DOMID)
        host.dom0.introduce(DOMID, domain.gfn, domain.port)
        argv = [xenbus_dev.__file__, "-d", host.sim.dir, str(DOMID), host.sim.dir / "xenbus"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            assert process.stdout.readline() == xenbus_dev.READY
            with xsclient.Client(host.sim.dir / "xenbus") as client:
                assert client.get_domain_path(7)
                host.sim.destroy(DOMID)
                client.send(READ, b"domid\0")
                _, errors = process.communicate(timeout=xensim.TIMEOUT)
            assert process.returncode == 1
        assert errors.startswith("xenbus_dev: ") and errors.count("\n") == 1
        assert not (host.sim.dir / "xenbus").exists()
        missing = subprocess.run([*argv[:-2], "8", host.sim.dir / "xenbus"], capture_output=True,
                               text=True, timeout=xensim.TIMEOUT, check=False)
        assert (missing.returncode, missing.stdout) == (1, "") and "domain 8" in missing.stderr


@both
def test_a_domain_of_its_own(flavour):
    """As whoever reproduces a report starts it: with nothing but a host."""
    with Host(flavour) as host:
        path = host.sim.dir / "xenbus"
        with xenbus_dev.running(host.sim.dir, 99, path, create=True):
            assert host.dom0.is_introduced(99)
            ran = subprocess.run(["xenstore-read", "name"], capture_output=True, text=True,
                                 timeout=xensim.TIMEOUT, check=True,
                                 env=host.tool_env() | {"XENSTORED_PATH": str(path)})
        assert ran.stdout == "guest-99\n"
        twice = subprocess.run([xenbus_dev.__file__, "-d", host.sim.dir, "--create", "99", path],
                               capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False)
        assert twice.returncode == 1 and twice.stderr.startswith("xenbus_dev: ")
