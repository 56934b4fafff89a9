# SPDX-License-Identifier: MIT
"""xsproxyd as a service: units, readiness, watchdog, socket activation, start and stop."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import xensim
import xsclient
from control import Control
from harness import Host
from ours import running
from relay import wait_until
from service import XSPROXYD, proxy_on, proxy_with

ROOT = pathlib.Path(__file__).resolve().parents[2]


# --- the units

@pytest.fixture
def units(tmp_path):
    """The units, with the binary that was built just now."""
    for name in ("xsproxy.service", "xsproxy.socket", "xsproxy-xenfs.service",
                 "xsproxy-keeper.service", "xsproxy-xenstored.service"):
        text = (ROOT / "systemd" / name).read_text()
        for installed, built in (("/usr/sbin/", f"{XSPROXYD.parent}/"),
                                 ("/usr/libexec/xsproxy/run-", f"{ROOT}/systemd/run-"),
                                 ("/usr/libexec/xsproxy/", f"{XSPROXYD.parent}/xsproxy-")):
            text = text.replace(installed, built)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_units_are_sound(units):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           *units.iterdir()],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_drop_in_is_sound(tmp_path):
    (tmp_path / "xenstored.service.d").mkdir()
    shutil.copy(ROOT / "systemd/examples/xenstored.service.d/xsproxy.conf",
                tmp_path / "xenstored.service.d")
    # As upstream Xen ships it.
    (tmp_path / "xenstored.service").write_text(
        "[Unit]\nDescription=The Xen xenstore\nConditionPathExists=/proc/xen/capabilities\n"
        "[Service]\nType=notify\nNotifyAccess=all\nRemainAfterExit=true\nExecStart=/bin/true\n")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           tmp_path / "xenstored.service"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_drop_in_for_a_group_is_sound(units):
    (units / "xsproxy.socket.d").mkdir()
    shutil.copy(ROOT / "systemd/examples/xsproxy.socket.d/group.conf", units / "xsproxy.socket.d")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           units / "xsproxy.socket"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def exposure(unit):
    return subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20",
                           "--no-pager", unit], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ("xsproxy.service", "xsproxy-keeper.service"))
def test_the_service_is_hardened(units, name):
    done = exposure(units / name)
    assert done.returncode == 0, done.stdout
    # Who asks of the sources gets the same: no example lies where it would be a drop-in.
    assert exposure(ROOT / "systemd" / name).stdout == done.stdout


def test_what_the_units_promise():
    service = (ROOT / "systemd/xsproxy.service").read_text().splitlines()
    unit_socket = (ROOT / "systemd/xsproxy.socket").read_text().splitlines()
    for line in ("Type=notify", "Restart=always", "Before=xenstored.service xen.service",
                 "RuntimeDirectoryPreserve=yes", "RuntimeDirectoryMode=0700",
                 "Requires=xsproxy.socket",
                 # Fails for a wrong file, and needs no package but ours.
                 "ExecReload=/usr/sbin/xsproxyctl reload"):
        assert line in service
    assert any(line.startswith("WatchdogSec=") for line in service)
    # dom0's page, and nothing else of xenfs; it is there before.
    for line in ("TemporaryFileSystem=/proc/xen:ro", "BindPaths=-/proc/xen/xsd_kva"):
        assert line in service
    for order in "Wants", "After":
        assert any(line.startswith(f"{order}=") and "xsproxy-xenfs.service" in line
                   for line in service)
    # It needs /dev/xen, and sees who asks.
    assert not any(line.startswith(("PrivateDevices=", "ProcSubset=", "ProtectProc="))
                   for line in service)
    for line in ("ListenStream=/run/xenstored/socket", "SocketMode=0600",
                 "Before=xenstored.service xen.service"):
        assert line in unit_socket


def lines_of(name):
    return (ROOT / "systemd" / name).read_text().splitlines()


def test_nothing_that_ends_xsproxyd_ends_the_keeper():
    """It is started with xsproxyd, before it, and does not know it."""
    service, keeper = lines_of("xsproxy.service"), lines_of("xsproxy-keeper.service")
    for order in "Wants", "After":
        assert f"{order}=xsproxy-keeper.service" in service
    assert [line for line in service if "keeper" in line and not line.startswith("#")] == [
        "Wants=xsproxy-keeper.service", "After=xsproxy-keeper.service"]
    assert not any(line.startswith(("PartOf=", "BindsTo=", "Requires=", "Requisite=", "Conflicts=",
                                    "After=", "WatchdogSec=", "WantedBy=")) for line in keeper)
    # A version without one does not read units anew before it restarts xsproxyd.
    assert "ConditionFileIsExecutable=/usr/libexec/xsproxy/keeper" in keeper
    # They share the directory, which is there as long as either runs, and after.
    for line in ("RuntimeDirectory=xsproxy", "RuntimeDirectoryMode=0700",
                 "RuntimeDirectoryPreserve=yes", "StartLimitIntervalSec=0", "Restart=always"):
        assert line in service and line in keeper


def limit(name):
    return int(next(line for line in lines_of(name)
                    if line.startswith("LimitNOFILE=")).partition("=")[2])


def test_the_keeper_has_descriptors_for_all_that_xsproxyd_may_have():
    """And for whatever it is sent until it has taken what was sent before."""
    assert limit("xsproxy-keeper.service") >= limit("xsproxy.service") + 64


# --- readiness, watchdog

@pytest.mark.parametrize("flavour", ("C", "O"))
def test_ready_before_xenstored(flavour):
    """Clients may connect at once; they are held until xenstored is there."""
    with Host(flavour, start=False) as host, proxy_with(host) as notify:
        notify.wait("READY=1")
        with Control(host) as control:
            assert control.run("status")["state"] == "waiting"
        client = host.client()
        client.send(xsclient.DIRECTORY, b"/\0")
        wait_until(lambda: "waiting for a xenstored with the bridge at" in host.proxy.text())
        assert host.proxy.text().count("waiting") == 1
        host.start_daemon()
        notify.wait("STATUS=Relaying for xenstored")
        assert client.recv_reply().type == xsclient.DIRECTORY
        host.daemon.kill()
        notify.wait("STATUS=Waiting for a xenstored")
        host.check()


def test_ready_after_xenstored():
    with Host("C", start=False) as host:
        host.start_daemon()
        with proxy_with(host) as notify:
            notify.wait("READY=1")
            assert host.dom0.directory("/")


def test_watchdog_pings_come_from_the_loop():
    with Host("C", start=False) as host:
        host.start_daemon()
        with proxy_with(host, env={"WATCHDOG_USEC": 100000}) as notify:
            notify.wait("READY=1")
            for _ in range(3):
                notify.wait("WATCHDOG=1")
            # A loop that does not run does not ping.
            host.proxy.process.send_signal(signal.SIGSTOP)
            notify.sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                while True:
                    notify.sock.recv(100)
            notify.sock.settimeout(xensim.TIMEOUT)
            host.proxy.process.send_signal(signal.SIGCONT)
            notify.wait("WATCHDOG=1")


def test_no_watchdog_unless_asked():
    with Host("C", start=False) as host, proxy_with(host) as notify:
        notify.wait("READY=1")
        host.proxy.kill(signal.SIGTERM)
        assert "WATCHDOG" not in notify.wait("STOPPING=1")


# --- socket activation

def test_systemds_socket_outlives_us():
    """xsproxy.socket holds it, so it is there while xsproxyd is not."""
    with Host("C", start=False) as host:
        host.start_daemon()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(host.socket))
            listener.listen(16)
            inode = os.stat(host.socket).st_ino
            for _ in range(2):
                client = host.client()  # waits in the backlog, as while the service restarts
                client.send(xsclient.DIRECTORY, b"/\0")
                with proxy_on(host, listener) as notify:
                    notify.wait("READY=1")
                    assert client.recv_reply().type == xsclient.DIRECTORY
                    assert host.proxy.kill(signal.SIGTERM) == 0
                assert os.stat(host.socket).st_ino == inode
                assert "systemd holds" not in host.proxy.text()
        host.check()


def test_systemds_socket_goes_before_the_option(tmp_path):
    """Which is said, for nobody listens where the option says."""
    with Host("C", start=False) as host:
        host.start_daemon()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(tmp_path / "socket"))
            listener.listen(16)
            with proxy_on(host, listener) as notify:
                notify.wait("READY=1")
                assert (f"systemd holds the toolstack's socket, {tmp_path}/socket; [xsproxy] "
                        f"socket = {host.socket} is of no effect, ListenStream= of "
                        "xsproxy.socket is\n"
                        ) in host.proxy.text()
                assert not host.socket.exists()


@pytest.mark.parametrize("keeper", (False, True))
def test_our_own_socket_is_0600_and_goes_with_us(keeper):
    """But for a keeper, which has it for the next one."""
    with running("C", keeper=keeper) as host:
        assert stat.S_IMODE(os.stat(host.socket).st_mode) == 0o600
        host.proxy.kill(signal.SIGTERM)
        assert host.socket.exists() == keeper
        assert not (host.run_dir / "control").exists()


# --- start and stop

def end(host, sig=signal.SIGTERM):
    """Have xsproxyd end, without waiting for it."""
    host.proxy.ended = True
    host.proxy.process.send_signal(sig)


def test_a_second_instance_is_refused():
    with running("C") as host:
        done = subprocess.run([XSPROXYD, "--config", host._config()], capture_output=True,
                              text=True, timeout=xensim.TIMEOUT, check=False)
        assert done.returncode == 2
        assert done.stderr == f"xsproxyd: another xsproxyd serves {host.run_dir}; stop it first\n"
        assert host.dom0.directory("/")


def test_a_run_dir_that_others_may_enter_is_refused():
    with Host("C", start=False) as host:
        host.run_dir.chmod(0o755)
        # From the command line: one in the file would give way to the default one.
        done = subprocess.run([XSPROXYD, "--config", host._config(), "--run-dir", host.run_dir],
                              capture_output=True, text=True, timeout=xensim.TIMEOUT, check=False)
        assert done.returncode == 2 and "mode 0700" in done.stderr


@pytest.mark.parametrize("flavour", ("C", "O"))
@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGINT))
def test_sigterm_leaves_the_page_at_a_message_boundary(flavour, sig):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.write("data/big", "x" * 2000)
        for i in range(20):
            guest.send(xsclient.READ, b"data/big\0", req_id=100 + i)
        end(host, sig)
        got = 0
        with contextlib.suppress(xsclient.Timeout):
            while got < 20:
                assert guest.recv_reply(timeout=1).req_id == 100 + got
                got += 1
        assert host.proxy.wait() == 0
        # Replies came whole, and no request is half taken; the others are still in the ring.
        assert guest.rsp_prod == guest.rsp_cons
        left = guest.req_prod - guest.req_cons
        assert left % (xsclient.HEADER.size + len(b"data/big\0")) == 0
        assert "within a request" not in host.proxy.text()
        host.start_proxy()
        while got < 20:
            assert guest.recv_reply().req_id == 100 + got
            got += 1


@pytest.mark.parametrize("keeper", (False, True))
def test_sigterm_does_not_wait_for_a_guest_that_does_not_read(keeper):
    """Without a keeper a second, which the log says; with one for nobody at all."""
    with running("C", keeper=keeper) as host:
        guest = host.add_guest(7)
        guest.write("data/big", "x" * 2000)
        guest.send(xsclient.READ, b"data/big\0", req_id=5)
        wait_until(lambda: guest.rsp_prod - guest.rsp_cons == 1024)
        assert host.proxy.kill(signal.SIGTERM) == 0
        assert ("within a request or do not read replies: 1;" in host.proxy.text()) != keeper
        host.start_proxy()
        assert guest.recv_reply().payload == b"x" * 2000


def test_a_second_sigterm_ends_at_once():
    with running("C") as host:
        guest = host.add_guest(7)
        guest.send_raw(xsclient.HEADER.pack(xsclient.WRITE, 1, 0, 2000) + b"data\0" + b"x" * 1000)
        wait_until(lambda: guest.req_cons == guest.req_prod)
        end(host)
        wait_until(lambda: "ending on signal" in host.proxy.text())
        end(host)
        assert host.proxy.wait() == 0
        assert "within a request" not in host.proxy.text()
        host.start_proxy()
        guest.send_raw(b"x" * 995)
        assert guest.recv_reply().type == xsclient.WRITE
