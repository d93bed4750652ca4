"""Leave for a second stream: asked for once at a time, and given back exactly as often as it was given."""

import asyncio
import functools
import threading

import pytest
from bridgesupport import open_session

from novasonic._overlap import Overlap


class Counter:
    """Gives leave and takes it back."""

    def __init__(self, answer=True):
        self.answer = answer
        self.given = 0
        self.ended = 0

    def plain(self):
        self.given += bool(self.answer)
        return self.answer

    async def coroutine(self):
        return self.plain()

    async def __call__(self):
        return self.plain()

    def over(self):
        self.ended += 1


async def answered(core):
    async with asyncio.timeout(5):
        return await core.answers.get()


async def closed(core, session):
    core.end()
    async with asyncio.timeout(5):
        await session.aclose()


@pytest.mark.parametrize("answer", [True, False, 1, 0, None])
@pytest.mark.parametrize("how", ["plain", "coroutine", "lambda", "partial", "object"])
async def test_a_callable_of_any_kind_is_asked(core, how, answer):
    counter = Counter(answer)
    may = {
        "plain": counter.plain,
        "coroutine": counter.coroutine,
        "lambda": lambda: counter.coroutine(),
        "partial": functools.partial(counter.coroutine),
        "object": counter,
    }[how]
    session = open_session(core, overlap=Overlap(may, counter.over))
    core.ask_overlap(7)
    assert await answered(core) == (7, bool(answer))
    core.overlap_ended()
    await asyncio.sleep(0.01)
    assert counter.ended == counter.given == bool(answer)
    await closed(core, session)
    assert counter.ended == counter.given


async def test_a_plain_function_that_blocks_holds_up_nobody(core):
    release = threading.Event()
    session = open_session(core, overlap=Overlap(lambda: release.wait(5)))
    core.ask_overlap(1)
    await asyncio.sleep(0.01)
    release.set()
    assert await answered(core) == (1, True)
    await closed(core, session)


async def test_a_failure_is_a_no_and_its_text_is_not_logged(core, caplog):
    async def may():
        raise LookupError("the secret of redis")

    session = open_session(core, overlap=Overlap(may))
    core.ask_overlap(1)
    assert await answered(core) == (1, False)
    [record] = caplog.records
    assert "LookupError" in record.getMessage()
    assert "secret" not in caplog.text
    await closed(core, session)


async def test_leave_that_comes_too_late_is_given_back_at_once(core):
    counter = Counter()
    session = open_session(core, overlap=Overlap(counter.coroutine, counter.over))
    core.goes_on_without = True
    core.ask_overlap(1)
    assert await answered(core) == (1, True)
    await asyncio.sleep(0)
    assert (counter.given, counter.ended) == (1, 1)
    await closed(core, session)
    assert counter.ended == 1


async def test_while_one_answer_is_awaited_the_next_is_no(core):
    answer = asyncio.Event()

    async def may():
        await answer.wait()
        return True

    session = open_session(core, overlap=Overlap(may))
    core.ask_overlap(1)
    core.ask_overlap(2)
    assert await answered(core) == (2, False)
    answer.set()
    assert await answered(core) == (1, True)
    core.ask_overlap(3)
    assert await answered(core) == (3, True)
    await closed(core, session)


async def test_the_end_gives_back_what_is_held(core):
    counter = Counter()
    session = open_session(core, overlap=Overlap(counter.coroutine, counter.over))
    core.ask_overlap(1)
    await answered(core)
    await asyncio.sleep(0)
    core.overlap_ended()
    await closed(core, session)
    assert (counter.given, counter.ended) == (1, 1), "both told of the same"


async def test_an_unfinished_answer_ends_with_the_session(core):
    cancelled = []

    async def may():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    session = open_session(core, overlap=Overlap(may))
    core.ask_overlap(1)
    await asyncio.sleep(0.01)
    await closed(core, session)
    assert cancelled == [True]


@pytest.mark.parametrize("answer", [True, False])
async def test_a_thread_that_gives_leave_after_the_end_is_told_that_it_is_over(core, eventually, answer):
    release, counter, asked = threading.Event(), Counter(answer), threading.Event()

    def may():
        asked.set()
        release.wait(5)
        return counter.plain()

    session = open_session(core, overlap=Overlap(may, counter.over))
    core.ask_overlap(1)
    await eventually(asked.is_set)
    await closed(core, session)
    assert counter.ended == 0
    release.set()
    await eventually(lambda: counter.ended == answer)


async def test_a_callback_that_fails_disturbs_nobody(core, caplog):
    def over():
        raise LookupError("the secret of redis")

    session = open_session(core, overlap=Overlap(Counter().coroutine, over))
    core.ask_overlap(1)
    await answered(core)
    await asyncio.sleep(0)
    await closed(core, session)
    assert "overlap_ended failed" in caplog.text
    assert "secret" not in caplog.text
