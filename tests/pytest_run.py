# SPDX-License-Identifier: MIT
"""Run pytest over what was built, and count: for tests/check and tests/steady."""

import os
import pathlib
import signal
import subprocess
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
GRACE = 60  # s


def end(process):
    """So that it ends what its tests have started."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()


def run(build_dir, args, limit, out=None, **env):
    """How many tests passed, and the names of those that did not.

    @args: paths, and options of pytest
    @limit: s
    @out: a file for what it prints, instead of standard output
    """
    report = build_dir / "pytest.xml"
    report.unlink(missing_ok=True)
    with subprocess.Popen([*PYTEST, f"--junitxml={report}", *args], cwd=ROOT, stdout=out,
                          stderr=out and subprocess.STDOUT,
                          env=dict(os.environ, XSPROXY_BUILD=str(build_dir), **env)) as process:
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"pytest did not end within {limit} s", flush=True)
        finally:
            end(process)
    if not report.exists():
        return 0, [f"pytest {' '.join(map(str, args))}"]
    good, bad = 0, []
    for case in ET.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            bad.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is None:
            good += 1
    return good, bad
