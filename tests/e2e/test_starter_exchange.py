# SPDX-License-Identifier: MIT
"""A daemon hands over its state, and another one goes on with what the starter makes of it."""

import errno
import os

import pytest

import xensim
from starting import AFRESH, LEFT, STATE, WANT, Bed

pytest_plugins = ("bridge_bed",)

READS_STATE = {"C": ["-U"], "O": ["--live", "--restart"]}
PAIRS = [(before, after) for before in xensim.FLAVOURS for after in xensim.FLAVOURS]
NODES = {"/deep": (b"", ["b0"]), "/deep/er": (bytes(range(1, 256)) * 8, ["n7", "r0", "b8"]),
         "/data": (b"a\0b", ["n0", "r7"])}
BY_DAEMONS = "/tool/xenstored", "/@introduceDomain", "/@releaseDomain"


@pytest.fixture(name="bed")
def a_bed(sim, tools):
    with Bed(sim, tools) as bed:
        bed.conduct()
        yield bed


@pytest.fixture(params=xensim.FLAVOURS)
def flavour(request):
    return request.param


def with_other(bed, flavour):
    return f"daemon {bed.sim.daemon_argv(flavour)[0]}"


def fill(bed, client):
    bed.introduce(client, 7, 8, 9)
    for path, (value, perms) in NODES.items():
        client.write(path, value)
        client.set_perms(path, *perms)
    client.set_perms("@releaseDomain", "n0", "r7")


def tree(client, path="/"):
    """{path: (value, permissions)} of all but what daemons write by themselves."""
    found = {path: (client.read(path), sorted(client.get_perms(path)))}
    for child in client.directory(path):
        found |= tree(client, f"{path.rstrip('/')}/{child}")
    return {path: node for path, node in found.items() if path not in BY_DAEMONS}


# --- what goes on

@pytest.mark.parametrize("before, after", PAIRS)
def test_another_one_goes_on(bed, before, after):
    """And back: what came out of the one goes into the other."""
    bed.serving(before)
    with bed.client() as client:
        fill(bed, client)
        if (before, after) == ("C", "C"):  # oxenstored hands nothing over with a target
            client.set_target(8, 7)
        client.watch("/data", "token")
        there = tree(client)
        state = bed.handed_over()
    for flavour in (after, before):
        bed.restored(before, state, bed.plan(with_other(bed, flavour)))
        assert bed.argv()[0] == str(bed.sim.daemon_argv(flavour)[0])
        assert sorted(bed.argv()[1:]) == sorted(["--no-fork", *READS_STATE[flavour]])
        bed.own()
        with bed.client() as client:
            assert tree(client) == there
            assert [client.is_introduced(domid) for domid in (0, 7, 8, 9, 10)] == [
                True, True, True, True, False]
            client.write("/more", flavour)
            bed.introduce(client, 20 + len(bed.domains))
            there = tree(client)
        state = bed.handed_over()
        lines = bed.shown(state)
        assert "node @releaseDomain n0,r7 \"\"" in lines
        assert not [line for line in lines if line.startswith("watch ")]
        targets = [line for line in lines if "target 7" in line]
        assert len(targets) == ((before, after) == ("C", "C"))
    assert losses(bed) == []


def losses(bed):
    head = "xsproxy: the exchange of xenstored: "
    return [line[len(head):] for line in bed.daemon.text().splitlines() if line.startswith(head)]


@pytest.mark.parametrize("before, after", PAIRS)
def test_rings_of_nobody_else(bed, before, after):
    """A domain without a ring of ours lives: it is about to be made. The C daemon takes nothing of
    it."""
    bed.serving(before)
    with bed.client() as client:
        fill(bed, client)
        there = tree(client)
    state = bed.handed_over()
    bed.restored(before, state, bed.plan(with_other(bed, after), domids=(7, 8)))
    home = "/local/domain/9"
    with bed.client() as client:
        assert not client.is_introduced(9) and client.is_introduced(8)
        if after == "O":
            assert tree(client) == there and losses(bed) == []
        else:
            assert client.get_perms(f"{home}/data") == ["n0"]
            assert client.get_perms(home) == ["n0", "r9"]
            assert losses(bed)[0].startswith("left out: nodes and permissions of d9: ")


