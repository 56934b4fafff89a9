# SPDX-License-Identifier: MIT
"""Nothing that a guest writes keeps it where it is: odd permissions, watches that become too long or
too many, transactions that there are no more of. What cannot be said is left out and listed."""

import json

import pytest

from migration import HOME, assert_runs_on, ctl_says, shown
from ours import running
from relay import FLAVOURS

# What a guest sets as its node's permissions, and what becomes of it in the store
ODD = {"r-1": {"C": "r-1", "O": "r9223372036854775807"}, "r65536": {}, "r99999999999":
       {"C": "r1215752191"}, "n-5": {"O": "n9223372036854775803"}}


def listed(path):
    """What --report lists: [(kind, path, what, detail), ...]."""
    found = []
    for line in path.read_text().splitlines():
        (kind, what), = json.loads(line).items()
        assert what["why"]
        found.append((kind, what.get("path"), what["what"], what.get("detail")))
    return found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_odd_permissions_are_exported(flavour, tmp_path):
    with running(flavour) as host:
        guest = host.add_guest(7)
        expected = []
        for i, (perm, kept) in enumerate(ODD.items()):
            guest.write(f"data/n{i}", "x")
            guest.set_perms(f"data/n{i}", "n7", perm, "r5")
            expected.append(("left_out", f"{HOME}/data/n{i}", "permission",
                             kept.get(flavour, perm)))
        out, said = ctl_says(host, "export", 7, "--report", tmp_path / "list")
        nodes = shown(out)[0]
        for i in range(len(ODD)):
            assert nodes[f"{HOME}/data/n{i}"] == ("x", ["n7", "r5"])
        assert listed(tmp_path / "list") == expected
        assert said.splitlines() == [
            f"xsproxyctl export: left out: {path}: {what} {detail}: it names no domain that a "
            "stream can" for _, path, what, detail in expected]


def test_permissions_that_fit_no_socket_reply(tmp_path):
    """oxenstored has no bound on permissions, and prints more octets than it was given."""
    with running("O") as host:
        guest = host.add_guest(7)
        guest.set_perms("data", "n7", *["r-1"] * 1000, "r5")
        out, said = ctl_says(host, "export", 7, "--report", tmp_path / "list")
        assert shown(out)[0][f"{HOME}/data"] == ("", ["n7", "r5"])
        assert len(listed(tmp_path / "list")) == 1000 and said.count("\n") == 1000


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_strict_export(flavour, tmp_path):
    """With --strict the guest runs on."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.set_perms("data", "n7", "r65536")
        out, said = ctl_says(host, "export", 7, "--strict", "-o", tmp_path / "stream", status=1)
        assert said.splitlines()[-1] == ("xsproxyctl export: not all of domain 7 can be exported, "
                                         "and --strict is given")
        assert not (tmp_path / "stream").exists() and not out
        assert_runs_on(host, guest)
        ctl_says(host, "export", 7, "-o", tmp_path / "stream")
