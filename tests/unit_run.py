# SPDX-License-Identifier: MIT
"""Run unit test programs, and count: for tests/run-unit and tests/check. A line a program; what
one printed is shown only if it failed."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def limited(argv, limit, **kwargs):
    """Run a command that must end by itself; one that does not within @limit s has failed."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=limit,
                              cwd=ROOT, **kwargs)
    except subprocess.TimeoutExpired as late:
        said = b"".join(text for text in (late.stdout, late.stderr) if text)
        return subprocess.CompletedProcess(
            argv, 1, said.decode(errors="replace"), f"did not end within {limit} s\n")


def run(program, limit):
    """How many tests passed, and the names of those that did not; cmocka says so."""
    done = limited([program.absolute()], limit)
    text = done.stdout + done.stderr
    good = len(re.findall(r"^\[       OK \]", text, re.M))
    bad = sorted(set(re.findall(r"^\[  FAILED  \] (\w+)\s*$", text, re.M)))
    if not bad and (done.returncode or not good):
        bad = ["ended badly" if done.returncode else "tested nothing"]
    if bad:
        print(text)
    print(f"{program.name}: {good} passed, {len(bad)} failed", flush=True)
    return good, [f"{program.name}:{name}" for name in bad]


def run_all(programs, limit):
    """The same for many."""
    good, bad = 0, []
    for program in programs:
        passed, failed = run(program, limit)
        good += passed
        bad += failed
    return good, bad
