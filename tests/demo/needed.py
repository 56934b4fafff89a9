# SPDX-License-Identifier: MIT
"""What demo and play need before they start: the daemons, the stock tools, what `make` builds."""

import pathlib
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name) for name in ("e2e", "sim")]

import xensim  # noqa: E402
from xsguest import BUILD  # noqa: E402

PACKAGE = f"xen-utils-{xensim.XEN_VERSION}"
TOOLS = {"xenstore-ls": "xenstore-utils"}
CONTROL = xensim.XEN_BIN / "xenstore-control"
NAMES = {"C": "xenstored", "O": "oxenstored"}
PROGRAMS = ("xsproxyd", "xsproxy-keeper", "xsproxyctl", "libxsproxy-bridge.so", "libxensim.so",
            "xensim", "xsguest", "libxsguest.so")


def check(who, flavours):
    """End with a line that says what is missing for @who, and how to get it; or return."""
    for path in (*(xensim.XEN_BIN / NAMES[flavour] for flavour in flavours), CONTROL):
        if not path.exists():
            _missing(who, path, PACKAGE)
    for name, package in TOOLS.items():
        if subprocess.run(["which", name], capture_output=True, check=False).returncode:
            _missing(who, name, package)
    for name in PROGRAMS:
        if not (BUILD / name).exists():
            sys.exit(f"{who}: {BUILD / name} is missing: run `make` first")


def _missing(who, path, package):
    sys.exit(f"{who}: {path} is missing: install Debian's package {package} "
             f"(tests/install-deps does, and `make {who}` calls it)")
