# SPDX-License-Identifier: MIT
"""A simulated host whose xenstored was started without xsproxy, as Debian's init script does; then
xsproxyd is put before it, and leaves again, while guests and clients go on:

    with Native("C") as host:
        guest = host.add_guest(7)
        host.enter("O")
        host.replace("C")
        host.leave()
"""

import contextlib
import os
import pathlib
import socket
import threading

import native_daemon
import xsclient
from control import Control
from harness import BRIDGE, DAEMONS, xensim
from native_daemon import LiveUpdate, flavour_of
from relay import wait_until
from service import proxy_on
from supervised import LIVE_UPDATE, Refused, Supervised

WAITING = "waiting for the native xenstored's state"  # what it says when it is to be asked


class InTheWay(Refused):
    """The native daemon waits for somebody, whom it names."""


class Native(Supervised):
    """As Supervised, but that the first daemon is native, and goes on as it is until enter().

    live_update: what the native daemon is asked to execute; and of the last command, stages: what
    xsproxyd said that it does; asking: how the native daemon is asked; control: its connection
    """

    def __init__(self, flavour, forks=True, live_update=LIVE_UPDATE, **kwargs):
        self.live_update = live_update
        self.stages = []
        self.asking = self.control = None
        self._forks = forks
        self._listener = None  # systemd's
        self._unit = None
        super().__init__(flavour, live_update=live_update, **kwargs)

    def _start(self):
        pid_file = self.sim.dir / "xenstore.pid"
        self.daemon = native_daemon.start(
            self.sim, self.flavour, *self.daemon_args, pid_file=pid_file, forks=self._forks,
            XSPROXY_DIR=self.run_dir)
        self.daemon_args = (*self.daemon_args, "--pid-file", pid_file)
        self.dom0  # connects: it is up

    def close(self):
        super().close()
        if self._listener:
            self._listener.close()

    def start_proxy(self, wait=True):  # pylint: disable=arguments-differ
        """With the socket that systemd holds, which is not the one that toolstacks know."""
        if not self._listener:
            return super().start_proxy(wait=wait)
        with proxy_on(self, self._listener) as notify:
            if wait:
                notify.wait("READY=1")
        return self.proxy

    def prepare(self):
        """What xsproxyctl does before anything happens."""
        if not self._listener:
            path = self.run_dir / "entering"
            path.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        self.link()
        if not self.proxy:
            self.start_proxy()
        # The unit, which begins with waiting for the end of what runs.
        if not self._unit:
            self._unit = threading.Thread(target=self._supervise, daemon=True)
            self._unit.start()

    def add_guest(self, domid, **kwargs):
        guest = super().add_guest(domid, **kwargs)
        self.note_frame(domid)
        return guest

    def note_frame(self, domid):
        """As toolstacks do; of the daemons only oxenstored knows it."""
        self.dom0.write(f"/local/domain/{domid}/store/ring-ref", self.sim.list()[domid]["gfn"])

    def link(self):
        """Say which daemon it is that may have to be brought back."""
        link = self.run_dir / "native"
        link.unlink(missing_ok=True)
        link.symlink_to(self._path(flavour_of(self.daemon.pid)))

    @staticmethod
    def _path(flavour):
        return str(xensim.XEN_BIN / DAEMONS[flavour])

    def ask_native(self, force=False):
        """Ask the native daemon for the live update; stop() what is returned."""
        return LiveUpdate(self.socket, flavour_of(self.daemon.pid), self.live_update, force)

    def enter(self, after=None, force=False, patience=xensim.TIMEOUT, at=None, path=None,
              watches=0):
        """Put xsproxyd before the native daemon, and @after in its place.

        @patience: s for who is in the way; @at: called with each stage as it comes; @path: of
        @after, if it is not as installed; @watches: that it takes of a domain
        Return: how long nobody was served, ms. Raises Refused; InTheWay with what it said.
        """
        before = flavour_of(self.daemon.pid)
        self.prepare()
        after = after or before
        path = path or ("" if after == self.flavour else self._path(after))
        return self._conduct("enter", after, at, patience, force,
                             {"native": self._path(before), "with": path,
                              "watches": watches})

    def leave(self, after=None, force=False, at=None, path=None, whole=None):
        """Have a native daemon in the place of the one that serves, and nobody before it.

        @whole: whether it has no place for messages in part, where what it is does not say so
        """
        after = after or self.serves
        whole = after == "O" if whole is None else whole
        return self._conduct("leave", after, at, xensim.TIMEOUT, force,
                             {"with": path or self._path(after), "force": force, "whole": whole})

    def _conduct(self, command, after, at, patience, force, arguments):
        self.stages = []
        with contextlib.ExitStack() as stack:
            self.control = control = stack.enter_context(Control(self))
            control.send(command, progress=True, **arguments)
            self.asking, said = None, control.recv()
            while "stage" in said:
                self.stages.append(said["stage"])
                if said["stage"] == WAITING:
                    self.asking = self.ask_native(force)
                    stack.callback(self.asking.stop)
                if at:
                    at(said["stage"])
                said = self._next(control, patience)
        if "error" in said:
            raise Refused(said["error"]["desc"])
        self.serves = after
        self.wait_daemon()
        return said["return"]["pause_ms"]

    def _next(self, control, patience):
        control.sock.settimeout(patience)
        try:
            return control.recv()
        except xsclient.Timeout:
            if self.asking and self.asking.in_the_way:
                self.asking.give_up()
                raise InTheWay(self.asking.in_the_way) from None
            raise

    def dismiss(self):
        """xsproxyd and the keeper end: they are nobody's any more."""
        for name in ("proxy", "keeper"):
            process = getattr(self, name)
            if process:
                process.stop()
                process.ended = True
            setattr(self, name, None)

    # What can be seen of who serves.

    def is_native(self):
        """The daemon has no bridge, and has the guests' ports itself."""
        proc = pathlib.Path(f"/proc/{self.daemon.pid}")
        ours = [line for line in (proc / "environ").read_text().split("\0")
                if line.startswith("XSPROXY_") and line.partition("=")[0] not in os.environ
                or str(BRIDGE) in line]
        return (str(BRIDGE) not in (proc / "maps").read_text()
                and {line.partition("=")[0] for line in ours} <= {"XSPROXY_DIR",
                                                                  "XSPROXY_STORED_DIR"}
                and self.bound_by() <= {self.daemon.pid})

    def bound_by(self):
        """Who has the ports of guests."""
        return {domain["bound_by"] for domain in self.sim.list().values()
                if domain["port"] == "bound"}

    def is_behind(self):
        """The daemon that serves has the bridge, and not the guests' ports."""
        self.wait_daemon()
        maps = pathlib.Path(f"/proc/{self.daemon.pid}/maps").read_text()
        return str(BRIDGE) in maps and self.daemon.pid not in self.bound_by()

    def wait_native(self, flavour):
        """It executes that daemon, which serves."""
        wait_until(lambda: flavour_of(self.daemon.pid) == flavour)
        with self.client() as client:
            client.directory("/")


class Behind(Native):
    """The same, but that xsproxyd was there from the beginning."""

    def _start(self):
        self.daemon_args = (*self.daemon_args, "--pid-file", self.sim.dir / "xenstore.pid")
        Supervised.start_daemon(self)
        self._unit = True
        self.start_proxy()
        self.dom0  # connects: it is up


def executes(pid, program):
    """Whether it does, be that a script or not; False, too, when it has ended."""
    try:
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(program) in line.split(b"\0")
