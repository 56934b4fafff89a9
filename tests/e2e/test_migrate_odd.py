# SPDX-License-Identifier: MIT
"""Nothing that a guest writes keeps it where it is: odd permissions, watches that become too long,
paths that another daemon does not take. What cannot be said is left out and listed."""

import json

import pytest

from migration import (HOME, assert_runs_on, ctl_says, held, node, session, shown, stream,
                       transaction, tree, watch)
from ours import running, tracked_watches
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


PERMS = stream(node(f"{HOME}/data", "v", [("n", 7), ("r", 5), ("b", 0)]),
               node(f"{HOME}/data/owner", "w", [("w", 5), ("r", 7)]),
               node(f"{HOME}/data/many", "m", [("n", 7)] + [("r", 7)] * 1999))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_permissions_of_other_domains(flavour, tmp_path):
    """Left out, unless they are mapped or to be kept; where it was the owner, domain 0 is."""
    data, owner = f"{HOME}/data", f"{HOME}/data/owner"
    for options, perms, perms_of_owner in (
            ((), ["n7", "b0"], ["n0", "r7"]),
            (("--keep-permissions",), ["n7", "r5", "b0"], ["w5", "r7"]),
            (("--map-domid", "5=13"), ["n7", "r13", "b0"], ["w13", "r7"])):
        with held(flavour) as (host, _):
            host.add_guest(5)
            host.add_guest(13)
            ctl_says(host, "import", 7, "--report", tmp_path / "list", *options, input=PERMS)
            assert host.dom0.get_perms(data) == perms
            assert host.dom0.get_perms(owner) == perms_of_owner
            assert host.dom0.read(owner) == b"w"
            assert host.dom0.read(f"{data}/many") == b"m"
            assert set(host.dom0.get_perms(f"{data}/many")) == {"n7", "r7"}
            expected = [("left_out", data, "permission", "r5"),
                        ("left_out", owner, "permission", "w5")]
            assert listed(tmp_path / "list") == (expected if not options else []) + [
                ("left_out", f"{data}/many", "permissions", None)]


NOT_HERE = "domain 9, which owns it, is not introduced here (--map-domid, --drop-foreign)"


@pytest.mark.parametrize("options, owner", [(("--keep-permissions",), 9),
                                            (("--map-domid", "5=9"), 5)])
