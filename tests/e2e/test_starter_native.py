# SPDX-License-Identifier: MIT
"""A native daemon executes live-update: xsproxyd is given all that it had, or it goes on."""

import errno
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import xensim
import xsclient
from bridge_bed import compile_c
from native import BIG, NO_TARGET, PATH, Native, given, receive, with_token
from relay import wait_until
from starting import AFRESH, ENOUGH, GIVE, LIVE_UPDATE, NATIVE, RETREAT, STATE, WANT

pytest_plugins = ("altered",)

WAITS = "xsproxy: xenstored waits for xsproxyd"
GOES_ON = "xsproxy: xsproxyd has taken nothing of xenstored, which goes on as it was: "
INSTEAD = "xsproxy: {why}: becoming {path} INSTEAD\n"
UNKNOWN = 4711
MANY = 1200  # clients


@pytest.fixture(params=xensim.FLAVOURS)
def flavour(request):
    return request.param


@pytest.fixture
def native(flavour):
    with Native(flavour) as host:
        yield host


# --- what is given

def message(req_id, payload):
    return xsclient.HEADER.pack(xsclient.READ, req_id, 0, len(payload)) + payload


def test_rings(native):
    with native.live_update() as talk:
        gift = given(talk)
        domains = native.sim.list()
        kernel = int((native.sim.dir / "xsd_port").read_text())
        assert {domid: ring.port for domid, ring in gift.rings.items()} == {
            0: kernel, 7: 1, 8: 1, 9: 1}
        known = {7: domains[7]["gfn"]}
        if native.flavour == "O":
            known |= {domid: domains[domid]["gfn"] for domid in (8, 9)}
        assert {domid: ring.gfn for domid, ring in gift.rings.items() if ring.gfn} == known
        for domid, ring in gift.rings.items():
            assert ring.watches == [(*watch, "") for of, watch in native.watched().items()
                                    if of == domid]
            assert ring.target == (7 if (native.flavour, domid) == ("C", 8) else NO_TARGET)
            if native.flavour == "O" or domid not in (7, 9):
                assert (ring.taken, ring.rest, ring.owed) == (b"", 0, b"")
        if native.flavour == "C":
            assert gift.rings[7].taken == native.request[:9]
            there = native.guests[9].pull(1024)
            assert there + gift.rings[9].owed == b"".join(
                message(req_id, BIG) for req_id in native.full_ids)
            assert (len(there) + gift.rings[9].rest) % (16 + len(BIG)) == 0


def test_clients(native):
    with native.live_update() as talk:
        gift = given(talk)
        two, its = with_token(gift, "two")
        assert sorted(two.watches) == [("/two", "three", ""), ("/two", "two", "")]
        idle, other = with_token(gift, "idle")
        assert idle.watches == [("/local/domain/8", "idle", "")]
        # dom0's and the asker's have no watches
        assert len(gift.clients) == {"C": 6, "O": 4}[native.flavour]
        assert [client for client in gift.clients.values()
                if client.port or client.gfn or client.target != NO_TARGET] == []
        # each is who it is said to be
        for client, sock in (native.two, its), (native.idle, other):
            req_id = client.send(xsclient.READ, b"/x\0")
            assert sock.recv(4096) == message(req_id, b"/x\0")
            sock.send(message(req_id, b"given"))
            assert client.recv() == xsclient.Message(xsclient.READ, req_id, 0, b"given")
        if native.flavour == "C":
            _assert_owed(native, gift)


def _assert_owed(native, gift):
    half, _ = with_token(gift, "half")
    assert (half.taken, half.owed) == (native.request[:18], b"")
    lazy, sock = with_token(gift, "lazy")
    sock.shutdown(socket.SHUT_WR)
    there = b""
    while octets := native.lazy.sock.recv(65536):
        there += octets
    assert there and there + lazy.owed == b"".join(
        message(req_id, BIG) for req_id in native.lazy_ids)
    assert (len(there) + lazy.rest) % (16 + len(BIG)) == 0
    reply, = [client.owed for client in gift.clients.values() if client.owed.endswith(b"OK\0")]
    assert xsclient.HEADER.unpack_from(reply)[0] == xsclient.CONTROL


def test_the_listening_one(native):
    with native.live_update() as talk:
        gift = given(talk)
        with xsclient.Client(native.host.socket) as new:
            accepted, _ = gift.listener.accept()
            with accepted:
                new.send(xsclient.READ, b"/x\0", req_id=5)
                assert accepted.recv(4096) == message(5, b"/x\0")


def test_the_state(native):
    """As the daemon has written it, where it stays."""
    with native.live_update() as talk:
        gift = given(talk)
        name = {"C": "state_dump", "O": "db"}[native.flavour]
        assert (native.sim.path(PATH).parent / name).read_bytes() == gift.state
        talk.send(RETREAT)
        native.assert_goes_on()


