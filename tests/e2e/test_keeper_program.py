# SPDX-License-Identifier: MIT
"""xsproxy-keeper itself: what one xsproxyd has put there the next one gets, whatever happens to
either of them."""

import array
import contextlib
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import time

import pytest

from built import BUILD
from harness import Host

PUT, DROP, CLEAR, GIVE, HAS, END = range(64, 70)
SOCKETS, KEYS = 0x8000, 0x8006
MESSAGE = struct.Struct("=IIIi")  # struct link_msg: type, seq, domid, value
TIMEOUT = 30
LISTENS = "00010000"  # __SO_ACCEPTCON, in /proc/net/unix


class Keeper:
    """The program; `with` ends it."""

    def __init__(self, directory, files=None, listening=True):
        self.dir = pathlib.Path(directory)
        self.args = [str(BUILD / "xsproxy-keeper"), str(self.dir)]
        if files:
            self.args = ["prlimit", f"--nofile={files}:{files}", *self.args]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(self.args, stderr=subprocess.PIPE, text=True)
        if listening:
            wait_until(self._listens)

    def _listens(self):
        """Seen from outside: a connection of ours might be counted among its descriptors."""
        assert self.process.poll() is None
        path = str(self.dir / "keeper")
        lines = pathlib.Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
        return any(line.split()[3] == LISTENS and line.endswith(f" {path}") for line in lines[1:])

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.communicate()

    @property
    def fds(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def wait_until(what):
    """Until @what returns something true, which is returned."""
    end = time.monotonic() + TIMEOUT
    while not (seen := what()):
        assert time.monotonic() < end, "it never came to that"
        select.select([], [], [], 0.01)
    return seen


def connect(directory):
    """A connection to it; OSError if there is none."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(TIMEOUT)
        sock.connect(str(directory / "keeper"))
    except OSError:
        sock.close()
        raise
    return sock


def connect_if_it_can_be(directory):
    """The same, or None while too many wait there."""
    with contextlib.suppress(BlockingIOError):
        return connect(directory)
    return None


def pack(kind, key=0):
    """A packet."""
    return MESSAGE.pack(kind, 0, key, 0)


def send(sock, kind, key=0, fds=()):
    """One packet."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([pack(kind, key)], rights)


def given(sock):
    """What it gives: {key: [descriptors]}."""
    send(sock, GIVE)
    found = {}
    while True:
        data, rights, flags, _ = sock.recvmsg(MESSAGE.size, socket.CMSG_SPACE(3 * 4))
        assert len(data) == MESSAGE.size and not flags & socket.MSG_CTRUNC
        kind, _, key, _ = MESSAGE.unpack(data)
        if kind == END:
            assert not rights
            return found
        assert kind == HAS and key not in found
        fds = array.array("i")
        for _, _, octets in rights:
            fds.frombytes(octets)
        found[key] = list(fds)


def same(first, second):
    """Whether two descriptors are of one file."""
    return os.path.samestat(os.fstat(first), os.fstat(second))


def close_all(found):
    """All that given() returned."""
    for fd in sum(found.values(), []):
        os.close(fd)


@contextlib.contextmanager
def pipes(count):
    """So many descriptors, each another file."""
    fds = sum((list(os.pipe()) for _ in range((count + 1) // 2)), [])
    try:
        yield fds[:count]
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture(name="keeper")
def one_that_runs(tmp_path):
    with Keeper(tmp_path) as keeper:
        yield keeper


def test_what_is_put_is_given_to_the_next_one(keeper):
    with pipes(5) as fds:
        with contextlib.closing(connect(keeper.dir)) as sock:
            send(sock, PUT, 7, fds[:1])
            send(sock, PUT, 0, fds[1:3])
            send(sock, PUT, KEYS - 1, fds[3:5])
        for _ in range(3):
            with contextlib.closing(connect(keeper.dir)) as sock:
                found = given(sock)
            assert sorted(found) == [0, 7, KEYS - 1]
            assert same(found[7][0], fds[0])
            assert [same(a, b) for a, b in zip(found[0], fds[1:3])] == [True, True]
            close_all(found)


def test_put_drop_and_clear_close_what_was_there(keeper):
    before = keeper.fds
    with pipes(2) as fds, contextlib.closing(connect(keeper.dir)) as sock:
        send(sock, DROP, 3)
        for key in range(100):
            send(sock, PUT, key, fds)
        send(sock, PUT, 50, fds[:1])
        send(sock, DROP, 51)
        send(sock, DROP, 51)
        found = given(sock)
        assert sorted(found) == sorted(set(range(100)) - {51})
        assert len(found[50]) == 1
        close_all(found)
        wait_until(lambda: keeper.fds == before + 1 + 2 * 98 + 1)
        send(sock, CLEAR)
        assert given(sock) == {}
        assert keeper.fds == before + 1
        send(sock, CLEAR)
        send(sock, PUT, 1, fds)
        close_all(found := given(sock))
        assert sorted(found) == [1]


def test_the_other_end_sees_that_the_last_one_is_dropped(keeper):
    ours, theirs = socket.socketpair()
    with ours, contextlib.closing(connect(keeper.dir)) as sock:
        send(sock, PUT, 1, [theirs.fileno()])
        theirs.close()
        assert sorted(found := given(sock)) == [1]
        close_all(found)
        send(sock, DROP, 1)
        ours.settimeout(TIMEOUT)
        assert ours.recv(1) == b""


def test_what_had_been_sent_is_done_before_the_next_one_is_served(keeper):
    """However much it was, and however it ended."""
    with pipes(2) as fds:
        for count in (20, 130, 250):
            keeper.process.send_signal(signal.SIGSTOP)
            child = os.fork()
            if not child:
                try:
                    sock = connect(keeper.dir)
                    sock.setblocking(False)
                    send(sock, CLEAR)
                    for key in range(count):
                        send(sock, PUT, key, fds)
                    send(sock, DROP, 9)
                    os.kill(os.getpid(), signal.SIGKILL)
                finally:
                    os._exit(1)
            assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
            keeper.process.send_signal(signal.SIGCONT)
            with contextlib.closing(connect(keeper.dir)) as sock:
                found = given(sock)
            assert sorted(found) == sorted(set(range(count)) - {9})
            close_all(found)


def test_ten_thousand_clients(keeper):
    """None is lost, and nothing stays of them."""
    before = keeper.fds
    with pipes(2) as fds, contextlib.closing(connect(keeper.dir)) as sock:
        for _ in range(3):
            for key in range(9000):
                send(sock, PUT, key, fds)
            wait_until(lambda: keeper.fds == before + 1 + 18000)
            for key in range(9000):
                send(sock, DROP, key)
            wait_until(lambda: keeper.fds == before + 1)
    wait_until(lambda: keeper.fds == before)


@pytest.mark.parametrize("packet, count", [
    (pack(PUT, KEYS), 1), (pack(PUT, 2**32 - 1), 1),
    (pack(DROP, KEYS), 0), (pack(PUT, 1), 0),
    (pack(PUT, 1), 3), (pack(PUT, 1), 5),
    (pack(DROP, 1), 1), (pack(GIVE, 0), 1),
    (pack(HAS, 1), 1), (pack(END, 0), 0),
    (pack(1, 2), 3), (pack(0, 0), 0),
    (pack(PUT, 1)[:-1], 1), (pack(PUT, 1) + b"x", 1), (b"x", 0)],
    ids=lambda value: value.hex() if isinstance(value, bytes) else str(value))
def test_a_wrong_packet_ends_the_connection_and_no_more(keeper, packet, count):
    before = keeper.fds
    with pipes(5) as fds:
        with contextlib.closing(connect(keeper.dir)) as sock:
            send(sock, PUT, 1, fds[:2])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds[:count]))]
            sock.sendmsg([packet], rights if count else [])
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        with contextlib.closing(connect(keeper.dir)) as sock:
            found = given(sock)
            assert sorted(found) == [1] and len(found[1]) == 2
            close_all(found)
        wait_until(lambda: keeper.fds == before + 2)


def test_who_dies_while_it_is_given_takes_nothing_away(keeper):
    with pipes(2) as fds:
        with contextlib.closing(connect(keeper.dir)) as sock:
            for key in range(2000):
                send(sock, PUT, key, fds)
        before = keeper.fds
        for _ in range(5):
            with contextlib.closing(connect(keeper.dir)) as sock:
                send(sock, GIVE)
                sock.recv(MESSAGE.size)
        with contextlib.closing(connect(keeper.dir)) as sock:
            found = given(sock)
        assert len(found) == 2000
        close_all(found)
        wait_until(lambda: keeper.fds <= before)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_gets_nothing(keeper):
    with pipes(1) as fds:
        with contextlib.closing(connect(keeper.dir)) as sock:
            send(sock, PUT, 1, fds)
    os.chmod(keeper.dir, 0o777)
    os.chmod(keeper.dir / "keeper", 0o777)
    child = os.fork()
    if not child:
        os.chdir(keeper.dir)  # what is above is root's
        os.setuid(65534)
        with contextlib.closing(connect(pathlib.Path("."))) as sock:
            try:
                send(sock, GIVE)
                os._exit(0 if sock.recv(100) == b"" else 1)
            except (BrokenPipeError, ConnectionResetError):
                os._exit(0)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_there_is_one_for_a_directory(keeper):
    with pipes(1) as fds, contextlib.closing(connect(keeper.dir)) as sock:
        send(sock, PUT, 1, fds)
        close_all(given(sock))
        # More of them than may wait to be accepted
        for _ in range(8):
            with Keeper(keeper.dir, listening=False) as second:
                assert second.process.wait(TIMEOUT) == 1
                assert "there is one for" in second.process.stderr.read()
    with contextlib.closing(wait_until(lambda: connect_if_it_can_be(keeper.dir))) as sock:
        assert sorted(found := given(sock)) == [1]
        close_all(found)


def test_one_that_was_killed_is_followed_by_the_next(tmp_path):
    with Keeper(tmp_path) as first:
        first.process.kill()
        first.process.wait(TIMEOUT)
        with Keeper(tmp_path) as second, contextlib.closing(connect(second.dir)) as sock:
            assert given(sock) == {}


def test_without_room_one_is_missing_and_the_others_are_kept(tmp_path):
    """Whoever does not fit is closed by the next restart; it costs nobody else anything."""
    with Keeper(tmp_path, files=40) as keeper, pipes(2) as fds:
        with contextlib.closing(connect(keeper.dir)) as sock:
            for key in range(30):
                send(sock, PUT, key, fds)
            for key in range(5):
                send(sock, DROP, key)
            send(sock, PUT, 99, fds)
            found = given(sock)
        assert 10 < len(found) < 20 and 99 in found and 5 in found and 29 not in found
        assert all(len(pair) == 2 for pair in found.values())
        close_all(found)


@pytest.mark.parametrize("args", [["relative"], ["/a", "/b"]])
def test_wrong_usage(args):
    ended = subprocess.run([BUILD / "xsproxy-keeper", *args], capture_output=True, text=True,
                           timeout=TIMEOUT, check=False)
    assert ended.returncode == 2 and ended.stderr.startswith("Usage: ")


@pytest.mark.parametrize("directory", ["/proc/none", "/dev/null"])
def test_a_directory_that_cannot_be(directory):
    ended = subprocess.run([BUILD / "xsproxy-keeper", directory], capture_output=True, text=True,
                           timeout=TIMEOUT, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("xsproxy-keeper: cannot ") and ended.stderr.count("\n") == 1


def test_more_than_it_can_be_told_at_once():
    """One that comes late is told of each client there is, and none is lost."""
    with Host("C", keeper=False) as host:
        clients = []
        for _ in range(600):
            clients.append(host.client())
            clients[-1].watch("/many", "token")
            clients[-1].wait_event()
        host.start_keeper()
        # What is said of it, what it is told last, and what it has of its own
        wait_until(lambda: open_files(host.keeper) > 2 * 600 + 4)
        for client in clients[:50]:
            client.close()
        wait_until(lambda: open_files(host.keeper) < 2 * 550 + 20)
        host.proxy.kill()
        host.start_proxy()
        clients[60].write("/many", "x")
        for client in clients[50:]:
            assert client.wait_event().path == "/many"
        assert "the keeper is gone" not in host.proxy.text()


def open_files(daemon):
    """How many descriptors it has."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
