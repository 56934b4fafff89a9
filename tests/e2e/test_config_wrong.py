# SPDX-License-Identifier: MIT
"""A wrong xsproxy.conf never takes xsproxyd away; SIGHUP and `xsproxyctl reload`."""

import json
import re
import signal
import subprocess

import pytest

from control import Control, ControlError
from harness import BUILD, Host
from relay import wait_until
from service import proxy_with

WRONG = "[metrics]\ndomains = all\n[nonsense]\n[flight]\nmessages = 0\n"


def write(host, text):
    (host.sim.dir / "xsproxy.conf").write_text(text)


@pytest.fixture
def host():
    with Host("C", start=False) as started:
        started.start_proxy()
        yield started


def reload(host, text):
    """SIGHUP with a new file; what is logged about it."""
    before = len(host.proxy.text())
    write(host, text)
    host.proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: re.search("configuration (again|stays)|stays as it was",
                                 host.proxy.text()[before:]))
    return host.proxy.text()[before:]


def config(host, timeout="2s", level="debug", path=None):
    return (f"[xsproxy]\nrun-dir = {host.run_dir}\nsocket = {path or host.socket}\n"
            f"[quiesce]\ntimeout = {timeout}\n[log]\nlevel = {level}\n")


def test_sighup_takes_over_what_can_change(host):
    said = reload(host, config(host, timeout="3s", level="info"))
    assert "[quiesce] timeout has changed\n" in said
    assert "[log] level has changed\n" in said
    with Control(host) as control:
        assert control.run("log-level") == {"level": "info"}


def test_sighup_says_what_cannot_change(host):
    said = reload(host, config(host, path="/elsewhere", level="notice"))
    assert "[xsproxy] socket has changed, but takes effect only when xsproxyd is restarted" in said
    assert "[log] level has changed" in said
    with Control(host) as control:
        assert control.run("log-level") == {"level": "notice"}


def test_sighup_with_a_bad_file_changes_nothing(host):
    said = reload(host, config(host, level="error") + "nonsense = 1\n")
    assert "stays as it was" in said and "xsproxy.conf:8:" in said
    with Control(host) as control:
        assert control.run("log-level") == {"level": "debug"}


def test_sighup_with_the_same_file(host):
    said = reload(host, config(host))
    assert "has changed" not in said


def test_sighup_tells_systemd(tmp_path):
    """RELOADING=1, then READY=1."""
    with Host("C", start=False) as host, proxy_with(host) as notify:
        notify.wait("READY=1")
        host.proxy.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in notify.wait("RELOADING=1")
        notify.wait("READY=1")


# --- xsproxyctl reload

def run_ctl(*args):
    return subprocess.run([BUILD / "xsproxyctl", *args], capture_output=True, text=True,
                          check=False)


def ctl(host, *args):
    """xsproxyctl: (status, output, errors)."""
    done = run_ctl(*args, "--control", host.run_dir / "control")
    return done.returncode, done.stdout, done.stderr


def waits(*keys):
    """What `reload` says of options of [xsproxy]."""
    return "".join(f"xsproxyctl reload: warning: [xsproxy] {key} takes effect only when xsproxyd "
                   "is restarted\n" for key in keys)


def test_ctl_reload(host):
    write(host, config(host, level="info"))
    assert ctl(host, "reload") == (0, "", "")
    with Control(host) as control:
        assert control.run("log-level") == {"level": "info"}


def test_ctl_reload_says_what_waits_for_a_restart(host):
    """Each time, until it is restarted or as it was."""
    write(host, config(host, path="/elsewhere").replace("run-dir = ", "run-dir = /other"))
    for _ in range(2):
        assert ctl(host, "reload") == (0, "", waits("run-dir", "socket"))
    with Control(host) as control:
        assert control.run("reload") == {"waiting": ["[xsproxy] run-dir", "[xsproxy] socket"]}
        write(host, config(host))
        assert control.run("reload") == {"waiting": []}
    assert ctl(host, "reload") == (0, "", "")


def test_ctl_reload_fails_for_a_wrong_file(host):
    """Nothing changes, and whoever asked is told; so is who asks later."""
    write(host, config(host, level="error") + "nonsense = 1\n")
    what = f"{host.sim.dir}/xsproxy.conf:8: [log] nonsense = 1: there is no such option"
    assert ctl(host, "reload") == (
        1, "", f"xsproxyctl reload: the configuration stays as it was: {what}\n")
    with Control(host) as control:
        assert control.run("log-level") == {"level": "debug"}
        assert control.run("status")["config_error"] == what
        with pytest.raises(ControlError) as caught:
            control.run("reload")
        assert caught.value.error_class == "Failed"
        write(host, config(host))
        assert control.run("reload") == {"waiting": []}
        assert control.run("status")["config_error"] is None