@pytest.mark.parametrize("flavour", ("C",), indirect=True)
def test_many_clients(native, descriptors):
    """More than a connection takes at once; who ends it halfway has nothing. Then all of them, in
    the order of their numbers."""
    assert descriptors is None
    clients = []
    for number in range(MANY):
        clients.append(native.host.client())
        clients[-1].watch("/x", f"c{number}")
        clients[-1].wait_event()
    with native.live_update() as talk:
        talk.send(GIVE)
        receive(talk, STATE)
    native.assert_goes_on()
    assert GOES_ON in native.daemon.text()
    with native.live_update() as talk:
        gift = given(talk)
        for number in range(0, MANY, 50):
            _, sock = with_token(gift, f"c{number}")
            sock.send(b"x")
            assert clients[number].sock.recv(1) == b"x"
        talk.send(RETREAT)


def test_a_domain_that_is_gone(native):
    """Whatever the state says. The daemon finds out by itself."""
    with native.live_update() as talk:
        native.sim.destroy(9)
        gift = given(talk)
        assert (gift.rings[9].port, gift.rings[8].port) == (0, 1)
        talk.send(RETREAT)
    wait_until(lambda: not native.host.dom0.is_introduced(9))
    assert native.host.dom0.is_introduced(8)


# --- it ends

def assert_ended(native, talk):
    """The ports first: xsproxyd may bind them as soon as the connection ends."""
    talk.send(ENOUGH)
    assert talk.recv() is None
    assert {dom["port"] for dom in native.sim.list().values()} == {"unbound"}
    native.daemon.ended = True
    assert native.daemon.wait() == 0, native.daemon.text()


def test_enough(native):
    with native.live_update() as talk:
        gift = given(talk)
        assert {native.sim.list()[domid]["port"] for domid in (7, 8, 9)} == {"bound"}
        assert_ended(native, talk)
        # nobody else has ended anything
        _, sock = with_token(gift, "idle")
        sock.send(message(1, b"x"))
        assert native.idle.recv().payload == b"x"
        with xsclient.Client(native.host.socket), gift.listener.accept()[0]:
            pass


def test_enough_from_the_next_one(native):
    """The one that was given all may have been killed when it had."""
    with native.live_update() as talk:
        gift = given(talk)
        native.conductor.close()
    wait_until(lambda: WAITS in native.daemon.text())
    assert not native.is_back()
    with native.conduct().accept(NATIVE) as talk:
        assert_ended(native, talk)
    assert gift.listener.fileno() >= 0


# --- it goes on as it was

@pytest.mark.parametrize("word", (RETREAT, AFRESH, WANT, ENOUGH, UNKNOWN))
def test_nothing_was_given(native, word):
    """What makes no sense is no reason to wait, nor to end."""
    with native.live_update() as talk:
        talk.send(word)
        if word not in (RETREAT, AFRESH):
            said = f"xsproxyd says {word} to a xenstored that it has nothing of yet"
            assert talk.failed() == (errno.EPROTO, said)
            assert f"xsproxy: {said}\n" in native.daemon.text()
        assert talk.recv() is None
        native.assert_goes_on()


def test_all_was_given(native):
    with native.live_update() as talk:
        given(talk)
        talk.send(RETREAT)
        assert talk.recv() is None
        native.assert_goes_on()


def test_the_next_one_has_it_go_on(native):
    with native.live_update() as talk:
        given(talk)
    with native.conductor.accept(NATIVE) as talk:
        talk.send(UNKNOWN)  # which only ends the connection
        assert talk.recv() is None
    with native.conductor.accept(NATIVE) as talk:
        given(talk)
        talk.send(AFRESH)
        assert talk.recv() is None
    native.assert_goes_on()


def test_a_connection_that_ends(native):
    """Before all was given nobody can have it."""
    with native.live_update():
        pass
    native.assert_goes_on()
    assert f"{GOES_ON}Connection reset by peer\n" in native.daemon.text()
    with native.live_update() as talk:
        talk.sock.shutdown(socket.SHUT_RD)  # so the first word of what is given finds nobody
        talk.send(GIVE)
        native.assert_goes_on()
    assert f"{GOES_ON}Broken pipe\n" in native.daemon.text()


def test_nobody_is_there(native):
    native.conductor.close()
    native.ask()
    native.assert_goes_on()
    assert f"{GOES_ON}Connection refused\n" in native.daemon.text()
    assert WAITS not in native.daemon.text()


def test_somebody_comes_in_time(native):
    """As after a restart of xsproxyd."""
    native.conductor.close()
    native.ask()
    wait_until(lambda: not native.is_back())
    with native.conduct().accept(NATIVE) as talk:
        given(talk)
        assert_ended(native, talk)


def test_nobody_answers(native):
    with native.live_update():
        native.assert_goes_on()
    assert f"{GOES_ON}Connection timed out\n" in native.daemon.text()


def test_what_cannot_be_read(flavour, tmp_path):
    """It is said why."""
    lib = compile_c(tmp_path, "no_call.so", "no_call.c", "-w")
    with Native(flavour, preloads=(lib,)) as native, native.live_update() as talk:
        talk.send(GIVE)
        err, why = talk.failed()
        assert err == errno.EACCES and re.fullmatch(
            r"cannot ask Xen for the event channel of domain \d: Permission denied", why), why
        native.assert_goes_on()
        assert f"xsproxy: {why}\n" in native.daemon.text()


