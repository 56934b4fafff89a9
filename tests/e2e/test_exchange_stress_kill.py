# SPDX-License-Identifier: MIT
"""xenstored is exchanged again and again, and each time a process is killed, at any stage, while
guests and toolstack clients check every answer: none notices. XSPROXY_EXCHANGES sets how often, for
each daemon."""

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from harness import DAEMONS, xensim
from relay import FLAVOURS, wait_until
from seed import SEED
from stress import restart
from supervised import Refused, Supervised
from toolstack_load import checked

pytestmark = pytest.mark.long

EXCHANGES = int(os.environ.get("XSPROXY_EXCHANGES", "10"))
GUESTS = (1, 2, 3)
CLIENTS = 2  # of each kind
LATER = 0.03  # s after the beginning of a stage, at most
LOOKS = 0.02  # s in which xsproxyd looks several times how the exchange gets on
# From HAVE on xsproxyd has what xenstored had; a daemon that is killed before has told nobody.
HAVE = ("the state waits", "a starter has the state", "the new xenstored is told")
STAGES = ("connections are coming to rest", "transactions are being ended",
          "xenstored was asked", *HAVE)


class Exchange:
    """One, with a victim, of @host."""

    def __init__(self, host, rng):
        self.host = host
        self.after = rng.choice(FLAVOURS)
        self.victim = rng.choice((self.kill_xsproxyd, self.kill_unit))
        self.stage = rng.choice(HAVE if self.victim == self.kill_unit else STAGES)
        self.later = rng.uniform(0, LATER)
        self._log = host.sim.dir / "xsproxyd.log"
        self._read = self._log.stat().st_size
        self._since = self._ended()

    def _status(self):
        return self.host.ask("status")

    def _ended(self):
        return (self._status()["last_exchange"] or {"ended": 0})["ended"]

    def _is_under_way(self):
        return self._status()["exchange"] is not None

    def _is_over(self):
        status = self._status()
        return (not status["exchange"] and status["state"] == "running" and
                (status["last_exchange"] or {"ended": 0})["ended"] > self._since)

    def _has_come(self):
        with open(self._log, encoding="utf-8") as log:
            log.seek(self._read)
            return self.stage in log.read()

    def _begin(self):
        path = str(xensim.XEN_BIN / DAEMONS[self.after])
        with contextlib.suppress(Refused, ValueError, OSError):
            self.host.ask("replace", **{"with": path})

    def kill_xsproxyd(self):
        restart(self.host, signal.SIGKILL)
        return "xsproxyd"

    def _goes_on(self):
        """Whether it waits for somebody who stands still: xsproxyd has looked meanwhile."""
        end = time.monotonic() + LOOKS
        while time.monotonic() < end:
            if not self._is_under_way():
                return False
        return self._is_under_way()

    def kill_unit(self):
        """Whatever its process is by then, if it is needed: a daemon that is killed when all is
        done takes everything with it."""
        process = self.host.daemon.process
        process.send_signal(signal.SIGSTOP)
        if self._goes_on():
            process.kill()
            return "xenstored"
        process.send_signal(signal.SIGCONT)
        return "nobody"

    def run(self):
        """Return: what is to be said of it."""
        asking = threading.Thread(target=self._begin)
        asking.start()
        wait_until(lambda: self._has_come() or self._is_over(), poll=0.001)
        threading.Event().wait(self.later)
        killed = self.victim()
        wait_until(self._is_over)
        asking.join()
        self.host.wait_daemon()
        last = self._status()["last_exchange"]
        assert last["outcome"] in ("done", "unchanged", "restored"), last
        return killed, self.stage, last["outcome"], last["pause_ms"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_again_and_again(flavour):
    rng = random.Random(SEED)
    with Supervised(flavour, log="info") as host:
        with checked(host, GUESTS, each=CLIENTS) as look:
            for _ in range(EXCHANGES):
                print(*Exchange(host, rng).run())
                look()
