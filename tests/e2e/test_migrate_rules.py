# SPDX-License-Identifier: MIT
"""What an import may write: never what the toolstack owns, or would have to make, on this host,
unless that is asked for."""

import json

import pytest

import xensim
from migration import HOME, assert_runs_on, ctl_says, held, node, session, state, stream, tree
from ours import running
from relay import FLAVOURS
from test_migrate_odd import listed

# What libxl, xenconsoled and qemu follow or remove as dom0
PLANTED = {"vm": "/local", "domid": "0", "console/tty": "/etc/shadow", "name": "Domain-0",
           "device-model/7/state": "running", "store/port": "1", "libxl": "x",
           "device-misc/x": "y", "image/device-model-pid": "1"}
HOSTILE = [node(HOME, "mine", [("n", 7)])] + [
    node(f"{HOME}/{path}", value, [(letter, owner)])
    for (path, value), (letter, owner) in zip(PLANTED.items(), [("n", 7), ("b", 0), ("w", 7)] * 3)]
# Their parents, so that it is not for want of them
PARENTS = [node(f"{HOME}/{path}", "", [("n", 7)])
           for path in ("console", "device-model", "device-model/7", "store", "device-misc",
                        "image")]


def libxl_home(dom0, domid):
    """What libxl makes for a PVH guest: most belongs to domain 0."""
    base = f"/local/domain/{domid}"
    dom0.rm(base)
    dom0.mkdir(base)
    dom0.set_perms(base, "n0", f"r{domid}")
    for path, value in (("vm", f"/vm/{domid}"), ("name", "guest"), ("domid", domid), ("cpu", ""),
                        ("memory", ""), ("device", ""), ("control", ""), ("console", ""),
                        ("console/tty", "/dev/pts/3"), ("console/port", "2"), ("store", "")):
        dom0.write(f"{base}/{path}", value)
        dom0.set_perms(f"{base}/{path}", "n0", f"r{domid}")
    for path in ("device/suspend/event-channel", "control/shutdown", "data", "drivers", "feature",
                 "attr", "error"):
        dom0.write(f"{base}/{path}", "")
        dom0.set_perms(f"{base}/{path}", f"n{domid}")


