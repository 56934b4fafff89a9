# SPDX-License-Identifier: MIT
"""xenstored is killed again and again, or xsproxyd, or both within a moment, while guests and
toolstack clients check every answer: none notices. XSPROXY_CRASHES sets how often, for each daemon.
"""

import os
import random
import signal
import threading

import pytest

from crashing import over, processes_end
from mirrored import differences, wait_whole
from relay import FLAVOURS, wait_until
from seed import SEED
from supervised import Supervised
from toolstack_load import checked

pytestmark = pytest.mark.long

CRASHES = int(os.environ.get("XSPROXY_CRASHES", "20"))
GUESTS = (1, 2, 3)
CLIENTS = 2  # of each kind
BETWEEN = 0.3  # s between two, at most
BOTH = 0.2  # s between the ends of two processes, at most


def pause(rng, most):
    threading.Event().wait(rng.uniform(0, most))


def kill_xenstored(host, _rng):
    host.daemon.process.kill()


def kill_both(host, rng):
    """In any order, within a moment, or at the same time."""
    victims = [host.daemon.process.kill, lambda: host.proxy.kill(signal.SIGKILL)]
    rng.shuffle(victims)
    victims[0]()
    if rng.random() < 0.5:
        pause(rng, BOTH)
    victims[1]()
    if rng.random() < 0.5:
        pause(rng, BOTH)
    host.start_proxy()


@pytest.mark.parametrize("kill", [kill_xenstored, kill_both])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_again_and_again(flavour, kill, monkeypatch):
    monkeypatch.setenv("XSSTRESS_CRASHES", "1")
    rng = random.Random(SEED)
    with Supervised(flavour, log="info") as host:
        with checked(host, GUESTS, each=CLIENTS) as look:
            for _ in range(CRASHES):
                wait_whole(host)
                pause(rng, BETWEEN)
                ends = processes_end(host)
                kill(host, rng)
                wait_until(lambda: over(host, ends))
                look()
        assert differences(host) == 0
