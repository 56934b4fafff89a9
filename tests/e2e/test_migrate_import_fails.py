# SPDX-License-Identifier: MIT
"""xsproxyctl import that fails at any step, is interrupted, or meets a quota or a conflict: all is
as it was, and it can be tried again."""

import pytest

from migration import (FRESH, HOME, SIGNALS, Tap, assert_imported, count_requests, ctl, ctl_says,
                       held, reset, session, signal_at, stream, transaction, watch)
from ours import START_DOMAIN_TRANSACTION, tracked_transactions, tracked_watches
from relay import FLAVOURS
from versions import EXPECT
from xsclient import READ, join


def sees_nothing_but_the_import(host, guest):
    ctl(host, "import", 7, "--resume", input=stream(*FRESH))
    assert_imported(host)
    assert guest.read("data/a/b") == b"deep"
    assert [tuple(event) for event in guest.events] == [("data", "relative"),
                                                        (f"{HOME}/error/imported", "absolute")]


@pytest.mark.long
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


@pytest.mark.long
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
    assert message in ctl(host, "import", 7, "--strict", input=stream(*FRESH[:5], *records),
                          status=1)
    assert session(host) == before


@pytest.mark.parametrize("size", [1, 60])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_watch_too_many(flavour, size):
    """In the first request that adds watches, or in the last of several. Not all or nothing, but as
    many as there may be, unless that is asked for."""
    with held(flavour) as (host, _):
        most = EXPECT[flavour].watch_limit
        many = [watch(f"w{i}", "t" * size) for i in range(most + 3)]
        refused_by_quota(host, many[2:], f" to {most + 1} of the stream to domain 7: ")
        _, said = ctl_says(host, "import", 7, input=stream(*FRESH[:5], *many))
        assert tracked_watches(host.dom0, 7) == [(f"w{i}", "t" * size) for i in range(most)]
        lines = said.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith(f"xsproxyctl import: left out: w{most}: watch {'t' * size}: ")
        assert "a quota of xenstored's is exceeded" in lines[0]
        assert lines[2].endswith(": xenstored takes no more here")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_transaction_too_many(flavour):
    with held(flavour) as (host, _):
        limit = EXPECT[flavour].tx_limit
        many = [transaction(100 + i) for i in range(limit + 3)]
        refused_by_quota(host, many, f"cannot open transaction {100 + limit} of domain 7: ")
        _, said = ctl_says(host, "import", 7, input=stream(*FRESH[:5], *many))
        assert tracked_transactions(host.dom0, 7) == {100 + i for i in range(limit)}
        assert [line.split(": ")[2] for line in said.splitlines()] == [
            f"transaction {100 + i}" for i in range(limit, limit + 3)]


@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_somebody_else_writes(flavour, times):
    """What is something else when it is read again is written once more; then it is listed."""
    with held(flavour) as (host, _):
        other = host.client()
        reads = []

        def fault(_, msg):
            if (msg.type, msg.payload) == (READ, join(f"{HOME}/data")):
                reads.append(msg)
                if 2 <= len(reads) < times + 2:
                    other.write(f"{HOME}/data", "theirs")

        with Tap(host, fault) as tap:
            _, said = ctl_says(host, "import", 7, input=stream(*FRESH), socket_path=tap.path)
        assert len(reads) == 3  # before, after, and after the second time
        if times == 1:
            assert not said
            assert_imported(host)
        else:
            assert said == (f"xsproxyctl import: left out: {HOME}/data: node: somebody else keeps "
                            "writing it\n")
            assert host.dom0.read(f"{HOME}/data") == b"theirs"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_others_wrote_is_not_taken_back(flavour):
    with held(flavour) as (host, _):
        other = host.client()
        before = session(host)

        def fault(_, msg):
            if msg.type != START_DOMAIN_TRANSACTION:
                return None
            other.write(f"{HOME}/data", "theirs")
            return "EIO"

        with Tap(host, fault) as tap:
            _, said = ctl_says(host, "import", 7, input=stream(*FRESH), socket_path=tap.path,
                               status=1)
        assert f"warning: {HOME}/data has been changed by somebody else; it stays\n" in said
        assert host.dom0.read(f"{HOME}/data") == b"theirs"
        host.dom0.write(f"{HOME}/data", "")
        assert session(host) == before
