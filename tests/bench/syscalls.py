# SPDX-License-Identifier: MIT
"""How many system calls processes make while a command runs, as perf counts them.

perf only counts: nobody is stopped, so requests meet in batches as they do without it. Each system
call of the machine takes a little longer, though: what is timed runs without it.
"""

import subprocess

EVENT = "raw_syscalls:sys_enter"
STAT = ("perf", "stat", "-x", ",", "-e", EVENT)


def unusable():
    """Why perf cannot count here, in one line; "" if it can."""
    try:
        done = subprocess.run([*STAT, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no perf (Debian's linux-perf)"
    if not done.returncode:
        return "" if _count(done.stderr) else f"perf does not count {EVENT}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error:")]
    return "perf: " + " ".join((errors or lines or ["failed"])[0].split())


def _count(said):
    """What perf has counted; 0 of who never ran, None if it does not say."""
    for line in said.splitlines():
        fields = line.split(",")
        if EVENT in fields:
            return int(fields[0]) if fields[0].isdigit() else 0
    return None


def counted(argv, processes, directory):
    """Run @argv: how it ended, and the system calls of each of @processes (None is no process) and,
    last, of its own processes together."""
    outs = [directory / f"syscalls-{i}" for i in range(len(processes) + 1)]
    command = [*STAT, "-o", outs[-1], "--", *argv]
    for out, process in zip(outs, processes):
        out.unlink(missing_ok=True)
        if process:
            command = [*STAT, "-o", out, "-p", str(process.pid), "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, [_count(out.read_text()) if out.exists() else None for out in outs]
