# SPDX-License-Identifier: MIT
"""versions.py says what the daemon at hand does, direct and behind xsproxyd; and has what
docs/daemons.md says of those that are not at hand."""

import itertools
import subprocess

import pytest

from ours import error_of, running, said
from relay import FLAVOURS
from versions import EXPECT, THIS, answers
from xensim import XEN_BIN
from xsclient import READ, UNWATCH, WATCH

PASS = "[guard]\nmalformed = pass\n"


@pytest.fixture(name="host", params=itertools.product(FLAVOURS, (False, True)),
                ids=lambda param: f"{param[0]}-{'proxied' if param[1] else 'direct'}")
def a_host(request):
    """xsproxyd passes everything on, so that it is the daemon that answers."""
    flavour, proxied = request.param
    with running(flavour, proxied, config=PASS) as host:
        host.expect = EXPECT[flavour]
        yield host


@pytest.fixture(name="guest")
def a_guest(host):
    return host.add_guest(7)


def test_quotas(host, guest):
    for i in range(host.expect.watch_limit):
        guest.watch("data", str(i))
    assert said(guest.watch, "data", "more") == host.expect.watch_quota
    for i in range(host.expect.tx_limit):
        guest.start()
    assert said(guest.start) == host.expect.tx_quota
    if host.expect.quota_line:
        counts = host.expect.quota(host.dom0.control("quota", "7"))
        assert (counts["watches"], counts["transactions"]) == \
            (host.expect.watch_limit, host.expect.tx_limit)


def test_unknown_transaction(host, guest):
    assert said(guest.read, "domid", tx=77) == host.expect.unknown_tx


def test_what_is_not_one_string(host, guest):
    """Something leaves an errno that is not 0."""
    guest.call(READ, b"nowhere\0")
    left = "ENOENT" if host.expect.by_errno else "EINVAL"
    assert error_of(guest.call(READ, b"domid")) == left


def test_paths_of_watches(host, guest):
    strict = "EINVAL" if host.expect.strict_special else None
    assert error_of(guest.call(WATCH, b"@a//b\0t\0")) == strict
    assert error_of(guest.call(UNWATCH, b"\0t\0")) == host.expect.unwatch_invalid
    depth = None if host.expect.depth else "EINVAL"
    assert error_of(guest.call(WATCH, b"data\0t\0" + b"1\0")) == depth


def test_permissions_of_release_domain(host, guest):
    guest.watch("@releaseDomain", "r")
    assert guest.wait_watch() == ("@releaseDomain", "r")
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    guest.read("domid")
    assert [tuple(event) for event in guest.events] == \
        host.expect.perms_event * [("@releaseDomain", "r")]


def test_options_of_the_log():
    """Only those that it knows: it ends at others."""
    done = subprocess.run([XEN_BIN / "xenstored", "--help"], capture_output=True, text=True,
                          check=False)
    assert "--trace-file" in done.stdout + done.stderr
    assert ("--trace-control" in done.stdout + done.stderr) == bool(EXPECT["C"].log_limits)


@pytest.mark.parametrize("flavour, version, limit, error", [
    ("C", (4, 17), 129, "E2BIG"), ("C", (4, 21), 129, "E2BIG"), ("C", (4, 22), 127, "ENOSPC"),
    ("C", (5, 0), 127, "ENOSPC"), ("O", (4, 22), 101, "EQUOTA")])
def test_versions_between(flavour, version, limit, error):
    """The newest entry that is not newer."""
    found = answers(flavour, version)
    assert (found.watch_limit, found.watch_quota) == (limit, error)


def test_this_one():
    assert THIS >= (4, 17)
    assert all(EXPECT[flavour] == answers(flavour, THIS) for flavour in FLAVOURS)