def test_again(native):
    """Once is not for ever."""
    with native.live_update() as talk:
        talk.send(RETREAT)
        native.assert_goes_on()
    with native.live_update() as talk:
        given(talk)
    with native.conductor.accept(NATIVE) as talk:
        talk.send(RETREAT)
        native.assert_goes_on()
    with native.live_update() as talk:
        given(talk)
        assert_ended(native, talk)


# --- what the daemon finds

@pytest.mark.parametrize("how", ("removed", "cut", "another"))
def test_the_state_is_put_back(native, how):
    """Whoever has laid hands on it."""
    path = native.sim.path(PATH).parent / {"C": "state_dump", "O": "db"}[native.flavour]
    with native.live_update() as talk:
        given(talk)
        before, octets = path.stat(), path.read_bytes()
        if how == "removed":
            path.unlink()
        else:
            path.write_bytes(octets[:-16] if how == "cut" else bytes(len(octets)))
        talk.send(RETREAT)
        native.assert_goes_on()
    if native.flavour == "O":  # the C daemon has removed it
        assert path.read_bytes() == octets
        after = path.stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def inherited(native):
    """What does not change when a process becomes something else."""
    status = native.proc("status").read_text().splitlines()
    return (native.proc("environ").read_bytes(), os.readlink(native.proc("cwd")),
            [line for line in status if line.startswith(("SigBlk", "SigIgn", "Umask"))])


def descriptors_of(native):
    return {(fd.name, os.readlink(fd)) for fd in native.proc("fd").iterdir()}


def test_it_is_as_it_was(native):
    before, fds = inherited(native), descriptors_of(native)
    argv = native.proc("cmdline").read_text().split("\0")
    with native.live_update() as talk:
        given(talk)
        talk.send(RETREAT)
        assert talk.recv() is None
    native.assert_goes_on()
    now = native.proc("cmdline").read_text().split("\0")
    assert now[0] == str(native.binary) and sorted(now) == sorted(
        argv + {"C": ["-U"], "O": ["--live", "--restart"]}[native.flavour])
    assert inherited(native) == before
    after = descriptors_of(native)
    assert {link for _, link in fds - after if link.startswith("socket:")} == set()
    assert [link for _, link in after if "memfd" in link] == []


def test_signals(native):
    """By which logs are opened anew: none may end it meanwhile."""
    with native.live_update() as talk:
        given(talk)
        for sig in signal.SIGHUP, signal.SIGUSR1:
            native.daemon.process.send_signal(sig)
        talk.send(RETREAT)
        native.assert_goes_on()


@pytest.mark.parametrize("wrong", ("missing", "dangling", "other", "not ours"))
def test_another_program_of_its_kind(native, wrong):
    """Anything is better than a host without."""
    other, = {"C", "O"} - {native.flavour}
    path = native.native
    path.unlink()
    if wrong == "dangling":
        path.symlink_to("/nonexistent/xenstored")
        why = "cannot execute /nonexistent/xenstored: No such file or directory"
    elif wrong == "other":
        path.symlink_to(native.sim.daemon_argv(other)[0])
        why = f"{os.readlink(path)} is another kind of xenstored than the one that has run"
    elif wrong == "not ours":
        path.symlink_to(native.binary)
        why = f"{native.dir} is not only ours"
    else:
        why = f"{path}: No such file or directory"
    with native.live_update() as talk:
        native.dir.chmod(0o755 if wrong == "not ours" else 0o700)
        talk.send(RETREAT)
        native.assert_goes_on()
    assert INSTEAD.format(why=why, path=native.binary) in native.daemon.text()


ALONE = """
mkdir -m 700 /run/alone
export XSPROXY_DIR=/run/alone
/live-update -U 2>/said &
until grep -q 'NO XENSTORE' /said; do kill -0 $! || exit; sleep 0.1; done
ln -s /xenstored /run/alone/native
wait $!
cat /said /became
"""


def test_there_is_no_giving_up(altered):
    for path in pathlib.Path("/").glob("usr/lib/xen-*/bin/xenstored"):
        altered.remove(str(path))
    for path in "/usr/sbin/xenstored", "/usr/local/sbin/xenstored":
        altered.remove(path)
    altered.stub("/xenstored", 'echo "$0 $*" >/became')
    # What is mounted is not to be seen there, and our programs may be.
    altered.write("/live-update", LIVE_UPDATE.read_bytes(), 0o755)
    done = altered.run("sh", "-c", ALONE)
    assert done.stdout.splitlines() == [
        f"{GOES_ON}No such file or directory",
        "xsproxy: THIS HOST HAS NO XENSTORE until this is mended, which is tried again every "
        "second: /run/alone/native: No such file or directory",
        "/xenstored -U"], done.stderr


def test_by_hand():
    done = subprocess.run([LIVE_UPDATE], capture_output=True, text=True, check=False, env={})
    assert (done.returncode, done.stderr) == (
        2, f"xsproxy: {LIVE_UPDATE} is executed by a xenstored, for its live update\n")
