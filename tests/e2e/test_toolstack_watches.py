# SPDX-License-Identifier: MIT
"""ADD_DOMAIN_WATCHES is all or nothing and nobody's requests come in between; GET_DOMAIN_WATCHES
gives any list in pages, and what it gives can be added elsewhere."""

import itertools
import signal
import threading

import pytest

from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_TRANSACTIONS, HOLD, add_watches, ask, error_of,
                  events_until_now, limits, quiesce, running, settle, tracked_watches, unquiesce,
                  watch_page, watch_pages)
from relay import FLAVOURS, introduce, packet, wait_until
from versions import EXPECT
from xsclient import PAYLOAD_MAX, UNWATCH, WATCH, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

BATCH = [("data", "one"), ("/local/domain/7/device", "two"), ("@introduceDomain", "three"),
         ("data/x", ""), ("/", "t" * 100), ("@releaseDomain", "six")]


@pytest.fixture(params=["running", "quiesced", "held"])
def state(request):
    return request.param


def in_state(host, domid, state):
    """A guest that is running, quiesced or held."""
    if state == "held":
        assert ask(host.dom0, HOLD, domid) == b"OK\0"
    guest, _ = introduce(host, domid)
    if state == "quiesced":
        quiesce(host.dom0, domid)
    return guest


def run_on(host, guest, state, page):
    if state != "running":
        settle(host)
        assert guest.page() == page
        unquiesce(host.dom0, guest.domid)


def test_success(flavour, state):
    """Each watch fires once, as WATCH does, and then for changes; it is the guest's own."""
    with running(flavour) as host:
        guest = in_state(host, 7, state)
        page = guest.page()
        assert add_watches(host.dom0, 7, BATCH) is None
        assert tracked_watches(host.dom0, 7) == BATCH
        run_on(host, guest, state, page)
        assert events_until_now(guest) == BATCH
        host.dom0.write("/local/domain/7/data/y", "x")
        # The home of the guest is what "/" shows of a path in it.
        assert sorted(events_until_now(guest)) == [("/local/domain/7/data/y", "t" * 100),
                                                   ("data/y", "one")]
        for watch in BATCH:
            assert error_of(guest.call(WATCH, join(*watch))) == "EEXIST"
            guest.unwatch(*watch)
        assert tracked_watches(host.dom0, 7) == []


@pytest.mark.parametrize("wrong, error", [
    (("data//x", "t"), "EINVAL"), (("", "t"), "EINVAL"), (("data/", "t"), "EINVAL"),
    (("data", "own"), "EEXIST"), (("/local/domain/7/data", "own"), "EEXIST"),
    (("data", "one"), "EEXIST"), (("/local/domain/7/data", "one"), "EEXIST"),
    (("data", "l" * 4059), "E2BIG"),
], ids=["double-slash", "empty", "trailing-slash", "own", "own-spelled-otherwise", "twice",
        "twice-spelled-otherwise", "too-long"])
@pytest.mark.long
def test_all_or_nothing(flavour, state, wrong, error):
    """The first, third or last one is refused: none remains, the guest sees no event of the batch,
    and its own watches are what they were."""
    own = [("data", "own"), ("/local/domain/7/data/x", "own")]
    with running(flavour) as host:
        guest = in_state(host, 7, state)
        if state == "running":
            for watch in own:
                guest.watch(*watch)
            events_until_now(guest)
        else:
            assert add_watches(host.dom0, 7, own) is None
        page = guest.page()
        for place in (0, 2, len(BATCH)):
            batch = BATCH[:place] + [wrong] + BATCH[place:]
            if error == "E2BIG":
                batch = [wrong]
            host.dom0.write("/local/domain/7/data/x", "waits, or came")
            assert add_watches(host.dom0, 7, batch) == error
            host.dom0.write("/local/domain/7/data/x", "changed")
            assert watch_page(host.dom0, 7)[1] == own
        if state != "running":
            settle(host)
            assert guest.page() == page
            unquiesce(host.dom0, 7)
        events = events_until_now(guest)
        assert set(events) - {own[0]} == {("data/x", "own"), own[1]}
        assert (own[0] in events) == (state != "running")
        for watch in BATCH:
            assert error_of(guest.call(UNWATCH, join(*watch))) == "ENOENT"
        for watch in own:
            assert error_of(guest.call(WATCH, join(*watch))) == "EEXIST"
        # And it can be had without the mistake.
        assert add_watches(host.dom0, 7, BATCH) is None
        assert tracked_watches(host.dom0, 7) == own + BATCH


