# SPDX-License-Identifier: MIT
"""One daemon ends and another one goes on with its rings, as the starter has it: for tests of the
bridge alone (bridge_bed.py).

    dump = write_state(stack)                       # the daemon has ended
    stack.flavour = "O"
    state = make_state(stack, dump, {7: (port, gfn)})
    start(stack, state, owner.memfd)
"""

import socket
import struct
import subprocess

from bridge_bed import BRIDGE, BUILD, TIMEOUT
import xsclient

FORMAT = {"C": "c", "O": "oxenstored"}
STATE = {"C": "/run/xenstored/state_dump", "O": "/run/xenstored/db"}
RESTORE = {"C": ["-U"], "O": ["--live", "--restart"]}
PORT_BASE = 0x40000000  # RINGS_PORT_BASE
NONE = -1  # no descriptor

# Records of the C daemon's stream that name connections.
GLOBAL, CONNECTION, WATCH = 1, 2, 3
HEAD = struct.Struct("<II")
RING = struct.Struct("<IHHHHIHHI")

# What a daemon executes for a live update; oxenstored tries first whether it can be executed.
PROGRAM = """#!/bin/sh
unset LD_PRELOAD
case "$*" in *--help*) exit 0 ;; esac
env >{work}/environment
ls -l /proc/$$/fd >{work}/descriptors
mv {state} {work}/dump
"""


def write_state(stack):
    """Have the daemon write its state, and end. Returns the directory with `dump`, and with what
    a child of it inherits."""
    work = stack.sim.dir / f"dumped-{len(list(stack.sim.dir.glob('dumped-*')))}"
    work.mkdir()
    program = work / "program"
    program.write_text(PROGRAM.format(work=work, state=stack.sim.path(STATE[stack.flavour])))
    program.chmod(0o755)
    with stack.client() as client:
        assert client.control("live-update", "-f", str(program)) in ("OK", b"OK")
        client.send(xsclient.CONTROL, xsclient.join("live-update", "-s"))
        stack.daemon.ended = True
        assert stack.daemon.wait() == 0, stack.daemon.text()
    return work


def c_records(octets):
    """The stream without its head: [(type, body), ...]."""
    at, records = 16, []
    while at < len(octets):
        type_, length = HEAD.unpack_from(octets, at)
        body = octets[at + HEAD.size:at + HEAD.size + length]
        records.append((type_, body))
        at += HEAD.size + length
    return records


def c_edit(octets, listener, rings):
    out = octets[:16]
    for type_, body in c_records(octets):
        if type_ == GLOBAL:
            body = struct.pack("<ii", listener, NONE)
        elif type_ == CONNECTION:
            conn, kind, fields, domid, target, *_ = RING.unpack_from(body)
            if kind or domid not in rings:
                continue
            body = RING.pack(conn, kind, fields, domid, target, PORT_BASE + domid, 0, 0, 0)
            body += b"\0" * (-len(body) % 8)
        elif type_ == WATCH:
            continue
        out += HEAD.pack(type_, len(body)) + body
    return out


def ox_edit(octets, listener, rings):
    out = [b"$xenstored-dump-format", b"global,%d" % listener]
    out += [b"dom,%d,%d,%d" % (domid, gfn, port) for domid, (port, gfn) in rings.items()]
    return b"\n".join(out + [line for line in octets.splitlines() if line.startswith(b"store,")]
                      ) + b"\n"


EDIT = {"C": c_edit, "O": ox_edit}


def make_state(stack, work, rings):
    """Put a state for a daemon of the stack's flavour where it looks for it; @rings: {domid:
    (port, gfn)} of the only connections in it. Returns the listening socket that it names."""
    done = subprocess.run([BUILD / "xsproxyctl", "convert", work / "dump", "--to",
                           FORMAT[stack.flavour], "-o", work / "after"], capture_output=True,
                          text=True, check=False)
    assert not done.returncode, done.stderr
    path = stack.dir / "upstream"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    octets = EDIT[stack.flavour]((work / "after").read_bytes(), listener.fileno(), rings)
    stack.sim.path(STATE[stack.flavour]).write_bytes(octets)
    return listener


def start(stack, listener, rings, ready=True):
    """Start a daemon with that state, and with @rings: their descriptor, or what shall pass for
    one."""
    env = {"XSPROXY_DIR": stack.dir, "XSPROXY_RINGS": rings}
    argv = stack.sim.daemon_argv(stack.flavour, *RESTORE[stack.flavour])
    inherited = [listener.fileno()] + ([rings] if isinstance(rings, int) else [])
    with listener:
        stack.daemon = stack.sim.start(
            f"adopting-{stack.flavour}", argv, BRIDGE, env=env, ready=ready, polite=False,
            pass_fds=inherited)
    if ready:
        with xsclient.Client(stack.dir / "upstream", timeout=TIMEOUT) as client:
            client.directory("/")
