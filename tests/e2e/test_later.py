# SPDX-License-Identifier: MIT
"""What Xen 4.21 and 4.22 have, and XAPI's oxenstored, of which Debian has no daemon: one that makes
the same calls to Xen's libraries is played by tests/e2e/bridge/later.c. Where both are asked it is
as without xsproxy."""

import shutil

import pytest

import xsclient
from bridge_bed import compile_c
from control import Control
from harness import BRIDGE, Host
from migration import HOME, ctl_says, node, shown, stream
from ours import error_of, quiesce, said, tracked_watches
from relay import wait_until
from watching import Watching, bare, ctl
from xsclient import READ, SET_PERMS, WATCH, join

GET_FEATURE, SET_FEATURE, GET_QUOTA, SET_QUOTA = range(23, 27)
DOMID_ANY = 32757
FEATURES = {"4.21": 2, "4.22": 14}


@pytest.fixture(scope="session", name="program")
def program_fixture(tmp_path_factory):
    directory = tmp_path_factory.mktemp("later")
    library = compile_c(directory, "libxenmanage.so.1", "xenmanage.c", "-shared", "-fPIC",
                        "-Wl,-soname,libxenmanage.so.1")
    program = compile_c(directory, "xenstored", "later.c", library, f"-Wl,-rpath,{directory}",
                        "-lxenevtchn", "-lxengnttab")
    shutil.copy(program, directory / "oxenstored")
    return program


class Later(Host):
    """A host whose daemon is of the version @features say, and finds @domids when it starts; or
    XAPI's."""

    def __init__(self, program, features=14, domids=(), proxied=True, xapi=False, **kwargs):
        self.program = program.with_name("oxenstored") if xapi else program
        self.features = features
        self.domids = domids
        self.ports = {}
        super().__init__("O" if xapi else "C", proxied, **kwargs)

    def start_daemon(self):
        self.ports = {domid: self.sim.create(domid) for domid in self.domids}
        env = {"XSPROXY_DIR": self.run_dir, "FEATURES": self.features,
               "XENMANAGE_DOMAINS": " ".join(map(str, (0, *self.domids)))}
        self.daemon = self.sim.start("later", [self.program], *[BRIDGE] * self.proxied, env=env,
                                     polite=False)
        return self.daemon

    def introduce(self, domid, features=None):
        """A guest, as libxl of 4.22 introduces it."""
        port, gfn = self.ports.get(domid) or self.sim.create(domid)
        if features is not None:
            assert self.dom0.request(SET_FEATURE, join(domid, features)) == b"OK\0"
        guest = self.guest(domid)
        self.dom0.introduce(domid, gfn, port)
        return guest


@pytest.fixture(params=[False, True], ids=["direct", "proxied"], name="later")
def later_fixture(request, program):
    """later(...) is such a host."""
    hosts = []

    def make(**kwargs):
        hosts.append(Later(program, proxied=request.param, **kwargs))
        return hosts[-1]

    yield make
    for host in hosts:
        host.check()
        host.close()


def test_domains_that_are_there_when_it_starts(later):
    """Their port is not known, so they are not introduced until a toolstack says so."""
    host = later(domids=(5, 9))
    lines = host.daemon.text().splitlines()
    assert "Could not initialize dom5" in lines and "Could not initialize dom9" in lines
    assert not any("dom0" in line for line in lines)
    assert not host.dom0.is_introduced(5)
    guest = host.introduce(5)
    assert guest.read("name") == b""
    assert host.dom0.is_introduced(5) and not host.dom0.is_introduced(9)
    if host.proxied:
        with Control(host) as control:
            states = control.run("domains")["domains"]
            assert [(dom["domid"], dom["state"]) for dom in states] == [
                (0, "running"), (5, "running")]


@pytest.mark.parametrize("version, masked, seen", [
    ("4.21", None, 2), ("4.21", 0, 0), ("4.22", None, 14), ("4.22", 6, 6), ("4.22", 0, 0)])
def test_features(later, version, masked, seen):
    """A guest is offered what upstream offers that domain."""
    host = later(features=FEATURES[version])
    guest = host.introduce(7, masked)
    assert guest.read("name") == b""
    assert guest.server_features == seen
    assert guest.request(GET_FEATURE, join(7)) == join(seen)
    with pytest.raises(xsclient.XsError, match="EBUSY"):
        host.dom0.request(SET_FEATURE, join(7, 0))
    # What holds for a domain does not hold for the next one of that number.
    host.dom0.release(7)
    host.sim.destroy(7)
    guest = host.introduce(7)
    assert guest.read("name") == b""
    assert guest.server_features == FEATURES[version]


def test_features_stay_over_a_restart(program):
    with Later(program) as host:
        guest = host.introduce(7, 6)
        guest.read("name")
        host.proxy.kill()
        host.start_proxy()
        guest.server_features = 0  # for the next one to set
        assert guest.read("name") == b""
        assert guest.server_features == 6


