# SPDX-License-Identifier: MIT
"""xsproxyctl import that fails at any step, is interrupted, or meets a quota or a conflict: all is
as it was, and it can be tried again."""

import pytest

from migration import (FRESH, HOME, SIGNALS, Tap, assert_imported, count_requests,
                       ctl, held, reset, session, signal_at, stream, transaction, watch)
from ours import TX_LIMIT, WATCH_LIMIT, tracked_transactions, tracked_watches
from relay import FLAVOURS
from xsclient import TRANSACTION_END


def sees_nothing_but_the_import(host, guest):
    ctl(host, "import", 7, "--resume", input=stream(*FRESH))
    assert_imported(host)
    assert guest.read("data/a/b") == b"deep"
    assert [tuple(event) for event in guest.events] == [("data", "relative"),
                                                        (f"{HOME}/imported", "absolute")]


@pytest.mark.parametrize("how", ["cut", "lose", "EIO"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_fails_at_each_step(flavour, how):
    """Everything is as it was, and the import can be tried again."""
    with held(flavour) as (host, guest):
        before = session(host)
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        assert session(host) == before
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                tap.requests.clear()
                tap.fault = lambda n, msg, at=step: how if n == at else None
                message = ctl(host, "import", 7, input=octets, status=1, socket_path=tap.path)
                assert message.count("\n") == 1, message
                assert session(host) == before, (step, message)
        sees_nothing_but_the_import(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_signal_at_each_step_of_import(flavour):
    """All or nothing; what is under way when it is too late to stop is taken back."""
    with held(flavour) as (host, guest):
        before = session(host)
        octets = stream(*FRESH)
        steps = count_requests(host, "import", 7, input=octets)
        reset(host)
        with Tap(host) as tap:
            for step in range(1, steps + 1):
                sig = SIGNALS[step % len(SIGNALS)]
                if signal_at(host, tap, step, sig, "import", 7, octets=octets) == 0:
                    assert step == steps
                    assert_imported(host)
                    reset(host)
                assert session(host) == before, step
        sees_nothing_but_the_import(host, guest)


def refused_by_quota(host, records, message):
    before = session(host)
    said = ctl(host, "import", 7, input=stream(*FRESH[:5], *records), status=1)
    assert message in said and "a quota of xenstored's is exceeded (E" in said
    assert session(host) == before


@pytest.mark.parametrize("size", [1, 60])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_watch_too_many(flavour, size):
    """In the first request that adds watches, or in the last of several."""
    with held(flavour) as (host, _):
        most = WATCH_LIMIT[flavour]
        many = [watch(f"w{i}", "t" * size) for i in range(most + 1)]
        refused_by_quota(host, many, f" to {len(many)} of the stream to domain 7: ")
        ctl(host, "import", 7, input=stream(*FRESH[:5], *many[1:]))
        assert len(tracked_watches(host.dom0, 7)) == most


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_transaction_too_many(flavour):
    with held(flavour) as (host, _):
        many = [transaction(100 + i) for i in range(TX_LIMIT + 1)]
        refused_by_quota(host, many, f"cannot open transaction {100 + TX_LIMIT} of domain 7: ")
        ctl(host, "import", 7, input=stream(*FRESH[:5], *many[1:]))
        assert len(tracked_transactions(host.dom0, 7)) == TX_LIMIT


@pytest.mark.parametrize("times", [0, 3, 1000])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_conflicts(flavour, times):
    """Somebody else writes to the same node just before each of the first commits. oxenstored can
    replay such a transaction; the C daemon has it done again."""
    with held(flavour) as (host, _):
        other = host.client()
        before = session(host)
        commits = []

        def fault(_, msg):
            if msg.type == TRANSACTION_END:
                commits.append(msg)
                if len(commits) <= times:
                    other.write(f"{HOME}/data", "conflict")
                    other.write(f"{HOME}/data", "")

        with Tap(host, fault) as tap:
            status = int(flavour == "C" and times == 1000)
            message = ctl(host, "import", 7, input=stream(*FRESH), socket_path=tap.path,
                            status=status)
        if status:
            assert "others changed them in each of 20 tries" in message
            assert len(commits) == 20
            assert session(host) == before
        else:
            assert_imported(host)
            assert len(commits) == (times + 1 if flavour == "C" else 1)
