# SPDX-License-Identifier: MIT
"""xsproxyctl check: ok and 0, or 1 and a line for each thing that is wrong; and what it looks at,
which the control socket and the metrics have, too."""

import contextlib
import json
import re
import signal
import socket
import subprocess

import pytest

import built
import exposition
import xensim
import xsclient
from control import Control
from harness import NO_MIRROR, Host
from ours import running
from relay import FLAVOURS, wait_until
from test_metrics import config, fetch, free_address

CTL = xensim.BUILD / "xsproxyctl"
STATES = ["running", "quiesced", "leased", "held", "reconnecting", "ended", "failed"]
PATIENCE = 5  # seconds that the command waits for an answer, and clients for xenstored


def check(host, *args):
    """(its status, its lines); what --json says must be the same."""
    done = subprocess.run([CTL, "check", "--control", host.run_dir / "control", *args],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def problems(host):
    """What is wrong, a line each, and the same from --json."""
    status, lines = check(host)
    assert status == 1 and lines
    status, texts = check(host, "--json")
    assert status == 1 and len(texts) == 1
    said = json.loads(texts[0])
    assert set(said) == {"ok", "problems"} and said["ok"] is False
    assert len(said["problems"]) == len(lines)
    for problem, line in zip(said["problems"], lines):
        where = f" {problem['domid']}" if "domid" in problem else ""
        # How long something lasts has changed meanwhile.
        assert re.sub(r"\d+ s$", "", f"{problem['what']}{where}: {problem['text']}") == \
            re.sub(r"\d+ s$", "", line)
    return lines


def ready(host):
    with Control(host) as control:
        control.wait(lambda status: status["state"] == "running", "status")


def knocks(host, stack):
    """Whether there is room for one more who waits for the control socket."""
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    client.setblocking(False)
    try:
        client.connect(str(host.run_dir / "control"))
    except BlockingIOError:
        return False
    return True


@pytest.fixture(name="at")
def an_address():
    return free_address()


def states(at):
    """The metrics of states that are not 0, of an xsproxyd that has not been asked before."""
    found = exposition.parse(fetch(at)[2])["xsproxy_domains"].by_label()
    assert list(found) == STATES
    return {state: n for state, n in found.items() if n}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ok(flavour, at):
    with running(flavour, config=config("%s:%d" % at)) as host:
        ready(host)
        host.add_guest(7)
        with Control(host) as control:
            control.run("hold", domid=9)
            control.run("quiesce", domid=7)
            assert control.run("status")["states"] == {"running": 1, "quiesced": 1, "held": 1}
            assert control.run("domain", domid=7)["reason"] is None
        name = "xenstored" if flavour == "C" else "oxenstored"
        assert check(host) == (0, [f"ok: xsproxyd has {name}, 2 domains, 1 toolstack"])
        assert check(host, "--json") == (0, ['{"ok":true,"problems":[]}'])
        assert states(at) == {"running": 1, "quiesced": 1, "held": 1}
        done = subprocess.run([CTL, "status", "--control", host.run_dir / "control"],
                              capture_output=True, text=True, check=True)
        assert "domains     2 (1 running, 1 quiesced, 1 held)\n" in done.stdout


def test_no_xsproxyd():
    with Host("C", start=False) as host:
        line, = problems(host)
        assert line == (f"xsproxyd: cannot connect to {host.run_dir}/control: No such file or "
                        "directory; is xsproxyd running?")


@pytest.mark.long
def test_an_xsproxyd_that_stands_still():
    with running("C") as host:
        host.proxy.process.send_signal(signal.SIGSTOP)
        assert check(host) == (1, ["xsproxyd: xsproxyd does not answer: no answer in time; see its "
                                   "log"])
        # Those who asked and were not answered wait for it still, until there is no room for more.
        with contextlib.ExitStack() as stack:
            while knocks(host, stack):
                pass
            assert check(host) == (1, [
                f"xsproxyd: cannot connect to {host.run_dir}/control: no answer in time; is "
                "xsproxyd running?"])
        host.proxy.process.send_signal(signal.SIGCONT)
        ready(host)


def test_no_xenstored(at):
    with Host("C", start=False, config=config("%s:%d" % at)) as host:
        host.start_proxy()
        assert problems(host) == ["xenstored: there is none with the bridge; guests and toolstacks "
                                  "wait for it"]
        client = host.client()
        client.send(xsclient.DIRECTORY, b"/\0")
        with Control(host) as control:
            said = control.wait(lambda said: said["clients_waited"] >= PATIENCE, "status")
            assert (said["clients_waiting"], said["states"]) == (1, {})
        assert re.fullmatch(r"toolstacks: 1 waits for xenstored, the first one for \d+ s",
                            problems(host)[1])
        families = exposition.parse(fetch(at)[2])
        assert families["xsproxy_toolstack_clients_waiting"].value() == 1
        assert families["xsproxy_xenstored_connected"].value() == 0
        assert set(families["xsproxy_domains"].by_label().values()) == {0}


def test_refused():
    with running("C") as host:
        host.proxy.kill()
        host.start_proxy(program=built.need("foreign/link/xsproxyd"), until="STATUS=")
        reason = host.status.removeprefix("STATUS=")
        assert problems(host) == [f"xenstored: refused: {reason}"]


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_xenstored_that_stands_still(flavour):
    """The kernel takes a few connections for it, and then no more."""
    with running(flavour) as host:
        ready(host)
        host.daemon.process.send_signal(signal.SIGSTOP)
        for _ in range(10):
            host.client().send(xsclient.DIRECTORY, b"/\0")
        with Control(host) as control:
            control.wait(lambda said: said["clients_waited"] >= PATIENCE, "status")
        line, = problems(host)
        assert re.fullmatch(
            r"toolstacks: (1 waits|[2-9] wait) for xenstored, the first one for \d+ s", line)
        host.daemon.process.send_signal(signal.SIGCONT)
        with Control(host) as control:
            control.wait(lambda said: said["clients_waiting"] == 0, "status")
        assert check(host)[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_read_that_is_not_answered(flavour):
    """Nobody waits for xenstored but who checks: the first to see that it hangs."""
    with running(flavour) as host:
        ready(host)
        host.daemon.process.send_signal(signal.SIGSTOP)
        status, lines = check(host)
        assert (status, lines) == (1, ["xenstored: it does not answer a READ within 5 s"])
        host.daemon.process.send_signal(signal.SIGCONT)
        assert check(host)[0] == 0


def test_nobody_can_connect():
    with running("C") as host:
        ready(host)
        host.socket.unlink()
        assert problems(host) == [f"toolstacks: a READ over {host.socket} fails: "
                                  "No such file or directory"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_memory_for_the_mirror(flavour, at):
    """Guests go on; that a crash would cost all is said until there is room for it."""
    text = config("%s:%d" % at) + "[mirror]\nmemory = 1MiB\n"
    with running(flavour, config=text) as host:
        assert check(host)[0] == 0
        client = host.client()
        for i in range(1500):
            client.write(f"/tool/much/n{i}", "x" * 1000)
        assert problems(host) == [
            "mirror: there is no memory for it, so all that xenstored holds is lost if that "
            "crashes; see [mirror] memory"]
        assert client.read("/tool/much/n1499") == b"x" * 1000


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_dom0_failed(flavour, at):
    """As in a service that does not find Xen's devices."""
    with running(flavour, config=config("%s:%d" % at)) as host:
        host.proxy.kill()
        host.start_proxy(env={"XENSIM_DIR": "/nonexistent"})
        ready(host)
        reason = "cannot open /dev/xen/gntdev and /dev/xen/evtchn: No such file or directory"
        assert problems(host) == [f"domain 0: failed: {reason}; its guest is not served"]
        with Control(host) as control:
            domain = control.run("domain", domid=0)
            assert (domain["state"], domain["reason"]) == ("failed", reason)
        assert states(at) == {"failed": 1}
        row = subprocess.run([CTL, "domains", "--control", host.run_dir / "control"],
                             capture_output=True, text=True, check=True).stdout.splitlines()[1]
        assert row.split()[:3] == ["0", "-", "failed"] and row.endswith(reason)
        host.proxy.kill()
        host.start_proxy()
        ready(host)
        assert check(host)[0] == 0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_event_channel(flavour, at):
    """It was introduced anew with a port that it does not have; then with the right one."""
    with running(flavour, config=config("%s:%d" % at)) as host:
        ready(host)
        domain = host.sim.create(7)
        xensim.home(host.dom0, 7)
        host.dom0.introduce(7, domain.gfn, domain.port)
        with contextlib.suppress(xsclient.XsError):  # C says OK nevertheless
            host.dom0.introduce(7, domain.gfn, domain.port + 77)
        reason = f"cannot bind its event channel {domain.port + 77}: Invalid argument"
        assert problems(host) == [f"domain 7: failed: {reason}; its guest is not served"]
        assert states(at) == {"running": 1, "failed": 1}
        host.dom0.introduce(7, domain.gfn, domain.port)
        assert check(host)[0] == 0
        with Control(host) as control:
            assert control.run("domain", domid=7)["reason"] is None
        assert host.guest(7).read("domid") == b"7"


def test_an_introduce_that_fails_leaves_nothing():
    """Neither of its page nor of its port; the next domain with that number is another one."""
    with running("C") as host:
        ready(host)
        with pytest.raises(xsclient.XsError):
            host.dom0.introduce(7, 1, 1)
        domain = host.sim.create(7)
        xensim.home(host.dom0, 7)
        with pytest.raises(xsclient.XsError):
            host.dom0.introduce(7, domain.gfn, domain.port + 77)
        with Control(host) as control:
            control.run("hold", domid=7)
            assert control.state(7) == "held"
        assert check(host)[0] == 0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ended(flavour, at):
    with running(flavour, config=config("%s:%d" % at)) as host:
        ready(host)
        guest = host.add_guest(7)
        guest.send_raw(xsclient.HEADER.pack(xsclient.READ, 1, 0, 5000))
        with Control(host) as control:
            domain = control.wait(lambda found: found["state"] == "ended", "domain", domid=7)
        assert "4096" in domain["reason"]
        assert problems(host) == [
            f"domain 7: ended: {domain['reason']}; it is ignored until it is released"]
        assert states(at) == {"running": 1, "ended": 1}
        host.dom0.release(7)
        assert check(host)[0] == 0


def test_unknown(at):
    with Host("C", config=config("%s:%d" % at) + NO_MIRROR) as host:
        host.add_guest(7)
        host.daemon.kill()
        with Control(host) as control:
            control.wait(lambda said: said["state"] == "waiting", "status")
            host.sim.daemons.remove(host.daemon)
            host.start_daemon()
            control.wait(lambda said: said["state"] == "running", "status")
        assert problems(host) == [
            "domain 7: unknown to this xenstored; the one before knew it; introduce it again, or "
            "restart xsproxyd if it is gone"]
        assert exposition.parse(fetch(at)[2])["xsproxy_unknown_domains"].value() == 1


def keeper(host, at):
    """Whether there is one, and whom it holds, by the control socket and the metrics."""
    with Control(host) as control:
        said = control.run("status")
    families = exposition.parse(fetch(at)[2])
    assert families["xsproxy_keeper"].value() == said["keeper"]
    assert families["xsproxy_toolstack_clients_kept"].value() == said["clients_kept"]
    return said["keeper"], said["clients_kept"]


def keeper_line(host):
    done = subprocess.run([CTL, "status", "--control", host.run_dir / "control"],
                          capture_output=True, text=True, check=True)
    return re.search("^keeper +(.*)$", done.stdout, re.M)[1]


NO_KEEPER = "a restart of xsproxyd closes toolstacks' connections; start xsproxy-keeper.service"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_keeper(flavour, at):
    """Never there, then there; then gone, which costs nobody anything as long as xsproxyd runs."""
    with Host(flavour, keeper=False, config=config("%s:%d" % at)) as host:
        ready(host)
        host.client().directory("/")
        assert keeper(host, at) == (False, 0)
        assert keeper_line(host) == f"none; {NO_KEEPER}"
        assert problems(host) == [f"keeper: there is none; {NO_KEEPER}"]
        host.start_keeper()
        with Control(host) as control:
            control.wait(lambda said: said["keeper"], "status")
        # A text of metrics may be a second old.
        wait_until(lambda: exposition.parse(fetch(at)[2])["xsproxy_keeper"].value() == 1)
        assert keeper(host, at) == (True, 2)
        assert keeper_line(host) == "holds 2 of them"
        assert check(host)[0] == 0
        host.keeper.kill()
        with Control(host) as control:
            control.wait(lambda said: not said["keeper"], "status")
        assert problems(host) == [f"keeper: there is none; {NO_KEEPER}"]
        assert host.dom0.directory("/")
        assert host.proxy.text().count("there is no keeper at") == 1


def test_the_alerts_ask_for_what_there_is(at):
    """Names and states of the example that is installed."""
    text = (xensim.BUILD / "../share/prometheus/xsproxy.rules.yml").resolve()
    if not text.exists():
        text = (xensim.BUILD / "../../share/prometheus/xsproxy.rules.yml").resolve()
    asked = "\n".join(line for line in text.read_text(encoding="utf-8").splitlines()
                      if "summary:" not in line)
    with running("C", config=config("%s:%d" % at)) as host:
        with pytest.raises(xsclient.XsError):
            host.dom0.read("/none")
        families = exposition.parse(fetch(at)[2])
    names = set(re.findall(r"\bxsproxy_\w+", asked))
    assert len(names) == 10 and names <= set(families)
    for wanted in re.findall('state=~"([^"]*)"', asked):
        assert set(wanted.split("|")) <= set(STATES)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_wrong_configuration(flavour, at):
    wrong = config("%s:%d" % at) + "[log]\nnonsense = 1\n"
    with running(flavour, config=wrong) as host:
        line, = problems(host)
        assert line.startswith("configuration: ") and "nonsense" in line
        assert exposition.parse(fetch(at)[2])["xsproxy_config_wrong"].value() == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_right_configuration(flavour, at):
    with running(flavour, config=config("%s:%d" % at)):
        assert exposition.parse(fetch(at)[2])["xsproxy_config_wrong"].value() == 0


def test_the_manual_and_the_help_say_what_can_be_wrong():
    source = next(path for path in xensim.BUILD.parents if (path / "docs/man").exists())
    manual = (source / "docs/man/xsproxyctl.8").read_text(encoding="utf-8")
    part = manual.partition(".It Cm check ")[2].partition(".It Cm")[0]
    said = subprocess.run([CTL, "check", "--help"], capture_output=True, text=True,
                          check=True).stdout
    for text in part, said:
        assert "configuration" in text
    for kind in ("xsproxyd", "configuration", "xenstored", "domain", "toolstacks", "keeper",
                 "mirror"):
        assert re.search(rf"^\.(Pq )?Li .*\b{kind}\b", part, re.M), kind