def test_over_quota(flavour, state):
    """The daemon's own error, as the domain would have got it; the room that there was is free."""
    with running(flavour) as host:
        guest = in_state(host, 7, "running")
        own = [("data", str(i)) for i in range(EXPECT[flavour].watch_limit - 3)]
        for watch in own:
            guest.watch(*watch)
        events_until_now(guest)
        if state != "running":
            quiesce(host.dom0, 7)
        for _ in range(3):
            assert add_watches(host.dom0, 7, BATCH) == EXPECT[flavour].watch_quota
            assert tracked_watches(host.dom0, 7) == own
        assert add_watches(host.dom0, 7, BATCH[:3]) is None
        unquiesce(host.dom0, 7)
        assert events_until_now(guest) == BATCH[:3]
        assert error_of(guest.call(WATCH, join("data", "more"))) == EXPECT[flavour].watch_quota
        assert tracked_watches(host.dom0, 7) == own + BATCH[:3]


def test_large_batches(flavour, state):
    """As many as a request holds, and one as long as a watch may be, larger than the ring."""
    many = [("data", f"{i:03}") for i in range(90)]
    longest = ("data", "l" * (4064 - 6))
    with running(flavour) as host:
        guest = in_state(host, 7, state)
        page = guest.page()
        assert add_watches(host.dom0, 7, many) is None
        assert add_watches(host.dom0, 7, [longest]) is None
        assert add_watches(host.dom0, 7, many[:1]) == "EEXIST"
        assert tracked_watches(host.dom0, 7) == many + [longest]
        run_on(host, guest, state, page)
        assert events_until_now(guest) == many + [longest]


class Watching(threading.Thread):
    """A guest that registers watches of its own without pause, many requests at once."""

    def __init__(self, guest, limit):
        super().__init__(daemon=True)
        self.guest, self.limit = guest, limit
        self.done = []
        self.events = []
        self.ending = False
        self.error = None
        self.start()

    def run(self):
        try:
            for first in range(0, self.limit, 8):
                if self.ending:
                    return
                ids = [self.guest.send(WATCH, join("data", f"own{i}"))
                       for i in range(first, first + 8)]
                for req_id in ids:
                    msg = self.guest.recv_reply()
                    assert msg[:2] == (WATCH, req_id), msg
                self.done += [("data", f"own{i}") for i in range(first, first + 8)]
        except BaseException as err:  # pylint: disable=broad-except
            self.error = err

    def finish(self):
        self.ending = True
        self.join(30)
        assert not self.is_alive() and self.error is None, self.error
        return self.done


def test_no_request_in_between(flavour, tmp_path):
    """A guest that fires WATCHes gets none into a batch, and sees nothing of one that fails."""
    with running(flavour, daemon_args=limits(flavour, tmp_path, watches=4000)) as host:
        guest = host.add_guest(7)
        watching = Watching(guest, 2000)
        wait_until(lambda: watching.done or watching.error)
        good, bad = [], []
        for i in range(12):
            batch = [("data", f"batch{i}.{j}") for j in range(30)]
            if i % 2:
                assert add_watches(host.dom0, 7, batch + [("data", "own0")]) == "EEXIST"
                bad += batch
            else:
                assert add_watches(host.dom0, 7, batch) is None
                good.append(batch)
        own = watching.finish()
        tracked = tracked_watches(host.dom0, 7)
        assert [watch for watch in tracked if watch[1].startswith("own")] == own
        for batch in good:
            at = tracked.index(batch[0])
            assert tracked[at:at + len(batch)] == batch
        assert len(tracked) == len(own) + sum(map(len, good))
        events = events_until_now(guest)
        assert not set(events) & set(bad)
        assert [events.count(watch) for watch in itertools.chain(own, *good)] == [1] * len(tracked)


