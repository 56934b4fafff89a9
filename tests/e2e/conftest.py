# SPDX-License-Identifier: MIT
"""What many tests of this directory use: tests/sim, a host of either kind, and guests on it."""

import pathlib
import resource
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sim"))

from harness import BUILD  # noqa: E402
from ours import running  # noqa: E402
from relay import FLAVOURS  # noqa: E402
from stress import Load  # noqa: E402

pytest.register_assert_rewrite("things", "scene")


def is_of_one_kind(item):
    """Whether it is about one daemon in place of another of the same kind."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    before = params.get("host", params.get("before"))
    return before is not None and before == params.get("after")


def has_the_turn(item):
    """Of one daemon or the other it is this one's turn: the same in every run."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    daemons = [name for name, value in params.items() if value in FLAVOURS]
    one = any(set(mark.args[1]) < set(FLAVOURS) for mark in item.iter_markers("parametrize")
              if mark.args[0] in daemons)
    if one or len(daemons) != 1:
        return True
    others = sorted((name, str(value)) for name, value in params.items() if name not in daemons)
    turn = zlib.crc32(repr((item.path.name, item.originalname, others)).encode())
    return params[daemons[0]] == FLAVOURS[turn % len(FLAVOURS)]


def is_for_sanitizers(item):
    """All takes longer there, and what they see does not depend on the daemon: each test runs
    with one of them, exchanges with another kind afterwards, and only what of ours runs."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return (has_the_turn(item) and not is_of_one_kind(item)
            and params.get("proxied") is not False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if is_of_one_kind(item):
            item.add_marker(pytest.mark.long)
    if BUILD.name == "san":
        left_out = [item for item in items if not is_for_sanitizers(item)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


GUESTS = 20  # that work while xsproxyd comes and goes


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    """xsproxyd before a daemon; both must still be there at the end."""
    with running(request.param) as host:
        yield host


@pytest.fixture(name="guest")
def a_guest(host):
    return host.add_guest(7)


@pytest.fixture(name="descriptors")
def a_lot_of_descriptors():
    """As many as may be, for this process and those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(name="load")
def a_load(host):
    load = Load(host, range(1, GUESTS + 1))
    yield load
    load.kill()
