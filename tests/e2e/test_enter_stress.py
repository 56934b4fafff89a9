# SPDX-License-Identifier: MIT
"""xsproxyd is put before a native xenstored, which is exchanged, and leaves again, and so on, under
guests and toolstack clients that check every answer, and none notices. XSPROXY_ENTER_S sets for how
long."""

import os
import random
import time

import pytest

from native_host import Native
from relay import FLAVOURS
from seed import SEED
from toolstack_load import checked

pytestmark = pytest.mark.long

SECONDS = int(os.environ.get("XSPROXY_ENTER_S", "30"))
# oxenstored writes its state only at a moment at which nobody is in the middle of anything.
GUESTS = (1, 2)
CLIENTS = 1  # of each kind


def rounds(host, rng):
    """One round: whoever has served at its end is native."""
    behind, then, native = (rng.choice(FLAVOURS) for _ in range(3))
    print("behind", behind, host.enter(behind), "ms", end="; ", flush=True)
    if rng.randrange(2):
        print("then", then, host.replace(then), "ms", end="; ", flush=True)
    pause = host.leave(native)
    print("native", host.serves, pause, "ms", flush=True)
    assert host.is_native()
    host.dismiss()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_again_and_again(flavour):
    rng = random.Random(SEED)
    with Native(flavour, log="info") as host:
        with checked(host, GUESTS, each=CLIENTS) as look:
            for domid in GUESTS:
                host.note_frame(domid)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                rounds(host, rng)
                look()
