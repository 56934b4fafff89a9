# SPDX-License-Identifier: MIT
"""packaging/xsproxy.spec, built by Debian's rpmbuild: it has what the Debian package has, and its
scriptlets do the same when it comes, is upgraded and goes."""

import re
import shutil
import subprocess

import pytest

import xensim
from test_package import INSTALLED, ROOT, make

pytestmark = pytest.mark.long

CONFIG = "/etc/xsproxy/xsproxy.conf"
XENCOMMONS = "/etc/sysconfig/xencommons"

pytest_plugins = ("altered",)


@pytest.fixture(scope="module", name="rpm")
def rpm_fixture():
    if xensim.BUILD.name == "san":
        pytest.skip("a package has no sanitizers")
    if not shutil.which("rpmbuild"):
        pytest.skip("this needs rpmbuild: run `make deps`")
    make("rpm")
    return next((ROOT / "build/rpm/RPMS").glob("*/xsproxy-*.rpm"))


def query(rpm, *args):
    return subprocess.run(["rpm", "-qp", *args, rpm], capture_output=True, text=True,
                          check=True).stdout.splitlines()


def test_files(rpm):
    there = query(rpm, "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]")
    modes = {name[1:].removesuffix(".gz"): mode for mode, name in map(str.split, there)
             if not mode.startswith("d") and "/.build-id/" not in name}
    plugin, update = sorted(name for name, mode in modes.items() if mode.startswith("l"))
    assert re.fullmatch(r"usr/lib(64)?/wireshark/plugins/xenstore\.lua", plugin)
    assert update == "usr/libexec/xsproxy/live-update"
    # Where zsh looks is another place there.
    completion = "usr/share/zsh/site-functions/_xsproxyctl"
    assert set(modes) - {plugin, completion} == INSTALLED - {
        "usr/share/zsh/vendor-completions/_xsproxyctl"}
    assert completion in modes
    assert {name for name, mode in modes.items() if mode == "-rwxr-xr-x"} >= {
        "usr/libexec/xsproxy/xenstored", "usr/libexec/xsproxy/select-xenstored",
        "usr/sbin/xsproxyctl", "usr/sbin/xsproxyd"}
    assert query(rpm, "--configfiles") == [CONFIG]


def test_versions_agree(rpm):
    version = re.search(r'XSPROXY_VERSION\s+"(.*)"', (ROOT / "config/config.h").read_text())[1]
    assert query(rpm, "--queryformat", "%{VERSION}") == [version]


def test_no_macro_is_left(rpm):
    """One that the building system does not know would stand in a scriptlet as it is."""
    scripts = query(rpm, "--scripts")
    assert not [line for line in scripts if re.search(r"%[{a-z]", line)]
    heads = [line.split()[0] for line in scripts if " scriptlet (" in line]
    assert heads == ["postinstall", "preuninstall", "postuninstall"]


@pytest.fixture(name="host")
def host_fixture(altered, rpm):
    """A dom0 with RPM, systemd stubbed: `active` is what is-active says."""
    altered.write("/tmp/xsproxy.rpm", rpm.read_bytes())
    altered.write(XENCOMMONS, "A=1\nXENSTORED=/usr/sbin/xenstored\n")
    altered.remove("/etc/default/xen")
    altered.remove("/etc/default/xencommons")
    altered.remove("/run/xenstore.pid")
    altered.stub("/usr/bin/systemctl", '[ "$2" != is-active ] || exec test -e /active\n'
                                       'echo "systemctl $*" >>/called')
    return altered


