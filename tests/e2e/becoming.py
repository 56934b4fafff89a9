# SPDX-License-Identifier: MIT
"""A daemon becomes another one, or itself again, in the same process: CONTROL live-update has it
write its state and execute a program, which here is starter.py. That converts the state with
xsproxyctl and executes the daemon that is to be.

    was = become(host, "O", rings)     # the state that the daemon has written, in a directory

Clients, guests and their event channels stay, as the new daemon takes them from the state.
"""

import json
import pathlib
import sys

from harness import xensim, xsclient
from relay import wait_until

STARTER = pathlib.Path(__file__).resolve().parent / "starter.py"


def live_update(host, program, *force):
    """Have the daemon write its state and execute @program. Whether it answers before that, from
    what follows, or never, is not the same for all."""
    client = host.client()
    assert client.control("live-update", "-f", str(program)) in ("OK", b"OK")
    client.send(xsclient.CONTROL, xsclient.join("live-update", "-s", *force))


def become(host, after, rings, *force):
    """@host, direct, gets a daemon of @after. Returns a directory with the files before, after (of
    its state) and lost (what xsproxyctl said).

    @rings: {domid: Domain} of those that it serves
    @force: more words of live-update -s
    """
    work = host.sim.dir / f"became-{len(list(host.sim.dir.glob('became-*')))}"
    work.mkdir()
    (work / "how.json").write_text(json.dumps({
        "from": host.flavour, "to": after, "ctl": str(xensim.BUILD / "xsproxyctl"),
        "sim": str(xensim.BUILD / "libxensim.so"), "bin": str(xensim.XEN_BIN),
        "run": str(host.sim.path("/run/xenstored/socket").parent),
        "lib": str(host.sim.path("/var/lib/xenstored")),
        "rings": {str(domid): [ring.gfn, ring.port] for domid, ring in rings.items()}}))
    program = work / "program"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {STARTER} {work} \"$@\"\n")
    program.chmod(0o755)
    live_update(host, program, *force)
    wait_until(lambda: (work / "done").exists() or (work / "failed").exists())
    assert not (work / "failed").exists(), (work / "failed").read_text()
    host.flavour = after
    return work
