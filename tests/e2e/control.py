# SPDX-License-Identifier: MIT
"""A client of xsproxyd's control socket."""

import json
import socket
import struct
import time

import xsclient
import xensim


class ControlError(Exception):
    """The daemon answered with an error."""

    def __init__(self, error):
        super().__init__(error["desc"])
        self.error_class = error["class"]


class Control(xsclient.Closing):
    """One connection: control.run("domain", domid=7)."""

    def __init__(self, host):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a timeout of Python's a full backlog would be an error instead of a wait.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                             struct.pack("ll", int(xensim.TIMEOUT), 0))
        self.sock.connect(str(host.run_dir / "control"))
        self.sock.settimeout(xensim.TIMEOUT)
        self._buf = b""
        self._id = 0

    def close(self):
        self.sock.close()

    def send(self, command, **arguments):
        self._id += 1
        self.send_raw(json.dumps({"execute": command, "arguments": arguments, "id": self._id}))

    def send_raw(self, line):
        self.sock.sendall(line if isinstance(line, bytes) else line.encode() + b"\n")

    def recv(self):
        """The next object, as it is."""
        while b"\n" not in self._buf:
            try:
                data = self.sock.recv(65536)
            except TimeoutError as err:
                raise xsclient.Timeout("no answer on the control socket") from err
            if not data:
                raise xsclient.Closed("the control connection was closed")
            self._buf += data
        line, self._buf = self._buf.split(b"\n", 1)
        return json.loads(line)

    def reply(self):
        """The next answer's value; raises ControlError."""
        reply = self.recv()
        if "error" in reply:
            raise ControlError(reply["error"])
        assert reply["id"] == self._id
        return reply["return"]

    def run(self, command, **arguments):
        self.send(command, **arguments)
        return self.reply()

    def said(self, command, **arguments):
        """Its value, or the error's class."""
        try:
            return self.run(command, **arguments)
        except ControlError as err:
            return err.error_class

    def state(self, domid):
        return self.run("domain", domid=domid)["state"]

    def wait(self, what, command, **arguments):
        """Ask until what(value) holds; the value."""
        deadline = time.monotonic() + xensim.TIMEOUT
        while True:
            value = self.run(command, **arguments)
            if what(value):
                return value
            if time.monotonic() > deadline:
                raise xsclient.Timeout(f"{command} still says {value}")

    def ended(self):
        """Whether the daemon closes the connection, after what it still has to say."""
        try:
            while self.recv():
                pass
        except (xsclient.Closed, ConnectionResetError):
            return True
        return False
