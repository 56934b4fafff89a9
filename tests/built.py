# SPDX-License-Identifier: MIT
"""Whether what a test is about to run was made of the sources as they are; make knows."""

import functools
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("XSPROXY_BUILD", ROOT / "build")).absolute()

# How a test says that it needs more than `make all` makes. A run of all tests takes it as a failure
# (pytest_run.py).
PROGRAMS = "test-programs"


@functools.cache
def is_current(build, *targets):
    """Whether `make` would do nothing for @targets in the directory @build."""
    relative = os.path.relpath(build, ROOT)  # as the dependencies that the compiler wrote have it
    env = {key: value for key, value in os.environ.items()
           if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "BUILD")}
    return not subprocess.run(["make", "-q", f"BUILD={relative}", *targets], cwd=ROOT, env=env,
                              capture_output=True, check=False).returncode


def options(build):
    """What to say to make so that it builds there, and a space; nothing for build/."""
    relative = os.path.relpath(build, ROOT)
    return {"build": "", "build/san": "SAN=1 "}.get(relative, f"BUILD={relative} ")


def complaint(build):
    """Why no test can run over a build directory, and what to do; None if they can."""
    if not (build / "xsproxyd").exists():
        wrong = "holds no xsproxyd"
    elif not is_current(build, "all"):
        wrong = "is older than its sources"
    else:
        return None
    return f"{build} {wrong}: run `make {options(build)}all`"


def need(program):
    """The path of one of the builds of tests/kill/builds.mk. Skips the test that calls it if it is
    missing, or stale: it would prove something else."""
    path = BUILD / program
    made = [(BUILD, path)]
    if program.startswith("other/"):  # by a make of its own, with a header that this one makes
        other = BUILD / "other"
        made = [(BUILD, other / "include/config/config.h"), (other, path)]
    if not all(is_current(build, os.path.relpath(target, ROOT)) for build, target in made):
        pytest.skip(f"{path} is missing or stale: run `make {options(BUILD)}{PROGRAMS}`")
    return path
