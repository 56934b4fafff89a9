#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: pyxs_load.py SOCKET PATH THREADS ROUNDS

Load by Debian's python3-pyxs: THREADS threads on one connection to SOCKET, with requests of all of
them under way at once, each with nodes, transactions and watches of its own below PATH, ROUNDS
times. Every answer and every event is checked. Prints how many transactions it took.
"""

import os
import sys
import threading

from pyxs import Client, Router
from pyxs.connection import UnixSocketConnection
from pyxs.exceptions import PyXSError

PATIENCE = 30  # s, for an event


def commit(client, path, value):
    """Write in a transaction until it gets through; how often that was tried."""
    tries = 0
    while True:
        tries += 1
        client.transaction()
        client.write(path, value)
        assert client.read(path) == value
        if client.commit():
            return tries


def await_event(monitor, event):
    """Take events up to @event; pyxs itself would wait without end."""
    while True:
        if tuple(monitor.events.get(timeout=PATIENCE)) == event:
            return


def work(router, base, rounds):
    """What a thread does; how many transactions it took."""
    client = Client(router=router)
    client.mkdir(base)
    node, token = base + b"/watched", base.rpartition(b"/")[2]
    monitor = client.monitor()
    tries = 0
    for i in range(rounds):
        value = b"%d" % i
        monitor.watch(base, token)
        client.write(node, value)
        await_event(monitor, (node, token))
        assert client.read(node) == value
        tries += commit(client, base + b"/committed", value)
        assert set(client.list(base)) == {b"watched", b"committed"}
        assert not client.exists(base + b"/absent")
        monitor.unwatch(base, token)
    client.delete(base)
    return tries


def main():
    path, base, threads, rounds = sys.argv[1:]
    router = Router(UnixSocketConnection(path))
    router.start()
    results = []

    def run(number):
        results.append(work(router, os.fsencode(f"{base}/{number}"), int(rounds)))

    workers = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if len(results) < len(workers):  # the others have said why
        return 1
    router.terminate()
    print(sum(results))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PyXSError as error:
        sys.exit(f"pyxs_load: {error}")