def test_busy_domain(flavour):
    """It waits for what the guest has begun; EBUSY when that does not end, and nothing is added;
    nor when the asker disconnects while it waits."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        octets = packet(WRITE, b"data/a\0" + b"x" * 1493)
        for how in ("finishes", "stops", "asker-gone"):
            guest.send_raw(octets[:1200])
            wait_until(lambda: guest.req_cons == guest.req_prod)
            asker = host.client()
            asker.send(ADD_DOMAIN_WATCHES, join(7, "data", how))
            asker.send(GET_DOMAIN_TRANSACTIONS, join(0))
            assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
            if how == "stops":
                assert error_of(asker.recv_reply()) == "EBUSY"
            if how == "asker-gone":
                asker.close()
                settle(host)
            guest.send_raw(octets[1200:])
            assert guest.recv_reply().payload == b"OK\0"
            if how == "finishes":
                assert asker.recv_reply().payload == b"OK\0"
            guest.read("domid")
            assert tracked_watches(host.dom0, 7) == [("data", "finishes")]


def test_two_batches_at_once(flavour):
    """From several askers: one after the other."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        askers = [host.client() for _ in range(4)]
        batches = [[("data", f"{asker}.{i}") for i in range(15)] for asker in range(4)]
        for asker, batch in zip(askers, batches):
            asker.send(ADD_DOMAIN_WATCHES, join(7, *itertools.chain(*batch)))
        for asker in askers:
            assert asker.recv_reply().payload == b"OK\0"
        tracked = tracked_watches(host.dom0, 7)
        assert sorted(tracked[i:i + 15] for i in range(0, 60, 15)) == sorted(batches)
        assert events_until_now(guest) == tracked


def test_dom0(flavour):
    """dom0's ring, by a socket and by itself."""
    with running(flavour) as host:
        kernel = host.guest(0)
        for i, asker in enumerate((host.dom0, kernel)):
            assert add_watches(asker, 0, [("data", f"a{i}"), ("/x", f"b{i}")]) is None
            assert add_watches(asker, 0, [("data", f"c{i}"), ("/x", f"b{i}")]) == "EEXIST"
        wanted = [("data", "a0"), ("/x", "b0"), ("data", "a1"), ("/x", "b1")]
        assert tracked_watches(kernel, 0) == wanted == tracked_watches(host.dom0, 0)
        kernel.directory("/")
        assert [tuple(event) for event in kernel.events] == wanted


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart_in_the_middle(flavour, how):
    """A batch that xsproxyd did not finish leaves nothing behind."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "own")
        events_until_now(guest)
        asker = host.client()
        asker.directory("/")
        host.daemon.process.send_signal(signal.SIGSTOP)
        asker.send(ADD_DOMAIN_WATCHES, join(7, *itertools.chain(*BATCH)))
        asker.send(GET_DOMAIN_TRANSACTIONS, join(0))
        assert asker.recv_reply().type == GET_DOMAIN_TRANSACTIONS
        host.proxy.kill(how)
        host.daemon.process.send_signal(signal.SIGCONT)
        host.start_proxy()
        client = host.client()
        guest.read("domid")
        assert tracked_watches(client, 7) == [("data", "own")]
        assert events_until_now(guest) == []
        assert add_watches(client, 7, BATCH) is None
        assert tracked_watches(client, 7) == [("data", "own")] + BATCH


def test_a_thousand(flavour, tmp_path):
    """1,000 watches with long paths: pages that fit, in order, from any index; fed to a fresh
    domain they give the same list."""
    with running(flavour, daemon_args=limits(flavour, tmp_path, watches=1100)) as host:
        guest = host.add_guest(7)
        watches = [(f"{'data' if i % 3 else '/local/domain/7/data'}/n{'n' * (i % 251)}/{i}",
                    "t" * (i * 7 % 301) + str(i)) for i in range(998)]
        watches.insert(500, ("data", "l" * (4064 - 6)))
        watches.append(("@releaseDomain", ""))
        for watch in watches:
            guest.watch(*watch)
            events_until_now(guest)
        pages = watch_pages(host.dom0, 7)
        assert [watch for page in pages for watch in page] == watches
        sizes = [sum(len(path) + len(token) + 2 for path, token in page) for page in pages]
        assert max(sizes) <= PAYLOAD_MAX - 2
        # No page stops early: the next watch would not have fitted.
        gencnt = len(str(watch_page(host.dom0, 7)[0])) + 1
        for size, following in zip(sizes, pages[1:]):
            path, token = following[0]
            assert gencnt + size + len(path) + len(token) + 2 > PAYLOAD_MAX
        for index in (0, 1, 499, 500, 501, 999, 998, 3):
            assert watch_page(host.dom0, 7, index)[1][0] == watches[index]
        for index in (1000, 1001, 0xFFFFFFFF):
            assert watch_page(host.dom0, 7, index)[1] == []

        fresh = host.add_guest(8)
        for page in pages:
            assert add_watches(host.dom0, 8, page) is None
        assert tracked_watches(host.dom0, 8) == watches
        assert events_until_now(fresh) == watches
        assert watch_pages(host.dom0, 8) == pages


def test_longest_list(flavour, state):
    """As many watches as a guest may have, each as long as can be: another domain can have them,
    whose first events nobody reads meanwhile."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        watches = [("data", f"{i:03}" + "l" * (4064 - 9))
                   for i in range(EXPECT[flavour].watch_limit)]
        for watch in watches:
            guest.watch(*watch)
            events_until_now(guest)
        fresh = in_state(host, 8, state)
        page = fresh.page()
        for batch in watch_pages(host.dom0, 7):
            assert add_watches(host.dom0, 8, batch) is None
        assert tracked_watches(host.dom0, 8) == watches
        run_on(host, fresh, state, page)
        assert events_until_now(fresh) == watches


