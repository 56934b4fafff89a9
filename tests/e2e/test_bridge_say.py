# SPDX-License-Identifier: MIT
"""What the bridge has to say, where nobody reads it: xenstored goes on answering."""

import os
import re
import socket
import subprocess

import pytest

from bridge_bed import BRIDGE, TIMEOUT, wait_until
import xsclient
from harness import Host
from relay import FLAVOURS
from service import stuff

MANY = 1000  # lines; a system's log takes some ten, or as many as fit its buffer

# A /dev of its own, with @0 as its log, and @1 as standard error.
PRIVATE = """
new=$(mktemp -d) && mount -t tmpfs none "$new" && mkdir "$new/shm" &&
for name in null zero urandom; do
    : >"$new/$name" && mount --bind "/dev/$name" "$new/$name" || exit
done &&
mount --rbind /dev/shm "$new/shm" && ln -s "$0" "$new/log" && mount --rbind "$new" /dev || exit
exec 2>>"$1"
shift
exec "$@"
"""


class Deaf:
    """A system's log and a standard error that nobody reads until they are asked to."""

    def __init__(self, tmp_path):
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.log.bind(str(tmp_path / "log"))
        os.mkfifo(tmp_path / "stderr")
        self.stderr = os.open(tmp_path / "stderr", os.O_RDWR | os.O_NONBLOCK)
        self.argv = ["unshare", "-m", "sh", "-c", PRIVATE, tmp_path / "log", tmp_path / "stderr"]
        if subprocess.run([*self.argv, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this needs the right to mount")

    def close(self):
        self.log.close()
        os.close(self.stderr)

    def fill(self):
        """Nothing more goes in, neither here nor there."""
        stuff(self.log.getsockname(), b"<30>filler")
        with pytest.raises(BlockingIOError):
            for _ in range(MANY):
                os.write(self.stderr, b"filler\n" * 500)
        with pytest.raises(BlockingIOError):
            for _ in range(4096):
                os.write(self.stderr, b"\n")

    def drain(self):
        """The lines of the log, and those of standard error."""
        datagrams, octets = [], b""
        try:
            while True:
                datagrams.append(self.log.recv(4096).decode())
        except BlockingIOError:
            pass
        try:
            while True:
                octets += os.read(self.stderr, 65536)
        except BlockingIOError:
            pass
        return datagrams, octets.decode().splitlines()


@pytest.fixture(name="deaf")
def a_deaf_system(tmp_path):
    deaf = Deaf(tmp_path)
    yield deaf
    deaf.close()


def start(host, deaf):
    """Neither daemon says anything once it serves (at its start the C daemon does, with syslog(3)
    and as long as that takes); what the bridge says is all there is."""
    host.daemon = host.sim.start("xenstored", [*deaf.argv, *host.sim.daemon_argv(host.flavour)],
                                 BRIDGE, ready=False, polite=False,
                                 env={"XSPROXY_DIR": host.run_dir})
    wait_until((host.run_dir / "bridge").exists)
    serves(host)


def serves(host):
    with xsclient.Client(host.run_dir / "upstream", timeout=TIMEOUT) as dom0:
        dom0.directory("/")


def provoke(host):
    """Have the bridge say that its owner has gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as owner:
        owner.settimeout(TIMEOUT)
        owner.connect(str(host.run_dir / "bridge"))
        assert owner.recv(64)
    serves(host)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nobody_reads(flavour, deaf):
    with Host(flavour, start=False) as host:
        start(host, deaf)
        deaf.drain()
        provoke(host)
        deaf.fill()
        for _ in range(3):
            provoke(host)
        deaf.drain()
        provoke(host)
        datagrams, lines = deaf.drain()
        assert len(lines) == len(datagrams) == 1
        said = (rf"xsproxy-bridge: \(3 lost before this one\) {host.run_dir}/bridge: "
                "xsproxyd has gone; domains stay attached until it is back")
        assert re.fullmatch(said, lines[0])
        assert re.fullmatch(r"<29>[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d o?xenstored\[\d+\]: "
                            + said, datagrams[0])
        host.sim.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xsproxyd_comes_and_goes(flavour, deaf):
    """Guests are served all the same."""
    with Host(flavour, start=False) as host:
        start(host, deaf)
        deaf.fill()
        host.start_proxy()
        guest = host.add_guest(7)
        for _ in range(3):
            host.proxy.kill()
            host.start_proxy()
            assert guest.read("domid") == b"7"
        host.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nobody_is_there(flavour, deaf, tmp_path):
    """The system's log is gone, and who read standard error has ended, too."""
    with Host(flavour, start=False) as host:
        start(host, deaf)
        (tmp_path / "log").unlink()
        os.close(deaf.stderr)
        deaf.stderr = os.open("/dev/null", os.O_RDONLY)
        for _ in range(2):
            provoke(host)
        host.sim.check()
