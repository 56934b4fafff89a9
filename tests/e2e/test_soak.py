# SPDX-License-Identifier: MIT
"""A short run of `make soak`: memory stays flat, no descriptor and no guest is lost."""

import subprocess
import sys

import pytest

from harness import BUILD
from relay import FLAVOURS
from xsguest import ROOT


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_short(flavour):
    done = subprocess.run(
        [sys.executable, ROOT / "tests/soak/soak.py", "--daemon", flavour, "--seconds", "15",
         "--guests", "50"], capture_output=True, text=True, check=False, timeout=300)
    print(BUILD, done.stdout, done.stderr)
    assert done.returncode == 0
