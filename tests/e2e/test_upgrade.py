# SPDX-License-Identifier: MIT
"""An upgrade under load, and back: the program is replaced by a build of another compiler and
version, xsproxyd is restarted into it, and no guest notices."""

import os
import shutil
import signal

import pytest

import built
from control import Control
from stress import Frozen, all_go_on, nothing_is_left, restart

ROUNDS = 4


def install(host, build):
    """Replace the installed program as dpkg does: the running one keeps its own file."""
    program = host.sim.dir / "installed"
    shutil.copy(built.need(build), host.sim.dir / "new")
    os.replace(host.sim.dir / "new", program)
    return program


def version(host):
    with Control(host) as control:
        return control.run("status")["version"]


@pytest.mark.long
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_upgrade_and_back(host, load, sig):
    frozen = Frozen(host, 100)
    ours = version(host)
    for _ in range(ROUNDS):
        for build, expected in (("other/xsproxyd", f"{ours}-other"), ("xsproxyd", ours)):
            restart(host, sig, program=install(host, build))
            assert version(host) == expected
            all_go_on(host, load)
            assert load.all_alive(), load.end()
            frozen.check()
    load.end()
    nothing_is_left(host, load.processes)
    frozen.thaw(host, 100)


def test_what_one_build_took_the_other_gives(host):
    """Watches and transactions that one build tracks are known to, and served by, the other."""
    guest = host.add_guest(7)
    builds = ["other/xsproxyd", "xsproxyd"] * 3
    for number, build in enumerate(builds):
        guest.watch("data", f"token{number}")
        assert guest.wait_watch() == ("data", f"token{number}")
        tx = guest.start()
        guest.write("data/x", number, tx=tx)
        restart(host, signal.SIGTERM, program=install(host, build))
        guest.end(tx)
        events = {guest.wait_watch() for _ in range(number + 1)}
        assert events == {("data/x", f"token{i}") for i in range(number + 1)}
        assert guest.read("data/x") == str(number).encode()
