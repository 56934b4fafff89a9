# SPDX-License-Identifier: MIT
"""What the mirror of the store says of itself (`mirror` on the control socket)."""

from relay import wait_until


def is_whole(host):
    return host.ask("mirror")["state"] == "whole"


def wait_whole(host):
    """All of the store was read, and nothing is to be read again."""
    wait_until(lambda: is_whole(host) and not host.ask("mirror")["unsure"])


def differences(host):
    """How many nodes the mirror has otherwise than the store."""
    wait_whole(host)
    before = host.ask("mirror")
    found = host.ask("mirror", check=True)
    assert found["compared"] >= before["nodes"] // 2
    return found["differed"]
