# SPDX-License-Identifier: MIT
"""A simulated host whose xenstored is started by the starter, again and again as it ends, as the
installed unit does. So it can be exchanged:

    with Supervised("C") as host:
        host.replace("O")
"""

import contextlib
import signal
import threading

from harness import BRIDGE, BUILD, DAEMONS, Host, xensim
from relay import wait_until

STARTER = BUILD / "starter"
LIVE_UPDATE = BUILD / "live-update"


class Refused(Exception):
    """Nothing has come of it."""


class Supervised(Host):
    """As Host; @flavour is the configured daemon's, `serves` that of the one that serves."""

    def __init__(self, flavour, config="", live_update=LIVE_UPDATE, **kwargs):
        self.serves = flavour
        self.starts = 0
        self.may_start = threading.Event()  # cleared, no further one is started
        self.may_start.set()
        self._wanted = True
        self._lock = threading.Lock()
        super().__init__(flavour, config=f"[xenstored]\nlive-update = {live_update}\n" + config,
                         **kwargs)

    def start_daemon(self):
        self._start_once()
        threading.Thread(target=self._supervise, daemon=True).start()
        return self.daemon

    def _start_once(self):
        """One more process of the unit."""
        sim = self.sim
        argv = sim.daemon_argv(self.flavour, *self.daemon_args)
        self.starts += 1
        self.daemon = sim.start(
            "xenstored", [STARTER, *argv], ready=False, polite=False,
            env={"XSPROXY_DIR": self.run_dir, "LD_PRELOAD": BUILD / "libxensim.so",
                 "XSPROXY_PRELOAD": f"{BRIDGE}:{BUILD / 'libxensim.so'}",
                 "XSPROXY_STORED_DIR": sim.path("/run/xenstored")})
        return self.daemon

    def _note_end(self, status):
        """As the unit's ExecStopPost= does."""
        how = f"killed {signal.Signals(-status).name[3:]}" if status < 0 else f"exited {status}"
        with contextlib.suppress(OSError):
            (self.run_dir / "ended").write_text(how + "\n")

    def _supervise(self):
        while True:
            self._note_end(self.daemon.process.wait())
            self.may_start.wait()
            with self._lock:
                self.daemon.ended = True
                if not self._wanted:
                    return
                self._start_once()

    def wait_daemon(self):
        """It may serve before the thread that has started it has said so."""
        wait_until(lambda: self.daemon.alive())

    def close(self):
        self._wanted = False
        self.may_start.set()
        with self._lock:
            super().close()

    def ask(self, command, **arguments):
        """A command on the control socket: what it returns. Raises Refused."""
        reply = self.ask_json(command, **arguments)
        if "error" in reply:
            raise Refused(reply["error"]["desc"])
        return reply["return"]

    def replace(self, after=None):
        """Another daemon takes the place of the one that serves: how long nobody was served, ms."""
        after = after or self.serves
        path = str(xensim.XEN_BIN / DAEMONS[after])
        done = self.ask("replace", **({"with": path} if after != self.flavour else {}))
        self.serves = after
        self.wait_daemon()
        return done["pause_ms"]
