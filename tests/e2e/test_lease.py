# SPDX-License-Identifier: MIT
"""A leased QUIESCE ends with who asked for it, and only then: by the wire request, beside leases of
the control socket, and in xsproxyctl export, which is killed at each of its steps here."""

import select
import signal

import pytest

from control import Control
from migration import HOME, Tap, assert_runs_on, count_requests, ctl, shown, start_ctl, state
from ours import QUIESCE, ask, quiesce, running, unquiesce
from relay import FLAVOURS, wait_until

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def lease(client, domid):
    assert ask(client, QUIESCE, domid, "lease") == b"OK\0"


def settled_state(host):
    """What a domain is when xsproxyd has seen the end of every connection that was closed."""
    with Control(host) as control:
        # dom0's client is the only one that lives on; the answer comes after the others' end.
        control.wait(lambda status: status["clients"] == 1, "status")
        return control.state(7)


def settled_after(host, client):
    client.close()
    return settled_state(host)


# --- the request

def test_ends_with_the_connection(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        client = host.client()
        lease(client, 7)
        lease(client, 7)
        assert settled_after(host, client) == "running"
        assert guest.read("domid") == b"7"


def test_the_last_lease_counts(flavour):
    """Whichever socket it came by."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        first, second = host.client(), host.client()
        with Control(host) as control:
            lease(first, 7)
            lease(second, 7)
            control.run("quiesce", domid=7, lease=True)
            first.close()
            second.close()
            assert settled_state(host) == "leased"
        assert_runs_on(host, guest)
        with Control(host) as control:
            control.run("quiesce", domid=7, lease=True)
            client = host.client()
            lease(client, 7)
        assert state(host) == "quiesced"
        client.close()
        assert_runs_on(host, guest)


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_quiesce_makes_it_permanent(flavour, order):
    with running(flavour) as host:
        guest = host.add_guest(7)
        client = host.client()
        if order == "before":
            quiesce(host.dom0, 7)
        lease(client, 7)
        if order == "after":
            quiesce(host.dom0, 7)
        page = guest.page()
        assert settled_after(host, client) == "quiesced"
        assert guest.page() == page
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"


def test_unquiesce_ends_it(flavour):
    """A new lease is not mixed up with one that was ended."""
    with running(flavour) as host:
        host.add_guest(7)
        old, new = host.client(), host.client()
        lease(old, 7)
        unquiesce(host.dom0, 7)
        assert state(host) == "running"
        lease(new, 7)
        new.close()
        wait_until(lambda: state(host) == "running")
        quiesce(host.dom0, 7)
        assert settled_after(host, old) == "quiesced"


def test_ends_with_the_domain(flavour):
    """A domain that gets the same id later has nothing to do with it."""
    with running(flavour) as host:
        host.add_guest(7).close()
        old, new = host.client(), host.client()
        lease(old, 7)
        host.dom0.release(7)
        host.sim.destroy(7)
        guest = host.add_guest(7)
        lease(new, 7)
        new.close()
        assert_runs_on(host, guest)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_ends_with_xsproxyd(flavour, sig):
    with running(flavour) as host:
        guest = host.add_guest(7)
        lease(host.client(), 7)
        host.proxy.kill(sig)
        host.start_proxy()
        assert guest.read("domid") == b"7"


def test_malformed(flavour):
    with running(flavour) as host:
        host.add_guest(7)
        for words in ((7, "leas"), (7, "lease", ""), (7, ""), (7, "leased"), (0, "lease")):
            assert ask(host.dom0, QUIESCE, *words) == "EINVAL"
        assert ask(host.dom0, QUIESCE, 8, "lease") == "ENOENT"
        assert state(host) == "running"


# --- export

def kill_at(host, step, *args):
    """SIGKILL an export before its request number @step is passed on."""
    started = []

    def fault(n, _):
        if n == step:
            wait_until(lambda: started)
            started[0].kill()
            started[0].wait()
            return "cut"
        return None

    with Tap(host, fault) as tap:
        started.append(start_ctl(host, "export", 7, *args, "--socket", tap.path))
        _, errors = started[0].communicate()
    assert (started[0].returncode, errors) == (-signal.SIGKILL, b"")


def test_export_killed_at_each_step(flavour, tmp_path):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.start()
        steps = count_requests(host, "export", 7, "--keep")
        unquiesce(host.dom0, 7)
        for step in range(1, steps + 1):
            kill_at(host, step, "--keep", "-o", tmp_path / "stream")
            assert_runs_on(host, guest)
        assert not (tmp_path / "stream").exists()


def start_export_that_hangs(host):
    """It has read the domain, and nobody reads what it writes."""
    for i in range(100):
        host.dom0.write(f"{HOME}/data/n{i}", b"x" * 1500)  # more than a pipe holds
    process = start_ctl(host, "export", 7)
    assert select.select([process.stdout], [], [], 20)[0]
    return process


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def test_export_killed_while_writing(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        process = start_export_that_hangs(host)
        assert state(host) == "quiesced"
        end(process)
        assert_runs_on(host, guest)


@pytest.mark.parametrize("how", ["quiesced", "leased"])
def test_killed_export_leaves_still_what_was(flavour, how):
    """Somebody else has quiesced the domain."""
    with running(flavour) as host, Control(host) as control:
        guest = host.add_guest(7)
        control.run("quiesce", domid=7, lease=how == "leased")
        page = guest.page()
        end(start_export_that_hangs(host))
        assert settled_state(host) == how
        assert guest.page() == page
        control.run("unquiesce", domid=7)
        assert_runs_on(host, guest)


@pytest.mark.parametrize("leased", [False, True])
def test_a_complete_export_stays_quiesced(flavour, leased):
    """Also if somebody's lease was there first."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        with Control(host) as control:
            if leased:
                control.run("quiesce", domid=7, lease=True)
            nodes, _, _ = shown(ctl(host, "export", 7, "--keep"))
            assert f"{HOME}/name" in nodes
        assert settled_state(host) == "quiesced"
        unquiesce(host.dom0, 7)
        assert guest.read("domid") == b"7"
