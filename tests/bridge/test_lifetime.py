"""The end of a session: asked for, forced, forgotten, or with the loop gone first."""

import asyncio
import contextlib
import os
import sys
import threading

import pytest
from bridgesupport import open_session

from novasonic import Credentials, SessionEnded


async def test_closing_is_idempotent_and_ends_the_reader(core):
    session = open_session(core)
    reader = asyncio.create_task(anext(aiter(session)))
    await asyncio.sleep(0)
    closing = [asyncio.create_task(session.aclose()) for _ in range(2)]
    await asyncio.sleep(0)
    core.end()
    await asyncio.gather(*closing)
    await session.aclose()
    assert core.calls == ["close", "close"]
    ended = await reader
    assert isinstance(ended, SessionEnded)
    assert ended.reason == "closed"


@pytest.mark.parametrize("closers", [1, 2])
async def test_closing_a_core_that_hangs_is_bounded(core, monkeypatch, closers):
    monkeypatch.setattr("novasonic._attachment.CLOSE_MARGIN_SECONDS", 0.05)
    session = open_session(core)
    async with asyncio.timeout(2):
        await asyncio.gather(*(session.aclose() for _ in range(closers)))
    assert core.calls == ["close"] * closers + ["abort"]
    assert [event.reason async for event in session] == ["closed"]


async def test_a_cancelled_close_goes_on_by_itself(core):
    session = open_session(core)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.aclose(), 0.01)
    core.end()
    assert [type(event) async for event in session] == [SessionEnded]


async def test_a_session_collected_unclosed_warns_and_leaves_the_loop(core):
    fd = core.fd
    session = open_session(core)
    feeding = session.feed(iter([bytes(2)] * 10_000))
    await asyncio.sleep(0)
    with pytest.warns(ResourceWarning, match="unclosed <novasonic.Session hand-made"):
        del session
    await asyncio.wait([feeding])
    assert core.calls == ["abort"]
    assert asyncio.get_running_loop().remove_reader(fd) is False


async def test_a_session_collected_on_another_thread_leaves_the_loop_too(core):
    sessions = [open_session(core)]
    fd = core.fd
    with pytest.warns(ResourceWarning):
        await asyncio.to_thread(sessions.clear)
    await asyncio.sleep(0.01)
    assert core.calls == ["abort"]
    assert asyncio.get_running_loop().remove_reader(fd) is False


async def test_the_warning_tells_of_the_session_as_it_was_left(core):
    session = open_session(core)
    bridge = session._bridge
    abandon = bridge.abandon

    def abandon_slowly():
        # On another thread than the loop's, the loop may obey before the finalizer goes on.
        abandoned = abandon()
        core.end()
        bridge._pump()
        return abandoned

    bridge.abandon = abandon_slowly
    with pytest.warns(ResourceWarning, match="unclosed <novasonic.Session hand-made open>"):
        del session


def test_a_loop_closed_under_a_session_is_survived(core):
    async def leave_open():
        return open_session(core)

    session = asyncio.run(leave_open())
    asyncio.run(session.aclose())
    asyncio.run(session.aclose())
    assert session.stats().events == 0


@pytest.mark.parametrize("how", ["closed", "collected"])
def test_a_core_goes_at_once_where_its_loop_is_closed(core, how):
    # By reference counts: a descriptor must not stay open until the next garbage collection.
    async def leave_open():
        return open_session(core)

    session = asyncio.run(leave_open())
    references = sys.getrefcount(core)
    bridge = session._bridge
    if how == "closed":
        asyncio.run(session.aclose())
    else:
        with pytest.warns(ResourceWarning):
            del session
    # The attachment's; the descriptor's watcher went with the loop.
    assert (sys.getrefcount(core), bridge.is_over) == (references - 1, True)


def test_a_session_collected_after_its_loop_warns(core):
    async def leave_open():
        return [open_session(core)]

    kept = asyncio.run(leave_open())
    with pytest.warns(ResourceWarning):
        kept.clear()


class TestCredentials:
    async def answer(self, core, provider):
        session = open_session(core, provider=provider)
        core.ask(7)
        answer = await asyncio.wait_for(core.answers.get(), 2)
        core.end()
        await session.aclose()
        return answer

    async def test_a_sync_callable_runs_in_a_thread(self, core):
        threads = []

        def provider():
            threads.append(threading.get_ident())
            return Credentials("AKIDEXAMPLE", "secret", "token")

        assert await self.answer(core, provider) == (7, "AKIDEXAMPLE", "secret", "token", None)
        assert threads != [threading.get_ident()]

    async def test_an_async_callable_runs_on_the_loop(self, core):
        class Provider:
            async def __call__(self):
                await asyncio.sleep(0)
                return Credentials("AKIDEXAMPLE", "secret")

        assert await self.answer(core, Provider()) == (7, "AKIDEXAMPLE", "secret", None, None)

    @pytest.mark.parametrize(
        ("provider", "reason"),
        [
            (lambda: 1 / 0, "the credentials callable raised ZeroDivisionError"),
            (lambda: "keys", "the credentials callable raised TypeError"),
        ],
    )
    async def test_failures_are_answered_by_class_only(self, core, provider, reason):
        assert await self.answer(core, provider) == (7, reason)

    async def test_they_are_served_while_the_queue_is_full_and_nobody_reads(self, core):
        core.audio(1, 1_000)
        assert await self.answer(core, lambda: Credentials("AKIDEXAMPLE", "secret"))


async def test_descriptors_are_not_closed_while_the_loop_watches_them(core):
    session = open_session(core)
    watched = core.fd
    core.end()
    async for _ in session:
        pass
    assert asyncio.get_running_loop().remove_reader(watched) is False
    os.fstat(watched)


async def deaf(seconds):
    """Does not obey when cancelled."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


async def deaf_source(seconds):
    await deaf(seconds)
    yield bytes(2)


@pytest.mark.parametrize("what", ["source", "credentials"])
async def test_closing_does_not_wait_for_what_does_not_obey(core, monkeypatch, what):
    monkeypatch.setattr("novasonic._attachment.REAP_SECONDS", 0.05)
    session = open_session(core, provider=lambda: deaf(0.5))
    if what == "source":
        session.feed(deaf_source(0.5))
    else:
        core.ask(1)
    await asyncio.sleep(0.01)
    core.end()
    started = asyncio.get_running_loop().time()
    await session.aclose()
    assert asyncio.get_running_loop().time() - started < 0.4
    await asyncio.sleep(0.6)  # what was left to itself must end within the test
