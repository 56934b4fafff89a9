# SPDX-License-Identifier: MIT
"""The tests of this directory use what lies in tests/sim."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sim"))
