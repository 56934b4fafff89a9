# SPDX-License-Identifier: MIT
"""xsproxyctl export: what is in the stream; and when it fails, the guest runs on and nothing is
left."""

import os
import select
import subprocess
import threading

import pytest

import xensim
import xsclient
from migration import (CTL, HOME, SIGNALS, Dying, Tap, assert_runs_on, count_requests,
                       ctl, env, shown, signal_at, start_ctl, state, tree)
from ours import GET_DOMAIN_STATE, GET_DOMAIN_WATCHES, QUIESCE, ask, quiesce, running, unquiesce
from relay import FLAVOURS, packet, wait_until
from xsclient import READ, WRITE, join


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_content(flavour, tmp_path):
    """Every node with its value and permissions, whatever they are made of."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        dom0 = host.dom0
        dom0.write(f"{HOME}/data/octets", bytes(range(256)))
        dom0.write(f"{HOME}/data/large", b"x" * 2000)
        dom0.set_perms(f"{HOME}/data/large", "n7", "r0", "b3", "w4")
        for i in range(400):  # names of more than 4096 octets
            dom0.write(f"{HOME}/data/many/child-{i:06}", i)
        dom0.write("/vm/7/uuid", "u")
        dom0.write("/vm/70", "not a part")
        dom0.write("/local/domain/70/x", "not a part")
        watches = [(f"data/{i}", f"{i:0200}") for i in range(50)]  # three pages
        for path, token in watches:
            guest.watch(path, token)
        numbers = {guest.start() for _ in range(3)}

        octets = ctl(host, "export", 7, "--keep", "--root", "/vm/7", "--root", f"{HOME}/data")
        nodes, exported, transactions = shown(octets)
        expected = tree(dom0, HOME) | tree(dom0, "/vm/7")
        assert nodes.keys() == expected.keys()
        assert list(nodes) == sorted(expected)
        for path, (value, perms) in expected.items():
            assert nodes[path][1] == perms
            if path != f"{HOME}/data/octets":
                assert nodes[path][0] == value.decode()
        assert exported == watches
        assert set(transactions) == numbers and len(transactions) == 3
        assert state(host) == "quiesced"
        # Again, of a domain that is quiesced already, to a file.
        path = tmp_path / "stream"
        path.write_text("old")
        assert ctl(host, "export", 7, "--root", "/vm/7", "-o", path, "--resume") == b""
        assert path.read_bytes() == octets
        assert path.stat().st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path) == ["stream"]
        assert state(host) == "running"
        assert b"\\x00\\x01\\x02" in subprocess.run([CTL, "show", path], capture_output=True,
                                                 check=True).stdout


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_changes_while_exporting(flavour):
    """What changes behind the reader's back is read again; what never rests is warned about."""
    with running(flavour) as host:
        host.add_guest(7)
        host.dom0.write("/vm/7/early", "old")
        writer = host.client()
        changes = []

        def change(_, msg):
            # Each time that its permissions are asked for, its value has been sent already.
            if msg.type == xsclient.GET_PERMS and msg.payload == join("/vm/7/early"):
                changes.append(len(changes))
                if len(changes) <= times:
                    writer.write("/vm/7/early", len(changes))
                    writer.write(f"/vm/7/new{len(changes)}", "x")

        for times, read_again in ((1, 2), (2, 3), (1000, 4)):
            changes.clear()
            with Tap(host, change) as tap:
                done = subprocess.run([CTL, "export", "7", "--root", "/vm/7", "--resume"],
                                      env=env(host, tap.path), capture_output=True, check=True)
            nodes = shown(done.stdout)[0]
            assert len(changes) == read_again
            assert (b"/vm/7/" in done.stderr and b"nodes keep changing" in done.stderr) == (
                times == 1000)
            if times < 1000:
                assert nodes["/vm/7/early"][0] == str(times)
                assert f"/vm/7/new{times}" in nodes


def export_fails(host, guest, tap, path, fault):
    tap.requests.clear()
    tap.fault = fault
    message = ctl(host, "export", 7, "--keep", "-o", path, status=1, socket_path=tap.path)
    assert message.count("\n") == 1, message
    assert_runs_on(host, guest)


