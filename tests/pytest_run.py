# SPDX-License-Identifier: MIT
"""Run pytest over what was built, and count: for tests/check and tests/steady."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import xml.etree.ElementTree as ET

import built

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
GRACE = 60  # s
SIM, E2E = "tests/sim/test_*.py", "tests/e2e/test_*.py"


def end(process):
    """So that it ends what its tests have started."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()


def run(build_dir, args, limit, out=None, part="", **env):
    """How many tests passed, and the names of those that did not: also of those that only miss what
    make builds, or they would be missed.

    @args: paths, and options of pytest
    @limit: s
    @out: a file for what it prints, instead of standard output
    @part: names one of several that run at the same time
    """
    report = build_dir / f"pytest{part}.xml"
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
        return 0, [f"pytest{part} {args[0]}"]
    good, bad = 0, []
    for case in ET.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        unbuilt = skipped is not None and built.PROGRAMS in skipped.get("message", "")
        if unbuilt or case.find("failure") is not None or case.find("error") is not None:
            bad.append(f"{case.get('classname')}.{case.get('name')}")
        elif skipped is None:
            good += 1
    return good, bad


def files(build_dir, *args):
    """In which there is something to run: @args as of run()."""
    done = subprocess.run([*PYTEST, "--collect-only", *args], cwd=ROOT, text=True, check=True,
                          stdout=subprocess.PIPE,
                          env=dict(os.environ, XSPROXY_BUILD=str(build_dir)))
    return sorted({line.split("::")[0] for line in done.stdout.splitlines() if "::" in line})


def run_all(build_dir, patterns, limit, *options, **env):
    """Like run(), with two pytests for each processor, each of which takes the next file of
    @patterns when it has done one: each test has a host of its own, and waits half the time.
    @options are pytest's, @limit is a file's."""
    missing = [pattern for pattern in patterns if not list(ROOT.glob(pattern))]
    if missing:
        return 0, [f"pytest {pattern}: no such file" for pattern in missing]
    # Large ones first, or one of them begins when the others end.
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern)},
                   key=lambda path: (-path.stat().st_size, path))
    parts = (os.cpu_count() or 1) * 2

    def one(path):
        log = build_dir / f"pytest-{path.stem}.log"
        with open(log, "w", encoding="utf-8") as out:
            found = run(build_dir, [str(path.relative_to(ROOT)), *options], limit, out,
                        f"-{path.stem}", **env)
        return log.read_text(errors="replace"), *found

    good, bad = 0, []
    with concurrent.futures.ThreadPoolExecutor(parts) as pool:
        for said, passed, failed in pool.map(one, files):
            if failed:
                print(said, flush=True)
            good += passed
            bad += failed
    return good, bad
