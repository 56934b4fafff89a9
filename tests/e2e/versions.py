# SPDX-License-Identifier: MIT
"""What a daemon answers where not all of them do the same, by its version: no test knows it from
elsewhere. docs/daemons.md says it for people, and test_versions.py asks the daemon at hand.

    EXPECT[flavour].watch_limit         # of this machine's Xen
    answers("C", (4, 22)).watch_limit
"""

import dataclasses
import re

from xensim import XEN_VERSION

THIS = tuple(map(int, XEN_VERSION.split(".")))


@dataclasses.dataclass(frozen=True)
class Answers:
    """Of one daemon to a guest, with its own settings, unless something else is said."""

    watch_limit: int      # watches that it may have
    watch_quota: str      # the error of one more
    watches_told: int     # how many it says that it may have, if somebody asks it; or 0
    tx_limit: int         # transactions that it may have open
    tx_quota: str
    unknown_tx: str       # a request in a transaction that is not open
    unwatch_invalid: str  # UNWATCH of a path that is none
    by_errno: bool        # what wants one string gets what errno was; where it was 0 it aborts
    strict_special: bool  # the path of a special watch is looked at like others
    perms_event: bool     # SET_PERMS on @releaseDomain sends an event to who may read it now
    depth: bool           # WATCH takes a third string
    log_limits: tuple     # options that, with -T, have the file say whom the rate of writes limits
    quota_line: str       # a line of CONTROL quota N, as a pattern; nothing if there is none

    def quota(self, text):
        """{name: count} of what CONTROL quota N has printed. Every line but the first must fit."""
        lines = [re.fullmatch(self.quota_line, line) for line in text.rstrip("\n").split("\n")[1:]]
        assert lines and all(lines), text
        return {line["name"]: int(line["count"]) for line in lines}


def _after(before, **news):
    return dataclasses.replace(before, **news)


# The first version of which it holds -> what does.
C = {(4, 17): Answers(watch_limit=129, watch_quota="E2BIG", watches_told=128,
                      tx_limit=11, tx_quota="ENOSPC",
                      unknown_tx="ENOENT", unwatch_invalid="ENOENT", by_errno=True,
                      strict_special=False, perms_event=False, depth=False, log_limits=(),
                      quota_line=r"(?P<name>\S+) *: *(?P<count>\d+)")}
C[4, 19] = _after(C[4, 17], unwatch_invalid="EINVAL", by_errno=False, strict_special=True,
                  perms_event=True, log_limits=("--trace-control=+wrl",))
C[4, 20] = _after(C[4, 19], quota_line=r"(?P<name>\S+) *: *(?P<count>\d+) \(max +\d+\)")
C[4, 22] = _after(C[4, 20], watch_limit=127, watch_quota="ENOSPC", tx_limit=9, depth=True)

OCAML = {(4, 17): Answers(watch_limit=101, watch_quota="EQUOTA", watches_told=0,
                          tx_limit=11, tx_quota="EQUOTA",
                          unknown_tx="EIO", unwatch_invalid="EINVAL", by_errno=False,
                          strict_special=False, perms_event=False, depth=False, log_limits=(),
                          quota_line="")}

TABLE = {"C": C, "O": OCAML}


def answers(flavour, version=THIS):
    """Of the daemon of that version: as the newest one that is not newer."""
    return TABLE[flavour][max(since for since in TABLE[flavour] if since <= version)]


EXPECT = {flavour: answers(flavour) for flavour in TABLE}
