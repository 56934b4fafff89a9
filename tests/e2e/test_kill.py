# SPDX-License-Identifier: MIT
"""xsproxyd is killed at random moments under load, and no guest notices.

Each of the guests (tests/kill/stress.c) checks every reply and every event by itself. XSPROXY_KILLS
sets how often xsproxyd is killed for each daemon.
"""

import os
import random
import signal

import pytest

from seed import SEED
from stress import Frozen, nothing_is_left, restart

KILLS = int(os.environ.get("XSPROXY_KILLS", "500"))


@pytest.mark.long
def test_killed_at_random(host, load):
    frozen = Frozen(host, 100)
    rng = random.Random(SEED)
    for _ in range(KILLS):
        # Let it work for a random number of requests of a client of its own.
        client = host.client()
        for _ in range(rng.randrange(20)):
            client.directory("/")
        client.close()
        restart(host, signal.SIGKILL)
        assert load.all_alive(), load.end()
        frozen.check()
    load.end()
    nothing_is_left(host, load.processes)
    frozen.thaw(host, 100)


def test_planned_restart(host, load):
    """SIGTERM, as `systemctl restart` sends it."""
    for _ in range(10):
        host.client().directory("/")
        restart(host, signal.SIGTERM)
        assert load.all_alive(), load.end()
    load.end()
    nothing_is_left(host, load.processes)
