# SPDX-License-Identifier: MIT
"""What is tested is what the sources say now; and every test has a deadline, whatever it waits for:
a loop that never ends is a failure of one test, with what it was about, and not of the run."""

import os
import signal

import pytest

import built

# Far more than any test takes on a busy machine; more for long runs such as XSPROXY_KILLS=100000.
LIMIT = int(os.environ.get("XSPROXY_TEST_LIMIT", 600))  # s
AGAIN = 60  # s, for what waits while it cleans up


def pytest_configure(config):
    config.addinivalue_line("markers", "long: costs more than others; make check leaves it to"
                            " make check-more")
    why = built.complaint(built.BUILD)
    if why:
        raise pytest.UsageError(why)


def late(*_):
    # No test catches this one, as it might an OSError or an AssertionError.
    pytest.fail(f"not done within {LIMIT} s (XSPROXY_TEST_LIMIT)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol():
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT, AGAIN)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
