# SPDX-License-Identifier: MIT
"""oxenstored writes no state while a domain has another one as its target. Then xsproxyctl reads
the store, and hands it over."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest

import things
from control import Control, ControlError
from entering import Whole
from harness import DAEMONS, xensim
from native_host import Native
from relay import FLAVOURS, wait_until
from supervised import Supervised

CTL = xensim.BUILD / "xsproxyctl"
WITH = {"C": "c", "O": "oxenstored"}
HAVE = "the state waits for a starter"
HELD = 1250
READS = "the store is to be read, for this xenstored does not write it down"
# All that the C daemon has in its own state as well. Of oxenstored's own a request in part is not.
THINGS = [thing for thing in things.THINGS if thing not in things.OF_C] + [things.target]


@pytest.fixture(name="host")
def host_fixture():
    with Supervised("O", log="info") as host:
        yield host
        host.check()


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


def start(host, *args):
    return subprocess.Popen([CTL, *args, "--control", host.run_dir / "control"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=host.tool_env())


def replace(host, after, *args):
    """Returns (its status, its complaints)."""
    with start(host, "xenstored", "replace", "--with", WITH[after], *args) as process:
        err = process.communicate(timeout=xensim.TIMEOUT)[1]
    if not process.returncode:
        host.serves = after
    return process.returncode, err


def done(host, after):
    result, err = replace(host, after)
    assert (result, err) == (0, "")


def log(host):
    return (host.sim.dir / "xsproxyd.log").read_text()


def test_all_goes_on(host, after):
    pid = host.daemon.pid
    things.moved(host, THINGS, lambda: done(host, after))
    assert READS in log(host) and host.daemon.pid != pid


def test_again_and_again(host):
    """Also what the one that has the store so is exchanged for."""
    def there_and_back():
        for after in ("O", "C", "O", "O"):
            done(host, after)
    things.moved(host, THINGS, there_and_back)


def test_odd_nodes(host):
    """Whatever oxenstored lets a guest write."""
    guest = host.add_guest(7)
    stub = host.add_guest(8)
    host.dom0.set_target(8, 7)
    guest.write("data/octets", bytes(range(1, 256)) * 7)
    guest.write("data/empty", "")
    guest.write("data/zeros", b"\0\0")
    host.dom0.set_perms("/local/domain/7/data/empty", "n7", "b8", "r5")
    for number in range(200):
        guest.write(f"data/dir/{number:0200}", "x")
    done(host, "O")
    assert stub.read("/local/domain/7/data/octets") == bytes(range(1, 256)) * 7
    assert guest.read("data/empty") == b"" and guest.read("data/zeros") == b"\0\0"
    assert host.dom0.get_perms("/local/domain/7/data/empty")[:2] == ["n7", "b8"]
    assert all(guest.read(f"data/dir/{number:0200}") == b"x" for number in range(200))


def with_target(host):
    stub = host.add_guest(8)
    host.add_guest(7)
    host.dom0.set_target(8, 7)
    stub.write("/local/domain/7/data/x", "1")
    return stub


def test_events_that_oxenstored_holds(host):
    """Many more than a ring and what xsproxyd keeps for who does not read have room for, each as
    long as makes the ring full at its end: it is empty whenever one looks."""
    with_target(host)
    guest = host.add_guest(31)
    things.watch(guest, "data", 701 * "t")
    for _ in range(HELD):
        host.dom0.write(f"/local/domain/31/data/{300 * 'x'}", "x")
    done(host, "O")
    for _ in range(HELD):
        assert things.event(guest).token == 701 * "t"
    things.quiet(guest)


def test_permissions_that_are_none(host, after):
    """A guest cannot hinder it by them; nobody has had them."""
    guest, _ = host.add_guest(31), with_target(host)
    guest.write("data/x", "1")
    guest.set_perms("data/x", "n31", "r65536", "b8")
    assert replace(host, after) == (0, "")
    assert host.dom0.get_perms("/local/domain/31/data/x") == ["n31", "b8"]


def test_who_asks_goes_before_it_is_to_be_read(host):
    """Nobody waits for it."""
    stub = with_target(host)
    with Control(host) as control:
        control.send("replace", reads=True, progress=True)
        assert "stage" in control.recv()
    wait_until(lambda: "who was to read the store has gone" in log(host))
    goes_on(host, stub)
    with Control(host) as control, pytest.raises(
            ControlError, match="does not write its state"):
        control.run("replace", reads=True)


def goes_on(host, stub):
    stub.write("/local/domain/7/data/x", "2")
    assert host.dom0.read("/local/domain/7/data/x") == b"2"
    assert json.loads(subprocess.check_output(
        [CTL, "status", "--json", "--control", host.run_dir / "control"]))["exchange"] is None


def stopped(host, after):
    """The command stands still where it is to read the store, as long as whoever asks it does."""
    process = start(host, "xenstored", "replace", "--with", WITH[after])
    # It is heard of the stage by a line, so it has not begun before there is one.
    wait_until(lambda: "transactions are being ended" in log(host) or process.poll() is not None)
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: READS in log(host))
    return process


def test_the_command_is_killed(host, after):
    """Nothing comes of it, and nothing is lost."""
    stub, pid = with_target(host), host.daemon.pid
    process = stopped(host, after)
    if "exchange of xenstored: the state waits" not in log(host):
        process.kill()
    process.communicate()
    goes_on(host, stub)
    assert host.daemon.pid == pid or "xenstored was exchanged" in log(host)


def test_xsproxyd_is_killed(host, after):
    stub = with_target(host)
    process = stopped(host, after)
    host.proxy.kill()
    host.start_proxy()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=xensim.TIMEOUT)
    goes_on(host, stub)


def test_oxenstored_does_not_answer(host):
    """It is left alone; what asks ends, and so does the exchange."""
    stub = with_target(host)
    process = stopped(host, "C")
    os.kill(host.daemon.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    try:
        err = process.communicate(timeout=xensim.TIMEOUT)[1]
    finally:
        os.kill(host.daemon.pid, signal.SIGCONT)
    assert process.returncode == 1 and re.search("cannot read .*: ", err)
    goes_on(host, stub)


def test_a_guest_reconnects_while_the_daemon_is_exchanged(tmp_path):
    """It is answered once there is somebody to answer it."""
    with Native("O", log="info") as host, Whole(host, tmp_path) as scene:
        host.enter("O")
        with_target(host)
        guest, waits = host.add_guest(31), log(host).count(HAVE)
        host.may_start.clear()
        left = []
        leaving = threading.Thread(target=lambda: left.append(
            scene.ctl("leave", "--with", "oxenstored")))
        leaving.start()
        wait_until(lambda: log(host).count(HAVE) > waits)
        reconnecting = threading.Thread(target=guest.reconnect)
        reconnecting.start()
        host.may_start.set()
        leaving.join()
        reconnecting.join()
        assert left[0][0] == 0 and guest.read("domid") == b"31"


def test_leave(after, tmp_path):
    """The other daemon is started by its unit then, and is native."""
    with Native("O", log="info") as host, Whole(host, tmp_path) as scene:
        host.enter("O")
        stub = with_target(host)
        host.serves = after
        result, out, err = scene.ctl("leave", "--with", WITH[after])
        assert (result, err) == (0, "") and out.startswith(DAEMONS[after])
        assert host.is_native()
        stub.write("/local/domain/7/data/x", "2")
        assert host.client().read("/local/domain/7/data/x") == b"2"
        host.check()
