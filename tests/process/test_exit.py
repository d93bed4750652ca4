"""The interpreter may go away at any moment."""

import signal

import pytest

CODES = {
    "return": 0,
    "sys-exit": 7,
    "exception": 1,
    "interrupt": -signal.SIGINT,
    "terminate": -signal.SIGTERM,
    "while-opening": 0,
    "while-recovering": 0,
    "terminate-while-recovering": -signal.SIGTERM,
    "daemon-thread": 0,
    "loop-left-running": 0,
}
# What a crash in a thread leaves on stderr, and what a Rust panic does.
CRASHES = ("Fatal Python error", "panicked", "Segmentation fault")


def leave(start, how, runs):
    for batch in range(0, runs, 2):
        processes = [start("leave", how) for _ in range(min(2, runs - batch))]
        for process in processes:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == CODES[how], errors
            assert not any(crash in errors for crash in CRASHES), errors


@pytest.mark.parametrize("how", CODES)
def test_leaving_while_streaming_gives_the_programs_own_code(start, how):
    leave(start, how, runs=4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", CODES)
def test_leaving_while_streaming_over_many_runs(start, how):
    leave(start, how, runs=30)


def test_importing_and_configuring_starts_nothing(start):
    process = start("quiet_import")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


def test_our_threads_bear_our_name_and_are_few(start):
    process = start("threads")
    names, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    # Two workers and some of the pool for blocking calls; asyncio and Python bring none.
    ours = [name for name in names.split() if name.startswith("novasonic-io")]
    assert 1 <= len(ours) <= 6, names


@pytest.mark.parametrize("what", ["tool", "source", "credentials"])
def test_a_thread_that_hangs_holds_up_no_exit(start, what):
    process = start("hang", what)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