@pytest.mark.parametrize("before, after", PAIRS)
def test_a_domain_that_is_gone(bed, before, after):
    """The next one with its id has nothing of what it had."""
    bed.serving(before)
    with bed.client() as client:
        fill(bed, client)
        client.write("/secret", "x")
        client.set_perms("/secret", "n0", "r9")
    state = bed.handed_over()
    bed.sim.destroy(9)
    bed.restored(before, state, bed.plan(with_other(bed, after), domids=(7, 8)))
    bed.own()
    home = "/local/domain/9"
    with bed.client() as client:
        assert client.get_perms(f"{home}/data") == ["n0"]
        bed.introduce(client, 9)
        with bed.sim.guest(9) as guest:
            assert not bed.domains.pop(9) is None and guest
        # The C daemon shows what counts for nobody.
        assert client.get_perms("/secret") == (["n0", "r9"] if after == "C" else ["n0"])
    assert len(losses(bed)) == 6 and losses(bed)[-1] == "and 2 more"
    for line in losses(bed)[:5]:
        assert line.startswith(f"rewritten: {home}/") and line.endswith("n9(stale): now n0")


def test_a_ring_of_a_domain_that_is_gone(bed):
    """The daemon is told by Xen, and does as always."""
    bed.serving("C")
    with bed.client() as client:
        fill(bed, client)
    state = bed.handed_over()
    bed.sim.destroy(9)
    bed.restored("C", state, bed.plan())
    with bed.client() as client:
        assert not client.is_introduced(9) and not client.exists("/local/domain/9/data")


def test_what_one_cannot_have(bed):
    """Between the C daemon and oxenstored; the rest goes on."""
    bed.serving("C")
    with bed.client() as client:
        client.write("/long", "x" * 3000)
        client.write("/long/er", "")
        client.write("/short", "x")
    state = bed.handed_over()
    bed.restored("C", state, bed.plan(with_other(bed, "O")))
    with bed.client() as client:
        assert client.directory("/").count("long") == 0
        assert client.read("/short") == b"x"
    assert losses(bed) == [f"left out: /long{what}" for what in (
        ": node: oxenstored takes no value of so many octets",
        "/er: node: it is below a node that is left out")]


# --- what else a daemon is given

@pytest.mark.parametrize("before, after", PAIRS)
def test_arguments(bed, before, after):
    pid = bed.sim.dir / "pid"
    only = {"C": ["-W", "90"], "O": ["--no-access-log"]}[before]
    bed.serving(before, f"--pid-file={pid}", *only)
    bed.restored(before, bed.handed_over(), bed.plan(with_other(bed, after)), f"--pid-file={pid}",
                 *only)
    assert int(pid.read_text()) == bed.daemon.pid
    argv = [arg for arg in bed.argv()[1:] if arg not in READS_STATE[after]]
    if before == after:
        assert (argv, losses(bed)) == (["--no-fork", f"--pid-file={pid}", *only], [])
    else:
        assert argv == ["--no-fork", "--pid-file", str(pid)]
        assert losses(bed) == [f"{only[0]} is not an argument for "
                               f"{bed.sim.daemon_argv(after)[0]}: left out"]


def test_descriptors(bed, flavour):
    """The rings, its socket, and nothing else that anybody had open."""
    with open(bed.sim.dir / "open", "w") as file:
        bed.serving(flavour, pass_fds=[file.fileno()])
        name = f"fd/{file.fileno()}"
        assert os.readlink(bed.proc(name)) == file.name  # afresh it gets what it would have got
        state = bed.handed_over()
        bed.restored(flavour, state, bed.plan(), pass_fds=[file.fileno()])
    links = {int(fd.name): os.readlink(fd) for fd in bed.proc("fd").iterdir()}
    assert file.name not in links.values()
    assert not [link for link in links.values() if "xenstored-state" in link], links
    assert int(bed.environ()["XSPROXY_RINGS"]) > 2


# --- what fails

def assert_nothing_there(bed):
    """Nobody listens, and no state was given."""
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        bed.client()
    assert not [path for path in bed.stored.iterdir() if path.suffix == ".new" or
                path.name in LEFT.values() and not path.stat().st_mtime_ns]


