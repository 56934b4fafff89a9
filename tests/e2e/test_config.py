# SPDX-License-Identifier: MIT
"""xsproxy.conf: option table, example and man page agree; what is refused; SIGHUP."""

import configparser
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import xensim
from control import Control
from harness import Host
from relay import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
XSPROXYD = xensim.BUILD / "xsproxyd"


def check(path, *args):
    return subprocess.run([XSPROXYD, "--check-config", "--config", path, *args],
                          capture_output=True, text=True, check=False)


def options(text):
    """{(section, key): value} of a configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return {(section, key): value for section in parser.sections()
            for key, value in parser[section].items()}


@pytest.fixture(scope="module")
def defaults(tmp_path_factory):
    """What xsproxyd itself says."""
    path = tmp_path_factory.mktemp("conf") / "empty.conf"
    path.write_text("")
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")
    return options(done.stdout)


def uncommented(text):
    """The example with its defaults in force."""
    return re.sub(r"^#([a-z-]+ = )", r"\1", text, flags=re.M)


def test_example_has_every_option_with_its_default(defaults):
    example = (ROOT / "xsproxy.conf.example").read_text()
    assert options(uncommented(example)) == defaults
    # As it is shipped it sets nothing.
    assert options(example) == {}


def test_example_is_good_as_it_is_and_uncommented(defaults, tmp_path):
    example = (ROOT / "xsproxy.conf.example").read_text()
    for text in (example, uncommented(example)):
        path = tmp_path / "xsproxy.conf"
        path.write_text(text)
        done = check(path)
        assert (done.returncode, done.stderr) == (0, "")
        assert options(done.stdout) == defaults


def test_man_page_has_every_option_with_its_default(defaults):
    found, section = {}, None
    for line in (ROOT / "docs/man/xsproxy.conf.5").read_text().splitlines():
        if line.startswith(".Ss ["):
            section = line[5:-1]
        option = re.fullmatch(r"\.It Cm (\S+) Pq default: Li (\S+)", line)
        if option:
            found[section, option[1]] = option[2]
    assert found == defaults


def test_man_page_says_what_sighup_changes():
    text = (ROOT / "docs/man/xsproxy.conf.5").read_text()
    for key, at_run_time in (("run-dir", False), ("socket", False), ("timeout", True),
                             ("level", True), ("messages", True)):
        part = text.partition(f".It Cm {key} ")[2].partition(".It Cm")[0].partition(".El")[0]
        assert ("SIGHUP" in part) == at_run_time
        assert ("only when xsproxyd is restarted" in part) != at_run_time


def test_what_is_printed_can_be_read(tmp_path):
    path = tmp_path / "xsproxy.conf"
    path.write_text("[xsproxy]\nrun-dir = /a/b\nsocket = /c\n[quiesce]\ntimeout = 1500ms\n"
                    "[log]\nlevel = warning\n[flight]\nmessages = 7\n"
                    "[metrics]\nlisten = [::1]:9777\ndomains = 0\n")
    first = check(path)
    path.write_text(first.stdout)
    assert check(path).stdout == first.stdout
    assert options(first.stdout) == {
        ("xsproxy", "run-dir"): "/a/b", ("xsproxy", "socket"): "/c",
        ("quiesce", "timeout"): "1500ms", ("log", "level"): "warning", ("flight", "messages"): "7",
        ("metrics", "listen"): "[::1]:9777", ("metrics", "domains"): "0"}


@pytest.mark.parametrize("text, line, words", [
    ("[flight]\nmessages = 1001\n", 2, "must be a number, 0 to 1000"),
    ("[flight]\nmessages = 7s\n", 2, "must be a number, 0 to 1000"),
    ("[nonsense]\nx = 1\n", 2, "[nonsense] x = 1: there is no such option"),
    ("[xsproxy]\nsokcet = /x\n", 2, "[xsproxy] sokcet = /x: there is no such option"),
    ("# c\n\n[log]\nlevel = loud\n", 4, "must be error, warning, notice, info or debug"),
    ("[quiesce]\ntimeout = 5\n", 2, "must be a number with the unit ms or s, 1ms to 600s"),
    ("[quiesce]\ntimeout = 5min\n", 2, "unit ms or s"),
    ("[quiesce]\ntimeout = 0s\n", 2, "1ms to 600s"),
    ("[quiesce]\ntimeout = 601s\n", 2, "1ms to 600s"),
    ("[quiesce]\ntimeout = -1s\n", 2, "1ms to 600s"),
    ("[quiesce]\ntimeout =\n", 2, "unit ms or s"),
    ("[xsproxy]\nrun-dir = run\n", 2, "must be an absolute path"),
    ("[xsproxy]\nrun-dir = /" + "x" * 96 + "\n", 2, "at most 95 characters"),
    ("[xsproxy]\nsocket\n", 2, "neither a [section] nor a key = value"),
    ("[xsproxy\n", 1, "neither a [section] nor a key = value"),
    ("level = info\n", 1, "there is no such option"),
    ("[metrics]\ndomains = 1001\n", 2, "must be a number, 0 to 1000"),
])
def test_what_is_refused(tmp_path, text, line, words):
    path = tmp_path / "xsproxy.conf"
    path.write_text(text)
    done = check(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"xsproxyd: {path}:{line}: ") and words in done.stderr
    assert done.stderr.count("\n") == 1
    # It does not start with it either.
    done = subprocess.run([XSPROXYD, "--config", path], capture_output=True, text=True,
                          check=False, timeout=xensim.TIMEOUT)
    assert done.returncode == 2 and words in done.stderr


LISTEN = "must be off, 127.0.0.1:PORT, [::1]:PORT or unix:/PATH"
ALONE = "must be this machine's alone"


@pytest.mark.parametrize("words, where", [
    *((ALONE, where) for where in (
        "0.0.0.0:9777", "192.0.2.1:9777", "128.0.0.1:1", "[::]:9777", "[2001:db8::1]:1",
        "[::ffff:127.0.0.1]:9777")),
    *((LISTEN, where) for where in (
        "on", "", "9777", ":9777", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:http", "127.1:9777", "localhost:9777", "::1:9777", "[::1]",
        "[::1:9777", "[]:9777", "[:9777", "unix:", "unix:run", "/run/metrics",
        "unix:/" + 98 * "x", 99 * "1" + ":9777", 120 * "1" + ":9777"))])
def test_where_metrics_are_refused(tmp_path, words, where):
    path = tmp_path / "xsproxy.conf"
    path.write_text(f"[metrics]\nlisten = {where}\n")
    done = check(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"xsproxyd: {path}:2: [metrics] listen") and words in done.stderr


@pytest.mark.parametrize("where", [
    "off", "127.0.0.1:1", "127.255.255.254:65535", "[::1]:9777", "unix:/" + 97 * "x"])
def test_where_metrics_may_be(tmp_path, where):
    path = tmp_path / "xsproxy.conf"
    path.write_text(f"[metrics]\nlisten = {where}\n")
    assert options(check(path).stdout)["metrics", "listen"] == where


def test_a_missing_file(tmp_path):
    done = check(tmp_path / "none.conf")
    assert done.returncode == 2 and "No such file" in done.stderr


def test_the_command_line_goes_before_the_file(tmp_path):
    path = tmp_path / "xsproxy.conf"
    path.write_text("[xsproxy]\nrun-dir = /from/file\nsocket = /from/file/s\n")
    done = check(path, "--run-dir", "/from/line")
    assert options(done.stdout)["xsproxy", "run-dir"] == "/from/line"
    assert options(done.stdout)["xsproxy", "socket"] == "/from/file/s"
    done = check(path, "--socket", "relative")
    assert done.returncode == 2 and "--socket relative: must be an absolute path" in done.stderr


@pytest.fixture
def host():
    with Host("C", start=False) as started:
        started.start_proxy()
        yield started


def reload(host, text):
    """SIGHUP with a new file; what is logged about it."""
    before = len(host.proxy.text())
    (host.sim.dir / "xsproxy.conf").write_text(text)
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
    with Host("C", start=False) as host, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(xensim.TIMEOUT)
        host.proxy = host.sim.start("xsproxyd", [XSPROXYD, "--config", host._config()],
                                    ready=False, env={"NOTIFY_SOCKET": tmp_path / "notify"})
        said = b""
        while b"READY=1" not in said:
            said = notify.recv(4096)
        host.proxy.process.send_signal(signal.SIGHUP)
        while b"RELOADING=1" not in said:
            said = notify.recv(4096)
        assert b"MONOTONIC_USEC=" in said
        while b"READY=1" not in said:
            said = notify.recv(4096)