@pytest.mark.parametrize("with_home", [libxl_home, xensim.home])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hostile(flavour, with_home, tmp_path):
    with held(flavour) as (host, guest):
        host.dom0.rm(HOME)
        with_home(host.dom0, 7)
        before = tree(host.dom0, HOME)
        octets = stream(*HOSTILE, *PARENTS, node(f"{HOME}/data", "good"))
        ctl_says(host, "import", 7, "--report", tmp_path / "list", input=octets)
        after = tree(host.dom0, HOME)
        assert after.pop(f"{HOME}/data") == (b"good", ["n7"])
        before.pop(f"{HOME}/data")
        assert after == before
        assert {path for kind, path, *_ in listed(tmp_path / "list") if kind == "left_as_is"} == (
            {HOME} | {f"{HOME}/{path}" for path in PLANTED} | {
                f"{HOME}/{path}" for path in ("console", "device-model", "device-model/7", "store",
                                              "device-misc", "image")})
        ctl_says(host, "unquiesce", 7)
        assert_runs_on(host, guest)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_libxl_removes(flavour):
    """Its pattern of old: xs_rm() of what <home>/vm says."""
    with held(flavour) as (host, _):
        for planted in (stream(*HOSTILE, *PARENTS), stream(node(f"{HOME}/vm", "/local"))):
            host.dom0.rm(f"{HOME}/vm")
            ctl_says(host, "import", 7, input=planted)
            assert "vm" not in host.dom0.directory(HOME)
        host.dom0.write(f"{HOME}/vm", "/vm/7")
        ctl_says(host, "import", 7, input=planted)
        assert host.dom0.read(f"{HOME}/vm") == b"/vm/7"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_overwrite(flavour):
    """Asked for, all of it is written but the home itself."""
    with held(flavour) as (host, _):
        _, said = ctl_says(host, "import", 7, "--overwrite", input=stream(*HOSTILE, *PARENTS))
        for path, value in PLANTED.items():
            assert host.dom0.read(f"{HOME}/{path}") == value.encode()
        assert host.dom0.get_perms(HOME) == ["n0", "r7"] and host.dom0.read(HOME) == b""
        assert said == (f"xsproxyctl import: left as it is: {HOME}: node: it is the domain's "
                        "home\n")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_without_a_home(flavour):
    """It is made as libxl makes it, and the domain could make nothing in it."""
    with held(flavour) as (host, _):
        host.dom0.rm(HOME)
        ctl_says(host, "import", 7, input=stream(*HOSTILE, *PARENTS, node(f"{HOME}/data", "x")))
        assert tree(host.dom0, HOME) == {HOME: (b"", ["n0", "r7"])}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_where_the_domain_may_write(flavour):
    """Whoever owns it: then it could have made the node, and below what is made all may be."""
    with held(flavour) as (host, _):
        for path, perms in (("w", ["n0", "w7"]), ("b", ["n0", "b7"]), ("all", ["w0"]),
                            ("r", ["n0", "r7"]), ("none", ["w0", "n7"])):
            host.dom0.write(f"{HOME}/data/{path}", "")
            host.dom0.set_perms(f"{HOME}/data/{path}", *perms)
        octets = stream(*[node(f"{HOME}/data/{path}/x/y", "", [("n", 0)])
                          for path in ("w", "b", "all", "r", "none")],
                        *[node(f"{HOME}/data/{path}/x", "", [("n", 0)])
                          for path in ("w", "b", "all", "r", "none")])
        ctl_says(host, "import", 7, input=octets)
        found = tree(host.dom0, f"{HOME}/data")
        for path in ("w", "b", "all"):
            assert found[f"{HOME}/data/{path}/x/y"] == (b"", ["n0"])
        for path in ("r", "none"):
            assert f"{HOME}/data/{path}/x" not in found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_roots(flavour):
    """A root asks for new nodes there, but those of the toolstack stay; so it is in the home, where
    a root above it asks for nothing."""
    with held(flavour) as (host, _):
        host.dom0.write("/vm/7/uuid", "old")
        octets = stream(node("/vm/7/uuid", "new", [("n", 0)]), node("/vm/7/more", "x", [("n", 0)]),
                        node(f"{HOME}/memory/more", "x"), node(f"{HOME}/cpu/more", "x"))
        ctl_says(host, "import", 7, "--root", "/", "--root", f"{HOME}/memory", input=octets)
        assert host.dom0.read("/vm/7/uuid") == b"old"
        assert host.dom0.read("/vm/7/more") == b"x"
        assert host.dom0.read(f"{HOME}/memory/more") == b"x"
        assert "more" not in host.dom0.directory(f"{HOME}/cpu")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stream_that_changes_nothing(flavour):
    """What is here already is not written again, and not listed."""
    with held(flavour) as (host, _):
        before = session(host)
        octets = stream(*[node(path, value, [(perm[0], int(perm[1:])) for perm in perms])
                          for path, (value, perms) in tree(host.dom0, HOME).items()])
        assert ctl_says(host, "import", 7, "--strict", input=octets) == (b"", "")
        assert session(host) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_values_are_mapped(flavour, tmp_path):
    """As of a guest whose backends are in a driver domain that has another number here."""
    backend = "/local/domain/5/backend/vif/7/0"
    own = f"{HOME}/data"
    octets = stream(node(f"{own}/backend", backend), node(f"{own}/text", f"at {backend}"),
                    node(f"{own}/other", "/local/domain/55/backend"))
    with held(flavour) as (host, _):
        maps = "--map-domid", "5=6"
        assert ctl_says(host, "import", 7, *maps, input=octets) == (b"", "")
        assert host.dom0.read(f"{own}/backend") == backend.encode()
        _, said = ctl_says(host, "import", 7, *maps, "--map-values", "--strict",
                           "--report", tmp_path / "list", input=octets)
        there = backend.replace("/5/", "/6/")
        assert host.dom0.read(f"{own}/backend") == there.encode()
        assert host.dom0.read(f"{own}/text") == f"at {backend}".encode()
        assert host.dom0.read(f"{own}/other") == b"/local/domain/55/backend"
        assert said == (f"xsproxyctl import: rewritten: {own}/backend: value {backend}: now "
                        f"{there}\n")
        assert json.loads((tmp_path / "list").read_text()) == {"rewritten": {
            "what": "value", "why": "--map-values", "path": f"{own}/backend", "detail": backend,
            "now": there}}
        said = ctl_says(host, "import", 7, "--map-values", input=octets, status=2)[1]
        assert said == "xsproxyctl import: --map-values is only for --map-domid; see --help\n"


def test_a_domain_that_runs_is_left_alone():
    with running("C") as host:
        guest = host.add_guest(7)
        before = session(host)
        ctl_says(host, "import", 7, "--overwrite", input=stream(*HOSTILE), status=1)
        assert session(host) == before and state(host) == "running"
        assert_runs_on(host, guest)
