# SPDX-License-Identifier: MIT
"""xenstored is exchanged again and again under guests and toolstack clients that check every
answer, and none notices. XSPROXY_EXCHANGES sets how often, for each daemon."""

import os
import random

import pytest

from seed import SEED
from stress import Frozen
from supervised import Supervised
from toolstack_load import checked

pytestmark = pytest.mark.long

FLAVOURS = ("C", "O")
EXCHANGES = int(os.environ.get("XSPROXY_EXCHANGES", "10"))
GUESTS = (1, 2, 3, 4)
FROZEN = 9


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_again_and_again(flavour):
    rng = random.Random(SEED)
    with Supervised(flavour, log="info") as host:
        frozen = Frozen(host, FROZEN)
        with checked(host, GUESTS) as look:
            for _ in range(EXCHANGES):
                print("paused", host.replace(rng.choice(FLAVOURS)), "ms,", host.serves)
                look()
            frozen.check()
            frozen.thaw(host, FROZEN)
