# SPDX-License-Identifier: MIT
"""Run pytest over what was built, and count: for tests/check and tests/steady."""

import os
import pathlib
import subprocess
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def run(build_dir, args, limit, out=None, **env):
    """How many tests passed, and the names of those that did not.

    @args: paths, and options of pytest
    @limit: s
    @out: a file for what it prints, instead of standard output
    """
    report = build_dir / "pytest.xml"
    report.unlink(missing_ok=True)
    try:
        subprocess.run([*PYTEST, f"--junitxml={report}", *args], cwd=ROOT, check=False,
                       timeout=limit, stdout=out, stderr=out and subprocess.STDOUT,
                       env=dict(os.environ, XSPROXY_BUILD=str(build_dir), **env))
    except subprocess.TimeoutExpired:
        print(f"pytest did not end within {limit} s", flush=True)
    if not report.exists():
        return 0, [f"pytest {' '.join(map(str, args))}"]
    good, bad = 0, []
    for case in ET.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            bad.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is None:
            good += 1
    return good, bad