# --- a wrong file at the start

@pytest.fixture(params=("C", "O"))
def wrong(request):
    """A host whose xsproxyd finds a wrong file; and what systemd hears of it."""
    with Host(request.param, start=False, config=WRONG) as host:
        host.start_daemon()
        with proxy_with(host) as notify:
            yield host, notify


def what_is_wrong(host):
    return (f"{host.sim.dir}/xsproxy.conf:9: [metrics] domains = all: must be a number, 0 to 1000; "
            "and 1 more")


def test_it_starts_with_what_is_good(wrong):
    host, notify = wrong
    notify.wait("READY=1")
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    with Control(host) as control:
        assert control.run("log-level") == {"level": "debug"}
        assert control.run("flight", domid=7)["frames"] == []
    host.check()


def test_the_log_says_what_is_wrong(wrong):
    host, notify = wrong
    notify.wait("READY=1")
    text = host.proxy.text()
    path = host.sim.dir / "xsproxy.conf"
    assert f"xsproxyd: {path}:9: [metrics] domains = all: must be" in text
    assert f"xsproxyd: {path}:10: [nonsense]: there is no such section" in text
    assert "the configuration is wrong, running with the rest of it" in text


def test_the_status_says_so_until_it_is_mended(wrong):
    """systemd's, whatever else there is to say; and xsproxyctl's."""
    host, notify = wrong
    said = f"; wrong configuration: {what_is_wrong(host)}"
    assert notify.wait("STATUS=Relaying for xenstored").endswith(said)
    host.daemon.kill()
    assert notify.wait("STATUS=Waiting for a xenstored").endswith(said)
    assert f"wrong       configuration: {what_is_wrong(host)}\n" in ctl(host, "status")[1]
    status = json.loads(ctl(host, "status", "--json")[1])
    assert status["config_error"] == what_is_wrong(host)
    write(host, config(host))
    assert ctl(host, "reload") == (0, "", "")
    assert "wrong" not in notify.wait("STATUS=Waiting for a xenstored")
    assert "wrong" not in ctl(host, "status")[1]


def test_many_wrong_lines_do_not_flood_the_log():
    with Host("C", start=False, config="nonsense\n" * 1000) as host, proxy_with(host) as notify:
        assert notify.wait("wrong configuration").endswith("; and 999 more")
        notify.wait("READY=1")
        assert host.proxy.text().count("nor a key = value") == 10