def test_more_than_there_is_room_for(flavour, tmp_path):
    """With raised quotas first events that nobody reads can exceed what xsproxy, or the C daemon,
    keeps for one domain: then there is an error, never a toolstack that waits for ever."""
    with running(flavour, daemon_args=limits(flavour, tmp_path, watches=3000)) as host:
        guest = host.add_guest(7)
        quiesce(host.dom0, 7)
        watches = [("data", f"{i:04}" + "l" * 4000) for i in range(1500)]
        errors = (add_watches(host.dom0, 7, [watch]) for watch in watches)
        added, error = next((i, err) for i, err in enumerate(errors) if err)
        assert error == ("ENOMEM" if flavour == "C" else "ENOSPC")
        assert added > 2 * EXPECT[flavour].watch_limit
        assert tracked_watches(host.dom0, 7) == watches[:added]
        unquiesce(host.dom0, 7)
        # At its memory quota the C daemon drops events without a word.
        assert set(events_until_now(guest)) <= set(watches[:added])
        guest.reset_watches()
        assert add_watches(host.dom0, 7, watches[added:added + 1]) is None
        assert tracked_watches(host.dom0, 7) == watches[added:added + 1]


def test_changes_between_pages(flavour):
    """gencnt tells that the pages read so far may be of another list."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        for i in range(20):
            guest.watch("data", f"{i}" * 400)
        for change in (lambda: guest.watch("data", "new"), lambda: guest.unwatch("data", "new"),
                       lambda: add_watches(host.dom0, 7, [("data", "new")]), guest.reset_watches):
            first, page = watch_page(host.dom0, 7)
            assert watch_page(host.dom0, 7, len(page))[0] == first
            change()
            assert watch_page(host.dom0, 7, len(page))[0] != first
        # Added and taken back is a change too, or was never seen: the list is the same.
        first, page = watch_page(host.dom0, 7)
        assert add_watches(host.dom0, 7, [("data", "a"), ("//", "b")]) == "EINVAL"
        assert watch_page(host.dom0, 7)[1] == page