@pytest.mark.parametrize("how", ["cut", "lose", "EIO"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_export_fails_at_each_step(flavour, how, tmp_path):
    """The guest runs on, no file is left, one line says why."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.start()
        steps = count_requests(host, "export", 7, "--keep")
        unquiesce(host.dom0, 7)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                export_fails(host, guest, tap, tmp_path / "stream",
                             lambda n, msg, at=step: how if n == at else None)
                assert os.listdir(tmp_path) == []
        assert guest.wait_watch() == ("data", "token")
        assert not guest.events


@pytest.mark.parametrize("where", [QUIESCE, GET_DOMAIN_WATCHES, READ])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xsproxyd_dies_meanwhile(flavour, where, tmp_path):
    """Its successor is waited for, and told that the guest may go on."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        dying = Dying(host, where)
        with Tap(host, dying) as tap:
            ctl(host, "export", 7, "-o", tmp_path / "stream", status=1, socket_path=tap.path)
        dying.successor.join()
        assert os.listdir(tmp_path) == []
        assert ask(host.client(), GET_DOMAIN_STATE, 7) == b"running\0"
        assert guest.read("domid") == b"7"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_failed_export_leaves_quiesced_what_was(flavour, tmp_path):
    """A domain that somebody else has quiesced is not unquiesced by a failure here."""
    with running(flavour) as host:
        host.add_guest(7)
        quiesce(host.dom0, 7)
        message = ctl(host, "export", 7, "--root", "/nowhere", "-o", tmp_path / "stream", status=1)
        assert message == ("xsproxyctl export: cannot read /nowhere: No such file or directory\n")
        assert state(host) == "quiesced"
        assert os.listdir(tmp_path) == []


def test_export_refusals(tmp_path):
    with running("C") as host:
        assert "domain 7: it is not introduced" in ctl(host, "export", 7, "-o", tmp_path / "s",
                                                       status=1)
        guest = host.add_guest(7)
        assert "No such file or directory" in ctl(
            host, "export", 7, "-o", tmp_path / "none" / "stream", status=1)
        assert_runs_on(host, guest)
        # Half a request, which this guest never completes.
        guest.send_raw(packet(READ, b"domid\0")[:20])
        assert "20 of 22 octets" in ctl(host, "export", 7, status=1)
        guest.send_raw(packet(READ, b"domid\0")[20:])
        assert guest.recv_reply().payload == b"7"
        assert_runs_on(host, guest)
        guest.send_raw(packet(READ, b"", length=5000))
        wait_until(lambda: state(host) == "ended")
        assert "broken the Xenstore protocol" in ctl(host, "export", 7, status=1)
        assert "is xsproxyd running?" in ctl(host, "export", 7, "--socket", "/nowhere", status=1)
        for args in (("export",), ("export", "0"), ("export", "7", "--frob"), ("frob",)):
            assert subprocess.run([CTL, *args], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("sig", SIGNALS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_while_writing(flavour, sig):
    """The reader of the pipe has stopped reading."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(100):
            host.dom0.write(f"{HOME}/data/n{i}", b"x" * 1500)  # more than a pipe holds
        process = start_ctl(host, "export", 7)
        assert select.select([process.stdout], [], [], xensim.TIMEOUT)[0]
        process.send_signal(sig)
        assert process.wait(xensim.TIMEOUT) == 1
        assert process.stderr.read() == (
            b"xsproxyctl export: cannot write the stream: interrupted by a signal\n")
        assert_runs_on(host, guest)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("sig", SIGNALS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_while_quiescing(flavour, sig, tmp_path):
    """The guest is in the middle of a request; it goes on as if nobody had asked."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        half = packet(WRITE, b"data/long\0" + b"x" * 1500, req_id=5)
        guest.send_raw(half[:1000])
        asked = threading.Event()
        with Tap(host, lambda n, msg: asked.set() if msg.type == QUIESCE else None) as tap:
            process = start_ctl(host, "export", 7, "-o", tmp_path / "stream", "--socket", tap.path)
            assert asked.wait(xensim.TIMEOUT)
            process.send_signal(sig)
            _, errors = process.communicate(timeout=xensim.TIMEOUT)
        assert process.returncode == 1
        assert errors == (b"xsproxyctl export: cannot quiesce domain 7: interrupted by a signal\n")
        assert os.listdir(tmp_path) == []
        guest.send_raw(half[1000:])
        assert guest.recv_reply().req_id == 5
        assert_runs_on(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_at_each_step_of_export(flavour, tmp_path):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        steps = count_requests(host, "export", 7, "--keep")
        unquiesce(host.dom0, 7)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                sig = SIGNALS[step % len(SIGNALS)]
                assert signal_at(host, tap, step, sig, "export", 7, "--keep", "-o",
                                 tmp_path / "stream") == 1
                assert_runs_on(host, guest)
                assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_reader_goes_away(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        process = start_ctl(host, "export", 7)
        process.stdout.close()
        assert process.wait(xensim.TIMEOUT) == 1
        assert process.stderr.read() == (b"xsproxyctl export: cannot write the stream: the other "
                                         b"side closed the connection\n")
        process.stderr.close()
        assert_runs_on(host, guest)