def test_an_owner_that_is_not_here(tmp_path, options, owner):
    """The C daemon takes only those that are introduced."""
    with held("C") as (host, _):
        _, said = ctl_says(host, "import", 7, *options, "--report", tmp_path / "list", input=stream(
            node(f"{HOME}/data/owner", "w", [("w", owner), ("r", 7)])))
        assert said == (
            f"xsproxyctl import: left out: {HOME}/data/owner: permissions: {NOT_HERE}\n")
        assert listed(tmp_path / "list") == [
            ("left_out", f"{HOME}/data/owner", "permissions", None)]
        assert tree(host.dom0, f"{HOME}/data/owner") == {f"{HOME}/data/owner": (b"w", ["n7"])}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_a_stubdomain_owns(flavour, tmp_path):
    """Of three, one is mapped and here, one is mapped and not here, one is not mapped."""
    stubdom = f"{HOME}/data/stubdom"
    octets = stream(node(f"{stubdom}-here", "h", [("n", 4), ("r", 7)]),
                    node(f"{stubdom}-gone", "g", [("n", 5), ("r", 7)]),
                    node(f"{stubdom}-gone/below", "b"),
                    node(f"{stubdom}-none", "n", [("n", 6), ("r", 7)]),
                    node(f"{HOME}/data/own", "o"), node(HOME, "", [("n", 5)]))
    with held(flavour) as (host, _):
        host.add_guest(8)
        _, said = ctl_says(host, "import", 7, "--map-domid", "4=8", "--map-domid", "5=9",
                           "--drop-foreign", "--report", tmp_path / "list", input=octets)
        found = tree(host.dom0, f"{HOME}/data")
        assert found.pop(f"{stubdom}-here") == (b"h", ["n8", "r7"])
        assert found.pop(f"{HOME}/data/own") == (b"o", ["n7"])
        assert list(found) == [f"{HOME}/data"]
        assert f"left out: {stubdom}-gone: node n9: {NOT_HERE}\n" in said
        assert (f"left out: {stubdom}-none: node: domain 6, which owns it, is not mapped "
                "(--map-domid)\n") in said
        assert sorted(listed(tmp_path / "list")) == [
            ("left_as_is", HOME, "node", None), ("left_out", f"{stubdom}-gone", "node", "n9"),
            ("left_out", f"{stubdom}-gone/below", "node", None),
            ("left_out", f"{stubdom}-none", "node", None)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_watches_under_a_longer_domid(flavour, tmp_path):
    """A guest's own home may have a longer name here, and what it filled up does not fit then."""
    fits = watch("x", "y" * 4061)
    octets = stream(fits, watch(f"{HOME}/x", "y" * (4064 - len(f"{HOME}/x") - 2)),
                    watch("/local/domain/7/" + "p" * 3056, "t"))
    with held(flavour, domid=32751) as (host, _):
        ctl_says(host, "import", 32751, "--map-domid", "7=32751", "--report", tmp_path / "list",
                 input=octets)
        assert [what for _, _, what, _ in listed(tmp_path / "list")] == ["watch", "watch"]
        assert tracked_watches(host.dom0, 32751) == [("x", "y" * 4061)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_fits_no_request(flavour, tmp_path):
    """Paths, values: the node is there, for what is below it."""
    octets = stream(node(f"{HOME}/data/x", b"x" * 4090), node(f"{HOME}/data/x/y", "below"),
                    node(f"{HOME}/none/x", "x"))
    with held(flavour) as (host, _):
        before = session(host)
        _, said = ctl_says(host, "import", 7, "--strict", input=octets, status=1)
        assert said.splitlines()[-1].endswith("--strict is given; nothing was changed")
        assert session(host) == before
        ctl_says(host, "import", 7, "--report", tmp_path / "list", input=octets)
        assert listed(tmp_path / "list") == [
            ("left_out", f"{HOME}/data/x", "value", None),
            ("left_out", f"{HOME}/none/x", "node", None)]
        assert tree(host.dom0, f"{HOME}/data/x") == {
            f"{HOME}/data/x": (b"", ["n7"]), f"{HOME}/data/x/y": (b"below", ["n7"])}


def test_limits_of_the_other_daemon(tmp_path):
    """A path that one daemon takes and the other does not."""
    long = f"{HOME}/data/" + "x" * 2000
    with held("C") as (host, _):
        octets = stream(node(long, "v"), node(f"{HOME}/data/y", "v"))
        ctl_says(host, "import", 7, input=octets)
        assert host.dom0.read(long) == b"v"
    with held("O") as (host, _):
        ctl_says(host, "import", 7, "--report", tmp_path / "list", input=octets)
        assert host.dom0.directory(f"{HOME}/data") == ["y"]
        assert listed(tmp_path / "list") == [("left_out", long, "node", None)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nodes_are_bounded(flavour, tmp_path):
    """By number, those of the domain's and those of others' each."""
    octets = stream(*[node(f"{HOME}/data/n{i}", i, [("n", 7)]) for i in range(20)],
                    *[node(f"{HOME}/data/t{i}", i, [("n", 0)]) for i in range(20)], transaction(3))
    with held(flavour) as (host, _):
        ctl_says(host, "import", 7, "--max-nodes", 12, "--report", tmp_path / "list", input=octets)
        assert len(host.dom0.directory(f"{HOME}/data")) == 24
        assert listed(tmp_path / "list") == [
            ("left_out", f"{HOME}/data/{kind}{i}", "node", None)
            for kind in "nt" for i in range(12, 20)]
