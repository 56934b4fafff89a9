# SPDX-License-Identifier: MIT
"""The package's scripts, as dpkg runs them, on a host where what they call only says that it was.

Removing: who stands behind xsproxyd goes on until dom0 is rebooted. Upgrading: xsproxyd is
restarted as the new unit says.
"""

import pytest

from harness import BUILD

ROOT = next(path for path in BUILD.parents if (path / "debian/prerm").exists())

pytest_plugins = ("altered",)

BIND = 'import socket; socket.socket(socket.AF_UNIX).bind("/run/xsproxy/bridge")'


@pytest.fixture
def host(altered):
    altered.stub("/usr/libexec/xsproxy/select-xenstored")
    for name in "deb-systemd-invoke", "systemctl":
        altered.stub(f"/usr/bin/{name}")
    altered.stub("/usr/sbin/xsproxyd", ":")
    altered.write("/run/systemd/system/there", "")
    altered.write("/run/xsproxy/there", "")
    altered.remove("/run/xsproxy/bridge")
    return altered


def script(host, name, *args, before=":"):
    """What the script has called, and what it says."""
    host.write("/script", (ROOT / "debian" / name).read_text(), 0o755)
    done = host.run("sh", "-c", f'{before}; exec /script "$@"', "sh", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr


def test_xsproxyd_runs_on_while_xenstored_has_the_bridge(host):
    called, said = script(host, "prerm", "remove", before=f"python3 -c '{BIND}'")
    assert called == ["select-xenstored off"]
    assert said.count("\n") == 1 and "until dom0 is rebooted" in said


def test_it_is_stopped_where_nobody_needs_it(host):
    called, said = script(host, "prerm", "remove")
    assert called == ["select-xenstored off",
                      "deb-systemd-invoke stop xsproxy.socket xsproxy.service"]
    assert said == ""


def test_an_upgrade_restarts_as_the_new_unit_says(host):
    called, said = script(host, "postinst", "configure", "0.1")
    assert said == ""
    assert called == ["select-xenstored on", "systemctl --system daemon-reload",
                      "deb-systemd-invoke try-restart xsproxy.service"]


def test_a_later_restart_is_as_the_new_unit_says_too(host):
    """Ours was left out, for the configuration is wrong."""
    host.stub("/usr/sbin/xsproxyd", "echo wrong >&2; exit 2")
    called, said = script(host, "postinst", "configure", "0.1")
    assert called == ["select-xenstored on", "systemctl --system daemon-reload"]
    assert "was not restarted" in said


def test_an_installation_starts_nothing(host):
    called, _ = script(host, "postinst", "configure", "")
    assert called == ["select-xenstored on", "xsproxy: takes effect when dom0 is rebooted."]
