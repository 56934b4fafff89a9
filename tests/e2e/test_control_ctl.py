# SPDX-License-Identifier: MIT
"""xsproxyctl's commands over the control socket."""

import json
import os
import shutil
import signal
import subprocess

import pytest

import xensim
import xsclient
from control import Control
from harness import Host
from ours import running
from versions import EXPECT

CTL = xensim.BUILD / "xsproxyctl"


@pytest.fixture(params=("C", "O"))
def host(request):
    with running(request.param) as running_host:
        with Control(running_host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        yield running_host


def ctl(host, *args, control=True):
    where = ["--control", host.run_dir / "control"] if control else []
    return subprocess.run([CTL, *map(str, args), *where], capture_output=True, text=True,
                          timeout=xensim.TIMEOUT, check=False, env=host.tool_env())


def ok(host, *args):
    done = ctl(host, *args)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def state(host, domid):
    return json.loads(ok(host, "domain", domid, "--json"))["state"]


def test_status(host):
    status = json.loads(ok(host, "status", "--json"))
    assert status["pid"] == host.proxy.pid
    text = ok(host, "status")
    assert f"pid {host.proxy.pid}" in text and f"pid {host.daemon.pid}" in text
    assert "hold --new  off" in text


def test_status_while_there_is_no_xenstored():
    with Host("C", start=False) as host:
        host.start_proxy()
        assert "none with the bridge" in ok(host, "status")
        assert json.loads(ok(host, "domains", "--json")) == {"domains": []}
        done = ctl(host, "hold", "--new", "on")
        assert done.returncode == 1 and "start xenstored first" in done.stderr


def test_who_waits_for_a_xenstored_is_told_so():
    with Host("C", start=False) as host:
        host.start_proxy()
        with subprocess.Popen([CTL, "watches", "7"], stdout=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE, env=host.tool_env()) as process:
            assert process.stderr.readline() == (
                "xsproxyctl watches: warning: no answer yet; is there a xenstored? see xsproxyctl "
                "status\n")
            host.start_daemon()
            words = process.communicate(timeout=xensim.TIMEOUT)[1]
    assert process.returncode == 1
    assert words == "xsproxyctl watches: domain 7: it is not introduced (see xl list)\n"


def test_watches_on_what_is_not_there(host):
    guest, other = host.add_guest(7), host.add_guest(9)
    other.watch("data", "t")
    host.dom0.write("/local/domain/5/left", "")
    watched = [("data", "t"), ("data/none", "esc\x1b"), ("@releaseDomain", "r"),
               ("/local/domain/9", "t"), ("/local/domain/9/none", "t"),
               ("/local/domain/5/left", "t"), ("/local/domain/50", "t"), ("/local", "t")]
    for path, token in watched:
        guest.watch(path, token)
    wrong = [(1, "there is no such node"), (4, "there is no such node"),
             (5, "domain 5 is not introduced"), (6, "domain 50 is not introduced")]
    text = ok(host, "watches", "--stale", "7").splitlines()
    most = EXPECT[host.flavour].watches_told or 4096
    assert text[0] == f"domain 7: 4 of its 8 watches are on what is not there; it may have {most}"
    assert text[1:] == [
        f"{path}  {token}  is stale: {why}".replace("\x1b", r"\x1b")
        for (path, token), why in [(watched[i], why) for i, why in wrong]]
    # Domain 9 has none, so it is only listed when it is named.
    assert ok(host, "watches", "--stale").splitlines() == text
    assert ok(host, "watches", "9", "--stale") == (
        f"domain 9: 0 of its 1 watches are on what is not there; it may have {most}\n")
    found, = json.loads(ok(host, "watches", "--stale", "--json"))["domains"]
    assert {key: found[key] for key in ("domid", "watches", "watches_max")} == {
        "domid": 7, "watches": 8, "watches_max": most}
    assert [(watch["path"], watch["why"]) for watch in found["stale"]] == [
        (watched[i][0], why) for i, why in wrong]
    done = ctl(host, "watches", "--stale", "8")
    assert done.returncode == 1 and done.stderr.startswith("xsproxyctl watches: ")
    assert "DOMID is missing" in ctl(host, "watches").stderr


def test_domains(host):
    guest = host.add_guest(7)
    quota, limit = EXPECT[host.flavour].watch_quota, EXPECT[host.flavour].watch_limit
    for i in range(limit):
        guest.watch("data", str(i))
    for i in range(3):
        with pytest.raises(xsclient.XsError):
            guest.watch("data", f"more{i}")
    lines = ok(host, "domains").splitlines()
    assert lines[0].split() == ["DOMID", "NAME", "STATE", "WATCHES", "TRANS", "REQUESTS", "QUEUED",
                                "REFUSALS", "QUOTA", "LAST", "ERROR"]
    assert lines[1].split()[:3] == ["0", "-", "running"]
    assert lines[2].split() == ["7", "guest-7", "running", str(limit), "0", "0", "0", "3",
                                "3", "WATCH:", quota]
    assert f"refused WATCH with {quota}: 3 times" in ok(host, "domain", 7)


def test_more_domains_than_a_page(host):
    for domid, (port, gfn) in host.sim.create_range(1, 300).items():
        host.dom0.introduce(domid, gfn, port)
    domains = json.loads(ok(host, "domains", "--json"))["domains"]
    assert [domain["domid"] for domain in domains] == list(range(301))


def test_held_domains_are_listed(host):
    with Control(host) as control:
        control.run("hold", domid=9)
    assert ok(host, "domains").splitlines()[2].split() == ["9", "-", "held"] + ["-"] * 7


def test_hold_new(host):
    assert ok(host, "hold", "--new", "on") == ""
    guest = host.add_guest(7)
    guest.send(xsclient.READ, b"domid\0")
    assert state(host, 7) == "held"
    assert ok(host, "hold", "--new", "off") == ""
    host.dom0.control("unquiesce", 7)
    assert guest.recv_reply().payload == b"7"


@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGKILL))
def test_a_lease_ends_with_its_process(host, sig):
    guest = host.add_guest(7)
    with subprocess.Popen([CTL, "quiesce", "--lease", "7", "--control", host.run_dir / "control"],
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "domain 7 is quiesced until this command ends\n"
        assert state(host, 7) == "leased"
        process.send_signal(sig)
    assert guest.read("domid") == b"7"
    assert state(host, 7) == "running"


def test_a_lease_says_when_xsproxyd_has_gone(host):
    host.add_guest(7)
    with subprocess.Popen([CTL, "quiesce", "7", "--lease", "--control", host.run_dir / "control"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        host.proxy.kill()
        out, err = process.communicate(timeout=xensim.TIMEOUT)
    assert (out, process.returncode) == ("", 1)
    assert "xsproxyd ended the connection" in err
    host.start_proxy()


def test_log_level(host):
    assert ok(host, "log-level") == "debug\n"
    assert ok(host, "log-level", "warning") == "warning\n"
    assert ok(host, "log-level") == "warning\n"
    done = ctl(host, "log-level", "loud")
    assert done.returncode == 2
    assert done.stderr == ("xsproxyctl log-level: 'loud' is no level: error, warning, notice, info "
                           "or debug\n")


@pytest.mark.parametrize("args", [
    ("status", "7"), ("domains", "7"), ("domain",), ("domain", "32752"), ("hold", "--new", "maybe"),
    ("hold", "7", "--new", "on"), ("quiesce", "--lease"), ("log-level", "info", "debug"),
    ("status", "--lease"), ("mirror", "check", "7"), ("nonsense",)])
def test_wrong_command_lines(args, tmp_path):
    done = subprocess.run([CTL, *args], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("xsproxyctl") and done.stderr.count("\n") == 1


def test_both_programs_are_of_one_version():
    said = [subprocess.run([xensim.BUILD / name, option], capture_output=True, text=True,
                           check=True).stdout.split()
            for name in ("xsproxyctl", "xsproxyd") for option in ("--version", "-V")]
    assert [words[0] for words in said] == 2 * ["xsproxyctl"] + 2 * ["xsproxyd"]
    assert len({tuple(words[1:]) for words in said}) == 1


def test_errors_are_one_line(host):
    for args, words in ((("domain", 9), "neither introduced nor held"),
                        (("quiesce", "--lease", 9), "not introduced")):
        done = ctl(host, *args)
        assert done.returncode == 1
        assert words in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run([CTL, "status", "--control", host.run_dir / "nothing"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is xsproxyd running?" in done.stderr


def test_who_is_not_root_is_told_so(host):
    for path in (host.sim.dir, *host.socket.parents):
        if host.sim.dir in (path, *path.parents):
            path.chmod(0o755)
    program = shutil.copy(CTL, host.sim.dir)  # the build may be root's alone
    for command in (("status", "--control", host.run_dir / "control"), ("watches", "7"),
                    ("export", "7")):
        done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", program, *command],
                              capture_output=True, text=True, check=False, env=host.tool_env())
        assert done.returncode == 1
        assert done.stderr.endswith(": Permission denied; only root may\n"), done.stderr


@pytest.mark.parametrize("stream, command", [
    (0, ("import", "7")), (1, ("status",)), (1, ("top", "--batch", "--count", "1")),
    (1, ("export", "7"))])
def test_nothing_takes_the_place_of_a_closed_stream(host, stream, command):
    """What is printed, or a stream full of what a guest wrote, would go to xsproxyd as requests."""
    host.add_guest(7)
    where = [] if command[1:] == ("7",) else ["--control", host.run_dir / "control"]
    done = subprocess.run(["sh", "-c", f'exec "$@" {stream}>&-', "sh", CTL, *command, *where],
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False,
                          env=host.tool_env())
    assert done.returncode == 1 and "Bad file descriptor" in done.stderr, done
    assert state(host, 7) == "running"


@pytest.mark.parametrize("args, same", [((), ("--help",)), (("flight",), ("flight", "--help"))])
def test_help_is_help(args, same):
    done, other = (subprocess.run([CTL, *argv], capture_output=True, text=True, check=True)
                   for argv in (("help", *args), same))
    assert done.stdout == other.stdout and done.stdout.startswith("Usage: ")


@pytest.mark.parametrize("args, said", [
    (("nonsense",), "xsproxyctl: there is no command 'nonsense'; see xsproxyctl --help\n"),
    (("flight", "7"), "xsproxyctl help: unexpected argument '7'; see xsproxyctl --help\n")])
def test_help_of_what_there_is_not(args, said):
    done = subprocess.run([CTL, "help", *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_zsh_completion(host):
    """It offers what bash does, and what follows a comma or a slash gets no blank."""
    host.add_guest(7)
    share = next(path / "share" for path in xensim.BUILD.parents if (path / "share/zsh").exists())
    tools = host.sim.dir / "tools"
    tools.mkdir()
    # As a user has it, on his PATH.
    (tools / "xsproxyctl").write_text(
        f'#!/bin/sh\n[ "$1" != domains ] || exec {CTL} "$@" --control {host.run_dir}/control\n'
        f'exec {CTL} "$@"\n', encoding="ascii")
    (tools / "xsproxyctl").chmod(0o755)
    script = """
        compadd() { print -r -- "$@" }
        complete_() { words=("$@"); CURRENT=$#; source "$SCRIPT" }
        complete_ xsproxyctl do
        complete_ xsproxyctl log-level d
        complete_ xsproxyctl trace --op READ,WR
        complete_ xsproxyctl domain g
        complete_ xsproxyctl domains --sort q
    """
    done = subprocess.run(
        ["zsh", "-f", "-c", script], capture_output=True, text=True, timeout=xensim.TIMEOUT,
        check=True, env=host.tool_env() | {
            "PATH": f"{tools}:{os.environ['PATH']}", "SCRIPT": str(share / "zsh/_xsproxyctl"),
            "XSPROXYCTL_COMPLETION": str(share / "bash-completion/xsproxyctl")})
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "-- domains domain", "-- debug", "-S  -- READ,WRITE", "-- guest-7", "-- queued quota"]


def test_bash_completion(host):
    """What bash offers comes from xsproxyctl itself."""
    host.add_guest(7)
    completion = xensim.BUILD.parent / "share/bash-completion/xsproxyctl"
    if not completion.exists():
        completion = xensim.BUILD.parent.parent / "share/bash-completion/xsproxyctl"
    script = """
        xsproxyctl() { "$CTL" "$@" ${ctl_socket:+--control "$ctl_socket"}; }
        compopt() { :; }
        source "$1"
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xsproxyctl; echo "${COMPREPLY[*]}"; }
        try xsproxyctl ""
        try xsproxyctl do
        try xsproxyctl hold --n
        try xsproxyctl hold --new ""
        try xsproxyctl log-level d
        try xsproxyctl trace --op RE
        try xsproxyctl trace --op READ,WR
        try xsproxyctl domains --state held,e
        try xsproxyctl domains --sort q
        try xsproxyctl top --sort f
        try xsproxyctl capture --sl
        try xsproxyctl help rel
        try xsproxyctl convert db --to c
        try xsproxyctl convert --dom
        try xsproxyctl xenstored ""
        try xsproxyctl xenstored replace --with ""
        try xsproxyctl xenstored replace --f
        try xsproxyctl enter --with ""
        try xsproxyctl enter --time
        try xsproxyctl enter ""
        try xsproxyctl mirror ""
        ctl_socket=$2
        try xsproxyctl trace --new ""
        try xsproxyctl watches ""
    """
    done = subprocess.run(["bash", "-c", script, "bash", completion, host.run_dir / "control"],
                          capture_output=True, text=True, check=True,
                          env=host.tool_env(CTL=str(CTL)))
    lines = done.stdout.splitlines()
    assert {"export", "import", "status", "log-level", "help", "--help"} <= set(lines[0].split())
    assert lines[1:] == ["domains domain", "--new", "on off", "debug",
                         "READ RELEASE RESUME RESET_WATCHES RESET_DOMAIN", "READ,WRITE",
                         "held,ended", "queued quota", "full", "--slower", "reload",
                         "c c2", "--domain", "replace", "c oxenstored", "--force", "c oxenstored",
                         "--timeout", "", "check", "0 7 guest-7", "0 7 guest-7"]
    assert done.stderr == ""