@pytest.mark.parametrize("what, plan, why", [
    ("xenstore", "", "the state: record 0: the stream ends "),
    ("garbage", "", "the state: record 0: the stream ends inside the header"),
    (None, "daemon /nonexistent/xenstored\n", "cannot start /nonexistent/xenstored: No such file"),
    (None, "daemon /etc\n", "cannot start /etc: it is no program"),
    (None, "daemon /bin/true\n", "cannot start /bin/true: it is called neither xenstored nor"),
    (None, "nonsense\n", "line 1 of the plan makes no sense")])
def test_what_cannot_be(bed, what, plan, why):
    """It is said, nothing is left of it, and the next word is heard."""
    bed.serving("C")
    state = what.encode() if what else bed.handed_over()
    if what:
        bed.daemon.kill()
    bed.start("C")
    with bed.conductor.accept() as talk:
        talk.restore(state, plan + bed.plan(), bed.owner.memfd)
        err, text = talk.failed()
        assert text.startswith(why) and "\n" not in text, (err, text)
        assert_nothing_there(bed)
        talk.send(AFRESH)
    bed.daemon.wait_ready()
    assert f"xsproxy: {text}\n" in bed.daemon.text()
    with bed.client() as client:
        assert client.directory("/")


def test_without_the_bridge(bed, flavour):
    """A daemon that would map the rings itself is not started; it can be mended and tried again."""
    bed.serving(flavour)
    with bed.client() as client:
        client.write("/data", "x")
    state = bed.handed_over()
    bed.start(flavour, XSPROXY_PRELOAD="")
    with bed.conductor.accept() as talk:
        talk.restore(state, bed.plan(), bed.owner.memfd)
        err, text = talk.failed()
        assert err == errno.EINVAL and text.startswith("XSPROXY_PRELOAD names no bridge")
        assert_nothing_there(bed)
    bed.daemon.kill()
    bed.restored(flavour, state, bed.plan())
    with bed.client() as client:
        assert client.read("/data") == b"x"


def test_a_program_that_cannot_be_executed(bed, flavour):
    """Found out at the last moment; the one before goes on."""
    bed.serving(flavour)
    with bed.client() as client:
        client.write("/data", "x")
    state = bed.handed_over()
    program = bed.sim.dir / "oxenstored"
    program.write_bytes(b"\0")
    program.chmod(0o755)
    bed.start(flavour)
    with bed.conductor.accept() as talk:
        talk.restore(state, bed.plan(f"daemon {program}"), bed.owner.memfd)
        assert talk.failed() == (errno.ENOEXEC, f"cannot start {program}: Exec format error")
        assert_nothing_there(bed)
        talk.restore(state, bed.plan(), bed.owner.memfd)
        assert talk.recv() is None
    bed.daemon.wait_ready()
    with bed.client() as client:
        assert client.read("/data") == b"x"


def test_what_was_given_is_not_what_was_left(bed, flavour):
    """It was true once; since then the daemon has served."""
    bed.serving(flavour)
    bed.restored(flavour, bed.handed_over(), bed.plan())
    bed.daemon.kill()
    bed.start(flavour)
    with bed.conductor.accept() as talk:
        talk.send(WANT)
        assert talk.recv() == (STATE, 0, -errno.ENOENT)


@pytest.mark.parametrize("before, after", PAIRS)
def test_in_the_same_process(bed, before, after):
    """A live update may also go on by itself, if it is told which daemon."""
    bed.serving(before)
    with bed.client() as client:
        client.write("/data", "x")
    pid = bed.daemon.pid
    with bed.live_update() as talk:
        state = talk.wanted()
        talk.restore(state, bed.plan(), bed.owner.memfd)
        assert talk.failed()[0] == errno.EINVAL
        talk.restore(state, bed.plan(with_other(bed, after)), bed.owner.memfd)
        assert talk.recv() is None
    assert bed.daemon.pid == pid
    with bed.client() as client:
        assert client.read("/data") == b"x"
    assert bed.argv()[0] == str(bed.sim.daemon_argv(after)[0])