def said(host, *lines):
    """Run lines of shell, as root there; all that they print, also of systemctl's calls."""
    begin = ("set -e", "mkdir -p /run/systemd/system",
             # That of Debian 12 wants to be told that it really shall; that of 13 has no such word.
             "! rpm --force-debian --version >/dev/null 2>&1 || sure=--force-debian",
             "new() { rpm -U $sure --nodeps --force /tmp/xsproxy.rpm; }",
             "gone() { rpm -e $sure xsproxy; }")
    done = host.run("sh", "-c", "\n".join([*begin, *lines]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_it_comes_and_goes(host):
    before = "cp /etc/sysconfig/xencommons /before"
    lines = said(host, before, "new", "(. /etc/sysconfig/xencommons; . /etc/sysconfig/xsproxy; "
                 "echo $XENSTORED $XSPROXY_XENSTORED)", "cat /called; rm /called",
                 "echo --", "gone", "cmp /etc/sysconfig/xencommons /before",
                 "cat /called", "ls /etc/xsproxy /usr/libexec/xsproxy 2>/dev/null || echo gone")
    assert lines == [
        "xsproxy: takes effect when dom0 is rebooted.",
        "/usr/libexec/xsproxy/xenstored /usr/sbin/xenstored",
        "systemctl --no-reload enable xsproxy.socket xsproxy.service",
        "systemctl --system daemon-reload",
        "--",
        "systemctl stop xsproxy.socket xsproxy.service",
        "systemctl stop xsproxy-keeper.service",
        "systemctl --no-reload disable xsproxy.socket xsproxy.service",
        "systemctl --system daemon-reload",
        "gone"]


def test_an_upgrade_restarts_xsproxyd_alone(host):
    lines = said(host, "new >/dev/null; touch /active; rm /called", "new", "cat /called",
                 "(. /etc/sysconfig/xencommons; echo $XENSTORED)")
    assert lines == [
        "systemctl --system daemon-reload", "systemctl start xsproxy-keeper.service",
        "systemctl try-restart xsproxy.service", "systemctl --system daemon-reload",
        "/usr/libexec/xsproxy/xenstored"]


def test_an_upgrade_leaves_another_choice(host):
    lines = said(host, "new >/dev/null", "echo XENSTORED=/opt/other >>/etc/sysconfig/xencommons",
                 "new")
    assert lines == [f"xsproxy: XENSTORED in {XENCOMMONS} names /opt/other; left as it is"]


def test_a_wrong_configuration(host):
    """What runs is not restarted, and an upgrade keeps the file."""
    lines = said(host, f"new >/dev/null; touch /active; echo '[log]\nlevel = shout' >{CONFIG}",
                 "rm /called", "new 2>&1", "grep -c try-restart /called || :", f"cat {CONFIG}",
                 "rm /active", "new 2>&1")
    wrong = lines[0].split("restart xsproxy': ")
    assert wrong[0] == ("xsproxy: xsproxyd was not restarted, the old one runs on; mend the "
                        "configuration, then 'systemctl ")
    assert wrong[1].startswith(f"xsproxyd: {CONFIG}:2: [log] level = shout: ")
    assert lines[1:4] == ["0", "[log]", "level = shout"]
    assert lines[4:] == ["xsproxy: takes effect when dom0 is rebooted.",
                         f"xsproxy: mend the configuration before that: {wrong[1]}"]


def test_a_removal_while_xenstored_has_the_bridge(host):
    lines = said(host, "new >/dev/null; rm /called; mkdir -p /run/xsproxy",
                 "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/run/xsproxy/"
                 "bridge')\"", "gone 2>&1", "cat /called")
    # It could not leave, and says why.
    assert lines[0].startswith("xsproxyctl leave: ")
    assert lines[1:] == [
        "xsproxy: the running xenstored depends on xsproxyd, which goes on until dom0 is rebooted; "
        "do so soon, nothing would start it again.",
        "systemctl --no-reload disable xsproxy.socket xsproxy.service",
        "systemctl --system daemon-reload"]


def test_where_a_xenstored_runs(host):
    """Then xsproxyd can be put before it, and can leave it when it goes."""
    stub = ("printf '#!/bin/sh\\necho xsproxyctl $*; rm /run/xsproxy/bridge\\n' "
            ">/usr/sbin/xsproxyctl")
    lines = said(host, "mkdir -p /run/xen /run/xsproxy; echo 1 >/run/xen/xenstored.pid", "new",
                 "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/run/xsproxy/"
                 "bridge')\"", "rm /called", stub, "gone", "cat /called")
    assert lines == [
        "xsproxy: run 'xsproxyctl enter', or reboot dom0, for it to take effect.",
        "xsproxyctl leave",
        "systemctl stop xsproxy.socket xsproxy.service",
        "systemctl stop xsproxy-keeper.service",
        "systemctl --no-reload disable xsproxy.socket xsproxy.service",
        "systemctl --system daemon-reload"]
