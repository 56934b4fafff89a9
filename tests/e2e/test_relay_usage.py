# SPDX-License-Identifier: MIT
"""Bad input gets a clear answer: one line on standard error that names what is wrong, and exit
status 2; and a second xsproxyd does not disturb the first."""

import os
import subprocess

import pytest

import xensim
from harness import BUILD, Host

XSPROXYD = BUILD / "xsproxyd"


def run(*args, env=None):
    done = subprocess.run([XSPROXYD, *map(str, args)], stdin=subprocess.DEVNULL, env=env,
                          capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False)
    return done.returncode, done.stdout, done.stderr


def refused(result, *names):
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.startswith(("xsproxyd: ", f"{XSPROXYD}: ")) and err.count("\n") == 1, err
    assert err.endswith("\n")
    for name in names:
        assert str(name) in err, err


@pytest.fixture(name="place")
def place_fixture(tmp_path):
    """Options that are good."""
    (tmp_path / "config").write_text("")
    return {"config": tmp_path / "config", "run-dir": tmp_path / "run",
            "socket": tmp_path / "socket"}


def options(place):
    return [f"--{name}={value}" for name, value in place.items()]


@pytest.mark.parametrize("option", ["--nonsense", "-z", "--run-dir", "argument",
                                    "--check-config=1"])
def test_wrong_option(option, place):
    refused(run(*options(place), option), option.lstrip("-").split("=", maxsplit=1)[0],
            "; see --help")


@pytest.mark.parametrize("name", ["run-dir", "socket"])
@pytest.mark.parametrize("value", ["", "relative/path", "/" + "x" * 200])
def test_wrong_path(name, value, place):
    place[name] = value
    refused(run(*options(place)), f"--{name}", value)


@pytest.mark.parametrize("text, named", [
    ("[xsproxy]\nrun-dir = relative\n", (2, "run-dir", "relative")),
    ("[xsproxy]\n\nspeed = 9\n", (3, "speed")),
    ("[nonsense]\nrun-dir = /x\n", (1, "nonsense")),
    ("run-dir = /x\n", (1, "run-dir")),
    ("[quiesce]\ntimeout = 5\n", (2, "timeout", "ms")),
    ("[quiesce]\ntimeout = -5s\n", (2, "timeout")),
    ("[quiesce]\ntimeout = 99999999999999999999s\n", (2, "timeout")),
    ("[quiesce]\ntimeout = s\n", (2, "timeout")),
    ("[log]\nlevel = loud\n", (2, "loud", "debug")),
    ("[log]\nlevel = debug\nthis is no setting\n", (3,)),
    ("[log\n", (1,)),
])
def test_wrong_config(text, named, place):
    place["config"].write_text(text)
    line, *names = named
    refused(run("--config", place["config"], "--check-config"), f"{place['config']}:{line}:",
            *names)


def test_unusable_paths(place, tmp_path):
    """A path that cannot be read, made, locked or bound."""
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir(mode=0o755)
    for name, value in (("run-dir", tmp_path / "file"), ("run-dir", tmp_path / "file/run"),
                        ("run-dir", tmp_path / "absent/run"), ("run-dir", tmp_path / "open"),
                        ("socket", tmp_path / "file/socket"), ("socket", tmp_path / "open")):
        refused(run(*options({**place, name: value})), value)


def test_run_dir_of_somebody_else(place, tmp_path):
    place["run-dir"] = tmp_path / "theirs"
    place["run-dir"].mkdir(mode=0o700)
    os.chown(place["run-dir"], 65534, 65534)
    refused(run(*options(place)), place["run-dir"])


def test_help(place):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    for name in place:
        assert f"--{name}" in out


def test_check_config(place):
    """It shows what holds and touches nothing."""
    place["config"].write_text("# all that there is\n[xsproxy]\nrun-dir = /x\nsocket = /y/z\n"
                               "[quiesce]\ntimeout = 1500ms ; short\n[log]\nlevel = warning\n")
    status, out, err = run("--config", place["config"], "--check-config")
    assert (status, err) == (0, "")
    for line in ("run-dir = /x", "socket = /y/z", "timeout = 1500ms", "level = warning"):
        assert line in out.splitlines()
    assert not place["run-dir"].exists()


@pytest.mark.parametrize("flavour", xensim.FLAVOURS)
def test_second_xsproxyd(flavour):
    """It is refused and leaves the first one's sockets alone."""
    with Host(flavour) as host:
        guest = host.add_guest(7)
        config = host.sim.dir / "xsproxy.conf"
        for args in (["--config", config],
                     ["--config", config, "--socket", host.sim.dir / "other"]):
            refused(run(*args, env=host.sim.env()), host.run_dir, "another xsproxyd")
        assert not (host.sim.dir / "other").exists()
        assert guest.read("name") == b"guest-7"
        assert host.client().read("/local/domain/7/name") == b"guest-7"
        host.check()