def test_requests_have_names(program):
    with Later(program) as host:
        guest = host.introduce(7)
        with Watching(host, "trace", "--op", "SET_QUOTA", "--op", "GET_QUOTA", "--op",
                      "GET_FEATURE", "--op", "SET_FEATURE") as trace:
            guest.request(GET_FEATURE)
            host.dom0.request(GET_QUOTA, join(7, "nodes"))
            host.dom0.request(SET_QUOTA, join(7, "nodes", 900))
            host.dom0.request(SET_FEATURE, join(8, 2))
            lines = [bare(line) for line in trace.until("SET_FEATURE")]
        assert lines == ["d7s > GET_FEATURE = 14", "d0c > GET_QUOTA 7 nodes = 1000",
                         "d0c > SET_QUOTA 7 nodes 900 = OK", "d0c > SET_FEATURE 8 2 = OK"]
        with Control(host) as control:
            assert control.run("stats", domid=7)["requests"] == {"GET_FEATURE": 1}


def test_watch_with_a_depth(later):
    host = later()
    guest = host.introduce(7)
    assert guest.request(WATCH, join("data", "token", 1)) == b"OK\0"
    other = host.introduce(8, 2)
    assert error_of(other.call(WATCH, join("data", "token", 1))) == "EINVAL"


def test_export_names_depth_and_keeps_domid_any(program, tmp_path):
    """The watch goes without its depth, which is said; permissions for all domains stay such."""
    with Later(program) as host:
        guest = host.introduce(7)
        guest.request(WATCH, join("data", "token", 1))
        assert tracked_watches(host.dom0, 7)
        quiesce(host.dom0, 7)
        out, said = ctl_says(host, "export", 7)
        assert shown(out)[:2] == ({HOME: ("", ["n7", f"r{DOMID_ANY}"])}, [("data", "token")])
        assert said == ("xsproxyctl export: left out: data: depth of a watch 1: a stream cannot "
                        "express it; the watch is exported without\n")


@pytest.mark.parametrize("features", (6, 14))
def test_import_of_domid_any(program, features):
    """Where there are such permissions (4.22) the daemon ends when a toolstack says one; so none is
    said, and nobody else may do it either."""
    with Later(program, features=features) as host:
        host.introduce(7)
        octets = stream(node(f"{HOME}/data", perms=(("n", 7), ("b", DOMID_ANY))))
        quiesce(host.dom0, 7)
        complaint = ctl_says(host, "import", 7, input=octets)[1]
        perm = "" if features == 14 else f" b{DOMID_ANY}"
        sent = f"{SET_PERMS} {HOME}/data n7{perm} "
        wait_until(lambda: sent in host.daemon.text().splitlines())
        left_out = f"permission b{DOMID_ANY}: the xenstored here ends when a toolstack says it\n"
        assert (left_out in complaint) == (features == 14)
        sets = said(host.dom0.set_perms, f"{HOME}/data", "n7", f"r{DOMID_ANY}")
        assert sets == ("EINVAL" if features == 14 else None)


# --- XAPI's oxenstored


def test_xapi_maps_by_grant(later):
    """A domain comes, goes and comes again; what waits in its page is served."""
    host = later(xapi=True, features=1)
    port, gfn = host.sim.create(7)
    # Direct it would have the port bound still.
    for _ in range(3 if host.proxied else 1):
        with host.sim.guest(7) as guest:
            guest.send(READ, join("name"), req_id=5)
            host.dom0.introduce(7, gfn, port)
            assert guest.recv_reply().req_id == 5
            assert guest.server_features == 1
            host.dom0.introduce(7, gfn, port)
            assert guest.read("name") == b""
        assert host.dom0.is_introduced(7)
        host.dom0.release(7)
        assert not host.dom0.is_introduced(7)
    host.sim.destroy(7)
    if host.proxied:
        wait_until(lambda: 7 not in host.sim.list())


def test_xapi_depth_on_a_special_watch(later):
    """Who has gone is in the event's path, which is nobody's watch as it is spelt."""
    host = later(xapi=True, features=1)
    guest = host.introduce(7)
    host.introduce(8)
    assert guest.request(WATCH, join("@releaseDomain", "token", 1)) == b"OK\0"
    assert error_of(guest.call(WATCH, join("@introduceDomain", "token", 2))) == "EINVAL"
    host.dom0.release(8)
    assert tuple(guest.wait_watch()) == ("@releaseDomain/8", "token")
    if host.proxied:
        done = ctl(host, "watches", 7)
        assert done.stdout.splitlines()[1:] == ["@releaseDomain  token  depth 1"]


def test_xapi_says_e2big(later):
    """It is passed on as it is, and no refusal for want of quota."""
    host = later(xapi=True, features=1)
    guest = host.introduce(7)
    assert error_of(guest.call(READ, join("big"))) == "E2BIG"
    assert guest.read("name") == b""
    if host.proxied:
        with Control(host) as control:
            assert control.run("domain", domid=7)["refusals"] == []
