# SPDX-License-Identifier: MIT
"""tests/xen-version: where it looks, and that nothing else has the version written down."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAILS = "exit 1"
DOCUMENTS = ("docs/", "debian/changelog")  # those say what is so with one version


def says(tmp_path, pkg_config, apt_cache):
    """What it says where these two programs do that."""
    for name, does in (("pkg-config", pkg_config), ("apt-cache", apt_cache)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    return subprocess.run([ROOT / "tests/xen-version"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("pkg_config, apt_cache, version", [
    ("echo 4.17.0", FAILS, "4.17"),
    ("echo 4.20.0", "echo Version: 4.17.7+13-g2445-0+deb12u1", "4.20"),
    (FAILS, "echo Package: libxen-dev; echo Version: 4.20.4+63-g7abf-0+deb13u1", "4.20")])
def test_where_it_looks(tmp_path, pkg_config, apt_cache, version):
    done = says(tmp_path, pkg_config, apt_cache)
    assert (done.returncode, done.stdout, done.stderr) == (0, version + "\n", "")


def test_nobody_knows(tmp_path):
    done = says(tmp_path, FAILS, FAILS)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "libxen-dev" in done.stderr


def test_nothing_else_knows():
    named = re.compile(r"(/xen-|xen-utils-|xen-hypervisor-|libxenctrl\.so\.)4\.\d")
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split("\0")[:-1]
    found = []
    for path in files:
        if path.startswith(DOCUMENTS) or not (ROOT / path).is_file():
            continue
        text = (ROOT / path).read_text(errors="replace")
        found += [f"{path}: {match[0]}" for match in named.finditer(text)]
    assert found == []