@pytest.mark.parametrize("make", [
    lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\0" * 100000)],
    ids=["missing", "directory", "no text"])
def test_files_that_are_none(make):
    """The defaults hold; the command line has what the tests need."""
    with Host("C", start=False) as host:
        path = host.sim.dir / "other.conf"
        make(path)
        host.start_daemon()
        host.start_proxy("--config", path, "--run-dir", host.run_dir, "--socket", host.socket,
                         until="STATUS=Relaying")
        assert f"wrong configuration: {path}" in host.status
        assert host.dom0.directory("/")


# An empty /run, so that the default run-dir can be used and is seen by nobody else.
OWN_RUN = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs t /run && exec "$@"', "sh"]


@pytest.mark.parametrize("run_dir", ["/proc/xsproxy", "/dev/null", "/"])
def test_a_run_dir_that_cannot_be_used(run_dir):
    """The default takes its place, and the log says so."""
    if subprocess.run([*OWN_RUN, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this needs the right to mount")
    with Host("C", start=False) as host:
        path = host.sim.dir / "other.conf"
        path.write_text(f"[xsproxy]\nrun-dir = {run_dir}\n[log]\nlevel = info\n")
        host.proxy = host.sim.start(
            "xsproxyd", [*OWN_RUN, BUILD / "xsproxyd", "--config", path, "--socket", host.socket],
            ready=False)
        wait_until(lambda: "with the bridge at /run/xsproxy/bridge" in host.proxy.text())
        said = f"run-dir {run_dir} cannot be used, /run/xsproxy is; mend it and restart xsproxyd"
        assert said in host.proxy.text()
        there = f"/proc/{host.proxy.process.pid}/root/run/xsproxy/control"

        def wrong():
            done = run_ctl("check", "--control", there)
            return [line for line in done.stdout.splitlines() if line.startswith("configuration")]

        assert wrong() == [f"configuration: {said}"]
        # Read again, it is as wrong as it was, and no news.
        done = run_ctl("reload", "--control", there)
        assert (done.returncode, done.stderr) == (0, "")
        assert wrong() == [f"configuration: {said}"]
        assert "run-dir has changed" not in host.proxy.text()
        # Wrong in another way too, then in that way no more.
        good = path.read_text()
        path.write_text(good + "level = info\n")
        assert run_ctl("reload", "--control", there).returncode == 1
        assert wrong() == [f"configuration: {said}; {path}:5: [log] level = info: line 4 has set "
                           "it already"]
        path.write_text(good)
        assert run_ctl("reload", "--control", there).returncode == 0
        assert wrong() == [f"configuration: {said}"]
        # Another one waits for a restart; what is in effect is right.
        path.write_text("[xsproxy]\nrun-dir = /run/other\n[log]\nlevel = info\n")
        assert run_ctl("reload", "--control", there).stderr == waits("run-dir")
        assert wrong() == []
        path.write_text("[log]\nlevel = info\n")
        done = run_ctl("reload", "--control", there)
        assert (done.returncode, done.stderr, wrong()) == (0, "", [])
        host.proxy.kill(signal.SIGTERM)


def test_the_command_line_must_be_good(tmp_path):
    """Who types it sees what is wrong."""
    for args in (["--run-dir", "/proc/xsproxy"], ["--run-dir", "x"], ["--socket", "x"]):
        done = subprocess.run([BUILD / "xsproxyd", "--socket", tmp_path / "socket", *args],
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2 and args[1] in done.stderr


# --- a socket that systemd does not hold

def test_the_directory_of_the_socket_is_made():
    """As systemd makes it, whatever our umask."""
    with Host("C", start=False) as host:
        host.socket = host.sim.dir / "a" / "b" / "socket"
        host.start_daemon()
        host.start_proxy(until="STATUS=Relaying")
        assert host.dom0.directory("/")
        for path in host.socket.parents[:2]:
            assert path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path, why", [("/proc/xsproxy/socket", "No such file or directory"),
                                       ("/dev/null/socket", "Not a directory")])
def test_a_socket_that_cannot_be(path, why):
    with Host("C", start=False) as host:
        file = host.sim.dir / "other.conf"
        file.write_text(f"[xsproxy]\nsocket = {path}\nrun-dir = {host.run_dir}\n")
        done = subprocess.run([BUILD / "xsproxyd", "--config", file], capture_output=True,
                              text=True, check=False, timeout=60)
        assert done.returncode == 2
        assert (f"xsproxyd: cannot listen for toolstacks on {path}: {why}; correct [xsproxy] "
                "socket or --socket\n") in done.stderr


# --- metrics that cannot be

@pytest.mark.parametrize("argv, where, why", [
    (["unshare", "-n"], "[::1]:9777",
     "Cannot assign requested address; the service needs xsproxy.service.d/metrics.conf for it, "
     "see xsproxy.conf(5)"),
    ([], "unix:/proc/xsproxy/metrics",
     "No such file or directory; correct [metrics] listen and restart xsproxyd")])
def test_metrics_that_cannot_be_are_a_problem(argv, where, why):
    if argv and subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this needs the right to leave the network")
    said = f"no metrics: cannot listen on {where}: {why}"
    with Host("C", start=False, config=f"[metrics]\nlisten = {where}\n") as host:
        host.start_daemon()
        with proxy_with(host, argv) as notify:
            assert notify.wait("STATUS=Relaying").endswith(f"; wrong configuration: {said}")
            assert f"xsproxyd: {said}\n" in host.proxy.text()
            assert f"wrong       configuration: {said}\n" in ctl(host, "status")[1]
            assert f"configuration: {said}\n" in ctl(host, "check")[1]
            # What is read again does not make it right, unless nobody wants it any more.
            assert ctl(host, "reload") == (0, "", "")
            assert f"configuration: {said}\n" in ctl(host, "check")[1]
            write(host, config(host))
            assert ctl(host, "reload") == (0, "", waits("listen").replace("xsproxy]", "metrics]"))
            assert "configuration" not in ctl(host, "check")[1]
