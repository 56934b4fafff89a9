# SPDX-License-Identifier: MIT
"""An import that is killed, or whose xsproxyd is, leaves a journal; with that it is taken back, by
the next import or by --recover, and the domain stays held until then."""

import queue
import signal
import subprocess
import threading

import pytest

import xensim
from migration import (FRESH, HOME, Dying, Tap, assert_imported, argv, count_requests, ctl,
                       ctl_says, env, held, node, reset, session, start_ctl, state, stream)
from ours import ADD_DOMAIN_WATCHES, START_DOMAIN_TRANSACTION
from relay import FLAVOURS
from xsclient import SET_PERMS, WRITE

TAKEN_BACK = ("xsproxyctl import: warning: what an import of domain 7 that was killed had left is "
              "taken back\n")


def journal(host, domid=7):
    return host.run_dir / f"import-{domid}"


def kill_at(host, tap, step, octets):
    """An import is killed when it has sent request number @step."""
    started = queue.SimpleQueue()
    tap.requests.clear()
    tap.fault = lambda n, msg: started.get(timeout=xensim.TIMEOUT).kill() if n == step else None
    process = start_ctl(host, "import", 7, "--socket", tap.path, stdin=subprocess.PIPE)
    started.put(process)
    process.communicate(octets, timeout=xensim.TIMEOUT)
    return process.returncode


def kill_while_changing(host, what=SET_PERMS, count=1):
    """An import is killed at its @count-th request of a kind."""
    started, seen = queue.SimpleQueue(), []

    def fault(_, msg):
        if msg.type == what:
            seen.append(msg)
            if len(seen) == count:
                started.get(timeout=xensim.TIMEOUT).kill()

    with Tap(host, fault) as tap:
        process = start_ctl(host, "import", 7, "--socket", tap.path, stdin=subprocess.PIPE)
        started.put(process)
        process.communicate(stream(*FRESH), timeout=xensim.TIMEOUT)
    assert process.returncode == -signal.SIGKILL
    assert journal(host).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_at_each_step(flavour):
    """Taken back by --recover and by the next import, in turn."""
    with held(flavour) as (host, _):
        before = session(host)
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        taken_back = 0
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                killed = kill_at(host, tap, step, octets)
                assert killed in (0, -signal.SIGKILL) and state(host) == "held"
                if killed == 0:
                    assert step == steps
                    reset(host)
                elif step % 2:
                    _, said = ctl_says(host, "import", 7, "--recover")
                    assert said in ("", TAKEN_BACK)
                    taken_back += said == TAKEN_BACK
                else:
                    _, said = ctl_says(host, "import", 7, input=octets)
                    assert said in ("", TAKEN_BACK)
                    assert_imported(host)
                    reset(host)
                assert session(host) == before, step
                assert not journal(host).exists()
        assert taken_back > steps / 6


@pytest.mark.parametrize("what", [WRITE, SET_PERMS, ADD_DOMAIN_WATCHES, START_DOMAIN_TRANSACTION])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xsproxyd_dies_meanwhile(flavour, what):
    """Its successor is waited for, and all is taken back."""
    with held(flavour) as (host, _):
        before = session(host)
        dying = Dying(host, what)
        with Tap(host, dying) as tap:
            message = ctl(host, "import", 7, input=stream(*FRESH), status=1, socket_path=tap.path)
        assert message.count("\n") == 1
        dying.successor.join()
        host._dom0 = None
        assert session(host) == before
        assert not journal(host).exists()


def test_xsproxyd_does_not_come_back():
    """The journal stays, and the message says what to do."""
    with held("C") as (host, _):
        before = session(host)

        def fault(_, msg):
            if msg.type == SET_PERMS:
                host.proxy.kill()
                tap.path.unlink(missing_ok=True)
                return "cut"
            return None

        with Tap(host, fault) as tap:
            message = ctl(host, "import", 7, input=stream(*FRESH), status=1, socket_path=tap.path)
        assert message.splitlines()[-1].endswith("; run xsproxyctl import 7 --recover")
        assert journal(host).exists()
        host.start_proxy()
        host._dom0 = None
        assert ctl_says(host, "import", 7, "--recover")[1] == TAKEN_BACK
        assert session(host) == before


def test_only_one_at_a_time():
    with held("C") as (host, _):
        entered, go_on = threading.Event(), threading.Event()

        def fault(_, msg):
            if msg.type == ADD_DOMAIN_WATCHES:
                entered.set()
                assert go_on.wait(xensim.TIMEOUT)

        with Tap(host, fault) as tap:
            process = start_ctl(host, "import", 7, "--socket", tap.path, stdin=subprocess.PIPE)
            process.stdin.write(stream(*FRESH))
            process.stdin.close()
            assert entered.wait(xensim.TIMEOUT)
            for args in ((), ("--recover",)):
                assert "domain 7 is being imported already" in ctl(
                    host, "import", 7, *args, input=stream(*FRESH), status=1)
            go_on.set()
            assert process.wait(xensim.TIMEOUT) == 0
            process.stdout.close()
            process.stderr.close()
        assert_imported(host)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_domain_runs_by_now(flavour):
    """Somebody let it go on: then it is too late."""
    with held(flavour) as (host, guest):
        kill_while_changing(host)
        ctl(host, "unquiesce", 7)
        guest.write("data/x", "mine")
        assert "domain 7 is running" in ctl(host, "import", 7, "--recover", status=1)
        assert guest.read("data/x") == b"mine" and journal(host).exists()
        ctl(host, "quiesce", 7)
        assert ctl_says(host, "import", 7, "--recover")[1] == TAKEN_BACK


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_another_domain_with_that_number(flavour):
    """It is told by its <home>/vm; what is its own is left alone."""
    with held(flavour) as (host, _):
        kill_while_changing(host, count=3)
        host.dom0.write(f"{HOME}/vm", "/vm/another")
        before = session(host)
        _, said = ctl_says(host, "import", 7, "--recover")
        assert said.endswith("import-7 is of another domain 7; it is dropped\n")
        assert session(host) == before and not journal(host).exists()


@pytest.mark.parametrize("octets", [b"xsimport", b"no journal at all, but long enough for one",
                                    b"xsimport\x02" + bytes(40), b""])
def test_what_is_no_journal(octets):
    """What was not complete was followed by no change; what is something else is not touched."""
    with held("C") as (host, _):
        before = session(host)
        journal(host).write_bytes(octets)
        if octets in (b"xsimport", b""):
            ctl(host, "import", 7, "--recover")
            assert not journal(host).exists()
        else:
            assert "it is no journal of an import" in ctl(host, "import", 7, "--recover", status=1)
            assert journal(host).read_bytes() == octets
        assert session(host) == before


def test_no_room_for_a_journal():
    """Nothing is changed."""
    with held("C") as (host, _):
        before = session(host)
        message = ctl(host, "import", 7, "--journal", "/nowhere", input=stream(*FRESH), status=1)
        assert message == ("xsproxyctl import: cannot keep a journal in /nowhere (--journal): No "
                           "such file or directory\n")
        many = stream(*[node(f"{HOME}/data/n{i}", "x" * 100) for i in range(100)])
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c",
             'mount -t tmpfs -o size=4k none "$0" || exit 99; exec "$@"', host.run_dir,
             *argv(host, "import", "7")],
            input=many, env=env(host), capture_output=True, check=False, timeout=xensim.TIMEOUT)
        assert done.returncode == 1, done
        assert done.stderr.endswith(b"(--journal): No space left on device\n")
        assert session(host) == before
