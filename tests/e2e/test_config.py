# SPDX-License-Identifier: MIT
"""xsproxy.conf: option table, example and man page agree; what --check-config refuses."""

import configparser
import pathlib
import re
import subprocess

import pytest

import xensim

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


def in_man_page():
    """{(section, key): (default, what is said)} of each option."""
    text = (ROOT / "docs/man/xsproxy.conf.5").read_text()
    found = {}
    for section, body in re.findall(r"^\.Ss \[(.*)\]\n((?:(?!\.S[sh] ).*\n)*)", text, re.M):
        for key, default, said in re.findall(
                r"^\.It Cm (\S+) Pq default: Li (\S+)\n((?:(?!\.It Cm ).*\n)*)", body, re.M):
            found[section, key] = (default, said)
    return found


def test_man_page_has_every_option_with_its_default(defaults):
    assert {option: default for option, (default, _) in in_man_page().items()} == defaults


def test_man_page_says_what_sighup_changes(defaults):
    table = re.findall(r'^\t\{ "([^"]+)",\s*"([^"]+)",[^}]*\b(true|false) \},$',
                       (ROOT / "config/config.c").read_text(), re.M)
    at_run_time = {(section, key): value == "true" for section, key, value in table}
    assert at_run_time.keys() == defaults.keys()
    for option, (_, said) in in_man_page().items():
        assert ("SIGHUP" in said) == at_run_time[option], option
        assert ("only when xsproxyd is restarted" in said) != at_run_time[option], option


def test_what_is_printed_can_be_read(defaults, tmp_path):
    path = tmp_path / "xsproxy.conf"
    text = ("[xsproxy]\nrun-dir = /a/b\nsocket = /c\n"
            "[socket]\nmode = 660\ngroup = nogroup\nusers = daemon, 7\n"
            "users-control = pass\n[quiesce]\ntimeout = 1500ms\n"
            "[log]\nlevel = warning\n[flight]\nmessages = 7\n"
            "[limits]\nwatches = 1\nwatch-memory = 250MiB\nclient-memory = 2MiB\n"
            "[metrics]\nlisten = [::1]:9777\ndomains = 0\n"
            "[guard]\nmalformed = pass\nrelease = pass\n")
    path.write_text(text)
    first = check(path)
    path.write_text(first.stdout)
    assert check(path).stdout == first.stdout
    assert options(first.stdout) == {**defaults, **options(text), ("socket", "mode"): "0660"}


@pytest.mark.parametrize("text, line, words", [
    ("[flight]\nmessages = 1001\n", 2, "must be a number, 0 to 1000"),
    ("[flight]\nmessages = 7s\n", 2, "must be a number, 0 to 1000"),
    ("[nonsense]\nx = 1\n", 1, "[nonsense]: there is no such section"),
    ("[log]\n\n[nonsense]\n", 3, "[nonsense]: there is no such section"),
    ("[log]\nlevel = info\nlevel = info\n", 3, "[log] level = info: line 2 has set it already"),
    ("[log] level = info\n", 1, "a [section] needs a line of its own"),
    ("[log]\nlevel = " + "x" * 200 + "\n", 2, "the line is longer than 198 characters"),
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
    ("[socket]\nmode = 0608\n", 2, "must be an octal mode, 0600 to 0777, such as 0660"),
    ("[socket]\nmode = 0060\n", 2, "0600 to 0777"),
    ("[socket]\nmode = 01600\n", 2, "0600 to 0777"),
    ("[socket]\nmode = rw\n", 2, "must be an octal mode"),
    ("[socket]\ngroup = no-such-group\n", 2,
     "there is no group no-such-group; make it, or give a number"),
    ("[socket]\ngroup = root, daemon\n", 2, "must be one group, a name or a number"),
    ("[socket]\ngroup = 4294967295\n", 2, "is no number of a group, 0 to 4294967294"),
    ("[socket]\ngroup =\n", 2, "must be one group"),
    ("[socket]\nusers = root, no-such-user\n", 2,
     "there is no user no-such-user; make it, or give a number"),
    ("[socket]\nusers = ,\n", 2, "must be names or numbers of users, 1 to 16"),
    ("[socket]\nusers = " + " ".join(map(str, range(17))) + "\n", 2, "1 to 16"),
    ("[socket]\nusers-control = yes\n", 2, "must be refuse or pass"),
    ("[metrics]\ndomains = 1001\n", 2, "must be a number, 0 to 1000"),
    ("[guard]\nmalformed = yes\n", 2, "must be refuse or pass"),
    ("[guard]\nrelease = refuse\n", 2, "must be answer or pass"),
    ("[limits]\nwatches = 0\n", 2, "must be a number, 1 to 1000000"),
    ("[limits]\nwatch-memory = 8\n", 2, "must be a number with the unit MiB, 1MiB to 250MiB"),
    ("[limits]\nclient-memory = 251MiB\n", 2, "1MiB to 250MiB"),
])
def test_what_is_refused(tmp_path, text, line, words):
    path = tmp_path / "xsproxy.conf"
    path.write_text(text)
    done = check(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"xsproxyd: {path}:{line}: ") and words in done.stderr
    assert done.stderr.count("\n") == 1


def test_all_that_is_wrong_is_told(tmp_path):
    path = tmp_path / "xsproxy.conf"
    path.write_text("[log]\nlevel = loud\n# comment\n[quiesce]\ntimeout = 5\nnonsense\n")
    done = check(path)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line, number in zip(lines, (2, 5, 6)):
        assert line.startswith(f"xsproxyd: {path}:{number}: ")


@pytest.mark.parametrize("length", [198, 199, 200, 201, 399, 400, 5000])
def test_a_comment_may_be_of_any_length(tmp_path, length):
    path = tmp_path / "xsproxy.conf"
    path.write_text("# " + "x" * (length - 2) + "\n[log]\nlevel = debug\n")
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert options(done.stdout)["log", "level"] == "debug"


@pytest.mark.parametrize("text", [
    "[log] # x\nlevel = debug ; x\n", "[log]; x\nlevel = debug\t;x\n"])
def test_comments_within_a_line(tmp_path, text):
    path = tmp_path / "xsproxy.conf"
    path.write_text(text)
    assert options(check(path).stdout)["log", "level"] == "debug"


@pytest.mark.parametrize("value", ["debug # x", "debug;x"])
def test_no_comments_within_a_line(tmp_path, value):
    path = tmp_path / "xsproxy.conf"
    path.write_text(f"[log]\nlevel = {value}\n")
    assert f"[log] level = {value}: must be" in check(path).stderr


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
