# SPDX-License-Identifier: MIT
"""The manuals: mandoc finds nothing wrong, and they have each command and option of --help."""

import pathlib
import re
import subprocess

import pytest

import xensim

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANUALS = sorted((ROOT / "docs/man").iterdir())


@pytest.mark.parametrize("path", MANUALS, ids=lambda path: path.name)
def test_manuals_are_sound(path):
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", path], capture_output=True,
                          text=True, check=False)
    said = [line for line in done.stdout.splitlines() if "trailing delimiter" not in line]
    assert said == []


def test_all_manuals_are_there():
    assert {path.name for path in MANUALS} == {
        "xsproxyd.8", "xsproxyctl.8", "xsproxy-keeper.8", "xsproxy-starter.8", "xsproxy.conf.5",
        "libxsproxy-bridge.7", "xsproxy.7"}


def usage(program, *args):
    return subprocess.run([xensim.BUILD / program, *args, "--help"], capture_output=True,
                          text=True, check=True).stdout


def manual(name):
    """A manual as it is read."""
    done = subprocess.run(["mandoc", "-Tutf8", "-O", "width=500", ROOT / "docs/man" / name],
                          capture_output=True, text=True, check=True)
    return re.sub(".\b", "", done.stdout)


def test_xsproxyctl_8_has_every_command_and_option():
    text = manual("xsproxyctl.8")
    commands = re.findall(r"^  ([a-z][a-z-]*) ", usage("xsproxyctl"), re.M)
    assert len(commands) >= 12
    for command in commands:
        assert re.search(rf"^ +{command}( |$)", text, re.M), command
        for option in re.findall(r"--[a-z-]+", usage("xsproxyctl", command)):
            assert option in text, f"{command} {option}"


def test_xsproxyd_8_has_every_option():
    text = manual("xsproxyd.8")
    for short, option in re.findall(r"^  (-.), (--[a-z-]+)", usage("xsproxyd"), re.M):
        assert f"{short}, {option}" in text


def test_xsproxy_7_names_commands_and_options_that_there_are():
    """What it tells people to do can be done."""
    asked = re.findall(r"^\.Ql xsproxyctl (.*?)(?: [.,;])?$",
                       (ROOT / "docs/man/xsproxy.7").read_text(encoding="utf-8"), re.M)
    assert len(asked) > 15
    for words in map(str.split, asked):
        text = usage("xsproxyctl", words[0])
        for option in words[1:]:
            if option.startswith("-"):
                assert re.search(rf"^ +(-., +)?{option}\b|^ +{option},", text, re.M), words


def test_the_pages_that_pages_refer_to_are_there():
    ours = {path.name for path in MANUALS}
    for path in MANUALS:
        text = path.read_text(encoding="utf-8")
        for name, section in re.findall(r"^\.Xr (\S+) (\d)", text, re.M):
            if "xsproxy" in name:
                assert f"{name}.{section}" in ours, path.name
