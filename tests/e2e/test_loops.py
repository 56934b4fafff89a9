# SPDX-License-Identifier: MIT
"""What a developer is told by the short loops: pytest before make, tests that need more than
`make all`, unit tests in a line a program, `make help`, and `make check` that counts all that it
does."""

import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys

import pytest

import built
import pytest_run

UNIT = {
    "good": "echo '[       OK ] test_a'; echo '[       OK ] test_b'",
    "bad": "echo '[       OK ] test_a'; echo why; echo '[  FAILED  ] test_b'; exit 1",
    "crashes": "echo '[       OK ] test_a'; kill -SEGV $$",
    "empty": "true",
}


def test_help_has_what_documents_tell_to_make():
    told = subprocess.run(["make", "-s", "help"], cwd=built.ROOT, capture_output=True, text=True,
                          check=True).stdout
    helped = set(re.findall(r"^(\S+)", told, re.M))
    makefile = "".join((built.ROOT / path).read_text(encoding="utf-8") for path in (
        "Makefile", "tests/fuzz/fuzz.mk"))
    for name in helped:
        assert re.search(rf"^([\w-]+ )*{name}( [\w-]+)*:", makefile, re.M), name
    for path in "README.md", "CONTRIBUTING.md", "tests/README.md", "docs/architecture.md":
        text = (built.ROOT / path).read_text(encoding="utf-8")
        named = re.findall(r"(?:^    |`|&& )make ((?:[A-Z]+=\S+ )*)([a-z-]+)(?=[\s`;])", text,
                           re.M)
        assert {target for _, target in named} - {"help"} <= helped, path


def pytest_over(build):
    """pytest over a build directory: (status, output, errors)."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--co", "tests/sim"],
        cwd=built.ROOT, env={**os.environ, "XSPROXY_BUILD": str(build)}, capture_output=True,
        text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_pytest_before_make(tmp_path):
    """One line that says what to do, instead of an error a test."""
    status, out, err = pytest_over(tmp_path)
    assert (status, out) == (pytest.ExitCode.USAGE_ERROR, "")
    make = f"run `make BUILD={os.path.relpath(tmp_path, built.ROOT)} all`"
    assert err.strip() == f"ERROR: {tmp_path} holds no xsproxyd: {make}"
    (tmp_path / "xsproxyd").touch()
    status, _, err = pytest_over(tmp_path)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert err.strip() == f"ERROR: {tmp_path} is older than its sources: {make}"


def test_pytest_after_make():
    assert built.complaint(built.BUILD) is None
    assert pytest_over(built.BUILD)[0] == 0


@pytest.mark.parametrize("program", [
    "other/xsproxyd", "foreign/link/xsproxyd", "xsproxyd-crashing"])
def test_what_only_test_programs_builds_is_skipped(program, tmp_path, monkeypatch):
    monkeypatch.setattr(built, "BUILD", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="run `make BUILD=.*test-programs`"):
        built.need(program)
    (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / program).touch()
    os.utime(tmp_path / program, (1, 1))
    built.is_current.cache_clear()
    with pytest.raises(pytest.skip.Exception, match="is missing or stale"):
        built.need(program)


def test_options():
    assert built.options(built.ROOT / "build") == ""
    assert built.options(built.ROOT / "build/san") == "SAN=1 "


def test_a_run_of_all_tests_does_not_bear_what_is_unbuilt(tmp_path, monkeypatch):
    """Other skips it does."""
    path = (tmp_path / "inner").with_suffix(".py")
    path.write_text(
        "import pytest\nimport built\n"
        "def test_unbuilt():\n    built.need('none')\n"
        "def test_other():\n    pytest.skip('not root')\n"
        "def test_good():\n    pass\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(built.ROOT / "tests"))
    with open(tmp_path / "log", "wb") as out:
        assert pytest_run.run(tmp_path, [str(path)], 60, out) == \
            (1, ["inner.test_unbuilt"])


def run_unit(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{UNIT[name]}\n", encoding="utf-8")
        path.chmod(0o755)
    done = subprocess.run([built.ROOT / "tests/run-unit", *(tmp_path / name for name in names)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_unit_says_a_line_a_program(tmp_path):
    assert run_unit(tmp_path, "good") == (0, ["good: 2 passed, 0 failed", "2 passed, 0 failed"])


@pytest.mark.parametrize("name, good, why", [
    ("bad", 1, "test_b"), ("crashes", 1, "ended badly"), ("empty", 0, "tested nothing")])
def test_unit_shows_what_failed(name, good, why, tmp_path):
    status, lines = run_unit(tmp_path, "good", name)
    assert status == 1
    assert lines[0] == "good: 2 passed, 0 failed"
    assert lines[-3:] == [f"{name}: {good} passed, 1 failed", f"FAILED {name}:{why}",
                          f"{2 + good} passed, 1 failed"]
    assert ("why" in lines) == (name == "bad")


@pytest.fixture(name="check")
def a_check(monkeypatch):
    """tests/check, with nothing to build and nothing that passes or fails."""
    loader = importlib.machinery.SourceFileLoader("check", str(built.ROOT / "tests/check"))
    check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
    loader.exec_module(check)
    for parts in check.BESIDE, check.ALONE:
        for part in parts:
            monkeypatch.setitem(parts, part, lambda: None)
    monkeypatch.setattr(check, "build", lambda *_, **__: True)
    monkeypatch.setattr(check.signal, "signal", lambda *_: None)
    return check


def run_check(check, monkeypatch, capsys, *args):
    """Its exit status, and the lines that it prints after how long it took."""
    monkeypatch.setattr(sys, "argv", ["check", *args])
    with pytest.raises(SystemExit) as ended:
        check.main()
    return ended.value.code, capsys.readouterr().out.splitlines()[1:]


def test_check_and_check_more_are_all(check):
    # The part of e2e that another Debian's tree runs.
    assert sorted((*check.USUAL, *check.MORE, "core")) == sorted((*check.BESIDE, *check.ALONE))


def test_check_counts_both_halves(check, monkeypatch, capsys):
    monkeypatch.setitem(check.ALONE, "unit", lambda: check.count(3, []))
    assert run_check(check, monkeypatch, capsys) == (0, ["3 passed, 0 failed"])
    monkeypatch.setitem(check.BESIDE, "valgrind", lambda: check.count(1, ["v"]))
    assert run_check(check, monkeypatch, capsys, "valgrind") == \
        (1, ["FAILED v", "4 passed, 1 failed"])


@pytest.mark.parametrize("part", ["lint", "valgrind", "san"])
def test_check_ends_where_a_part_does(check, monkeypatch, capsys, part):
    """Whichever half it is in, it says so, and that is no success."""
    parts = check.BESIDE if part in check.BESIDE else check.ALONE
    monkeypatch.setitem(parts, part, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_check(check, monkeypatch, capsys, part)


def test_check_where_the_build_fails(check, monkeypatch, capsys):
    monkeypatch.setattr(check, "build", lambda *_, **__: check.count(0, ["build"]))
    assert run_check(check, monkeypatch, capsys, "valgrind", "unit") == \
        (1, ["FAILED build", "0 passed, 1 failed"])
