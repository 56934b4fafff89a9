# SPDX-License-Identifier: MIT
"""The lists protocol/*.def, for programs that no compiler reads them for: tools/generate, and tests
(tests/e2e/ours.py)."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,()"]+)')


def entries(name, *macros):
    """The arguments of each line of a list."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "protocol" / name).read_text(), flags=re.S)
    # A string may have parentheses.
    found = re.findall(rf'^(?:{"|".join(macros)})\(((?:"(?:[^"\\]|\\.)*"|[^")])*)\)', text, re.M)
    return [[string or word for string, word in ARGUMENT.findall(line)] for line in found]


def by_number(requests):
    """Entries of requests.def in the order of their numbers."""
    return sorted(requests, key=lambda entry: int(entry[0], 0))
