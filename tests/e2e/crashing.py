# SPDX-License-Identifier: MIT
"""xenstored ends unasked: that another one has taken its place."""

import contextlib
import json

from relay import wait_until


def processes_end(host):
    """What over() compares with: xsproxyd may see the end when another one is there already."""
    return host.daemon.pid, last_ended(host)


def last_ended(host):
    """When the last exchange was over, as xsproxyd says."""
    return (host.ask("status")["last_exchange"] or {"ended": 0})["ended"]


def over(host, before):
    """Whether another one serves all. xsproxyd may be away."""
    pid, ended = before
    if host.daemon.pid == pid or not host.daemon.alive():
        return False
    with contextlib.suppress(OSError, json.JSONDecodeError):
        status = host.ask("status")
        return (status["exchange"] is None and status["state"] == "running" and
                (status["last_exchange"] or {"ended": 0})["ended"] > ended)
    return False


def crash(host):
    """SIGKILL, and another one has taken its place."""
    before = processes_end(host)
    host.daemon.kill()
    wait_until(lambda: over(host, before))
