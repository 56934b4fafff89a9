# SPDX-License-Identifier: MIT
"""xsproxyd is killed at random moments under toolstack clients that check every answer, and none
notices. XSPROXY_KILLS sets how often it is killed for each daemon."""

import os
import random
import signal

import pytest

from seed import SEED
from stress import restart
from toolstack_load import Toolstack

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("XSPROXY_KILLS", "250"))


@pytest.fixture(name="toolstack")
def a_toolstack(host):
    load = Toolstack(host)
    yield load
    load.kill()


def work(host, rng):
    """Let it work for a random number of requests."""
    for _ in range(rng.randrange(20)):
        host.dom0.directory("/")


def test_killed_at_random(host, toolstack):
    rng = random.Random(SEED)
    for _ in range(KILLS):
        work(host, rng)
        restart(host, signal.SIGKILL)
        assert toolstack.all_alive(), toolstack.end()
    done = toolstack.end()
    for kind in ("library", "sockets"):
        rounds = [each for home, each in done.items() if kind in home]
        assert all(map(sum, zip(*rounds))), kind


def test_planned_restarts(host, toolstack):
    """SIGTERM, as `systemctl restart` sends it."""
    rng = random.Random(SEED)
    for _ in range(20):
        work(host, rng)
        restart(host, signal.SIGTERM)
        assert toolstack.all_alive(), toolstack.end()
    toolstack.end()
