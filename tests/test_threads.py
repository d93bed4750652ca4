"""Threads for what may block."""

import asyncio
import contextvars
import os
import threading

import pytest

from novasonic import _threads
from novasonic._threads import in_thread

WHO = contextvars.ContextVar("WHO")


async def test_a_function_runs_in_a_thread_in_the_callers_context():
    WHO.set("the caller")
    assert await in_thread(lambda: (WHO.get(), threading.current_thread().name)) == ("the caller", "novasonic-work")


@pytest.mark.parametrize(("raised", "seen"), [(LookupError, LookupError), (StopIteration, RuntimeError)])
async def test_what_it_raises_is_raised(raised, seen):
    def fail():
        raise raised

    with pytest.raises(seen):
        await in_thread(fail)


async def test_many_that_hang_hold_up_nobody():
    release = threading.Event()
    hanging = [in_thread(release.wait) for _ in range(100)]
    assert await asyncio.wait_for(in_thread(lambda: "done"), 5) == "done"
    release.set()
    assert all(await asyncio.gather(*hanging))


async def test_threads_are_used_again_and_end_when_idle(monkeypatch, eventually):
    monkeypatch.setattr(_threads, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(_threads._Threads, "_current", None)
    first = await in_thread(threading.current_thread)
    await eventually(lambda: _threads._Threads.of_process()._idle)
    assert await in_thread(threading.current_thread) is first
    await eventually(lambda: not first.is_alive())
    assert not _threads._Threads.of_process()._idle
    assert await in_thread(lambda: "done") == "done"


async def test_what_a_forgotten_thread_brings_is_dropped(caplog):
    release, done = threading.Event(), threading.Event()

    def fail():
        release.wait(10)
        try:
            raise LookupError("secret")
        finally:
            done.set()

    running = in_thread(fail)
    running.cancel()
    release.set()
    await asyncio.to_thread(done.wait)
    assert await in_thread(lambda: "done") == "done"
    assert caplog.records == []


def test_a_loop_that_closed_meanwhile_is_survived():
    release, done = threading.Event(), threading.Event()

    async def leave():
        in_thread(lambda: release.wait(10) and done.set())

    asyncio.run(leave())
    release.set()
    assert done.wait(10)


def test_a_child_has_threads_of_its_own():
    async def pid():
        return await in_thread(os.getpid)

    asyncio.run(pid())
    # As in a child of a fork: none of the idle threads is there.
    _threads._Threads.of_process().pid = -1
    before = _threads._Threads._current
    assert asyncio.run(pid()) == os.getpid()
    assert _threads._Threads._current is not before
