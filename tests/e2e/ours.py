# SPDX-License-Identifier: MIT
"""Our own toolstack requests (docs/protocol.md), and what their tests share."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import lists  # noqa: E402
import xsclient  # noqa: E402
from harness import Host  # noqa: E402
from xsclient import ERROR, join, strings  # noqa: E402

LISTED = lists.entries("requests.def", "OURS")
TYPES = {name: int(number, 0) for number, name, *_ in lists.by_number(LISTED)}
globals().update(TYPES)  # QUIESCE and so on
OURS = tuple(TYPES.values())
WORDS = tuple(entry[4] for entry in LISTED)  # by CONTROL, in the order of `help`

OXENSTORED_CONF = "/etc/xen/oxenstored.conf"

# To CONTROL live-update -f.
NOT_THERE = ("xsproxyd sees no such program; it sees nothing below /home, /root and /tmp. "
             "xsproxyctl xenstored replace --with takes those.")


@contextlib.contextmanager
def running(flavour, proxied=True, **kwargs):
    """A Host whose daemons must still be there at the end."""
    with Host(flavour, proxied, **kwargs) as host:
        yield host
        host.check()
        if host.proxy:
            host.proxy.stop()
        # oxenstored does not end on SIGTERM while a transaction is open.
        host.daemon.kill()


def settings(tmp_path, values):
    """The arguments that give oxenstored other settings, and its others as they are."""
    with open(OXENSTORED_CONF, encoding="ascii") as conf:
        lines = [line for line in conf if line.partition("=")[0].strip() not in values]
    lines += [f"{key} = {value}\n" for key, value in values.items()]
    conf = tmp_path / "oxenstored.conf"
    conf.write_text("".join(lines))
    return ("--config-file", str(conf))


def limits(flavour, tmp_path, watches=2000, transactions=30, path=2048):
    """The arguments that raise a daemon's quotas."""
    if flavour == "C":
        return ("-W", str(watches), "-t", str(transactions), "-M", str(path))
    return settings(tmp_path, {"quota-maxwatch": watches, "quota-transaction": transactions,
                               "quota-path-max": path})


def said(function, *args, **kwargs):
    """What a request came to: its result, or the error's name."""
    try:
        return function(*args, **kwargs)
    except xsclient.XsError as err:
        return err.name


def ask(client, type_, *words):
    """A request of ours: its payload, or the error's name."""
    return said(client.request, type_, join(*words))


def quiesce(client, domid):
    assert ask(client, TYPES["QUIESCE"], domid) == b"OK\0"


def unquiesce(client, domid):
    assert ask(client, TYPES["UNQUIESCE"], domid) == b"OK\0"


def watch_page(client, domid, index=0):
    """One page of GET_DOMAIN_WATCHES: the gencnt, [(path, token), ...]."""
    gencnt, *rest = strings(client.request(TYPES["GET_DOMAIN_WATCHES"], join(domid, index)))
    assert len(rest) % 2 == 0
    return int(gencnt), list(zip(rest[::2], rest[1::2]))


class Changed(AssertionError):
    """A list was changed between two of its pages."""


def watch_pages(client, domid):
    """All pages of a list that nobody changes meanwhile."""
    pages = []
    index, first = 0, None
    while True:
        gencnt, watches = watch_page(client, domid, index)
        first = gencnt if first is None else first
        if gencnt != first:
            raise Changed(f"{first} became {gencnt}")
        if not watches:
            return pages
        pages.append(watches)
        index += len(watches)


def tracked_watches(client, domid):
    """The whole list, from its beginning when it has changed meanwhile."""
    while True:
        with contextlib.suppress(Changed):
            return [watch for page in watch_pages(client, domid) for watch in page]


def tracked_transactions(client, domid):
    reply = client.request(TYPES["GET_DOMAIN_TRANSACTIONS"], join(domid))
    ids = [int(text) for text in strings(reply)]
    assert len(set(ids)) == len(ids)
    return set(ids)


def add_watches(client, domid, watches):
    """ADD_DOMAIN_WATCHES: None, or the error's name."""
    words = [text for pair in watches for text in pair]
    reply = ask(client, TYPES["ADD_DOMAIN_WATCHES"], domid, *words)
    return None if reply == b"OK\0" else reply


def error_of(msg):
    """The name of the error that a message is, or None."""
    return msg.payload.rstrip(b"\0").decode("ascii") if msg.type == ERROR else None


def settle(host):
    """xsproxyd has done all it could with what reached it before."""
    for _ in range(2):
        ask(host.dom0, TYPES["GET_DOMAIN_TRANSACTIONS"], 0)


def events_until_now(guest):
    """The events that come before the reply to a request that is sent now."""
    guest.call(xsclient.READ, b"domid\0")
    events = [tuple(event) for event in guest.events]
    guest.events.clear()
    return events
