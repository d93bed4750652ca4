"""Audio on its way to the core."""

import asyncio
import random

import pytest
from bridgesupport import open_session

from novasonic import (
    AudioFormatError,
    ConcurrencyError,
    ConfigError,
    ServiceError,
    SessionClosedError,
    SessionEnded,
)
from novasonic._attachment import MAX_BATCH


@pytest.fixture
async def session(core):
    session = open_session(core)
    yield session
    core.end()
    await session.aclose()


async def test_try_send_audio_tells_whether_it_was_taken(core, session):
    assert session.try_send_audio(bytes(1_000)) is True
    assert session.try_send_audio(bytes(2)) is False
    assert core.taken == [bytes(1_000)]


async def test_send_audio_waits_in_line(core, session):
    await session.send_audio(bytes(1_000))
    order = []

    async def send(name, size):
        await session.send_audio(bytes(size))
        order.append(name)

    tasks = [asyncio.create_task(send("big", 800))]
    await asyncio.sleep(0)
    core.make_room(100)
    tasks += [asyncio.create_task(send(name, 2)) for name in ("small", "last")]
    await asyncio.sleep(0.01)
    assert order == [], "the small one would fit, but it is not its turn"
    assert session.try_send_audio(bytes(2)) is False
    assert session.stats().refused_chunks == 1
    core.make_room(704)
    await asyncio.gather(*tasks)
    assert order == ["big", "small", "last"]


async def test_cancelling_the_head_of_the_line_lets_the_next_one_in(core, session):
    core.capacity = 10
    head = asyncio.create_task(session.send_audio(bytes(800)))
    next_one = asyncio.create_task(session.send_audio(bytes(10)))
    await asyncio.sleep(0)
    head.cancel()
    await asyncio.wait_for(next_one, 1)
    assert core.taken == [bytes(10)]


async def test_a_cancelled_chunk_was_taken_whole_or_not_at_all(core, session):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    core.capacity = 0
    sent = cancelled = 0

    async def make_room():
        while True:
            core.make_room(chance.randrange(2, 200))
            await asyncio.sleep(chance.random() / 2_000)

    maker = asyncio.create_task(make_room())
    for number in range(1_000):
        chunk = number.to_bytes(4, "little") * 25
        try:
            async with asyncio.timeout(chance.random() / 1_000):
                await session.send_audio(chunk)
            sent += 1
            assert core.taken[-1] == chunk
        except TimeoutError:
            cancelled += 1
    maker.cancel()
    assert all(chunk == chunk[:4] * 25 for chunk in core.taken)
    assert len(set(core.taken)) == len(core.taken) >= sent
    assert sent
    assert cancelled


async def test_the_end_reaches_senders_that_wait(core, session):
    core.capacity = 0
    waiting = asyncio.create_task(session.send_audio(bytes(2)))
    await asyncio.sleep(0)
    core.end()
    with pytest.raises(SessionClosedError):
        await waiting
    for send in (session.send_audio(bytes(2)), session.send_text("Go on."), session.interrupt()):
        with pytest.raises(SessionClosedError):
            await send
    with pytest.raises(SessionClosedError):
        session.try_send_audio(bytes(2))
    with pytest.raises(SessionClosedError):
        session.feed(bytes(2))


@pytest.mark.parametrize(("text", "error"), [("", ConfigError), (" \n", ConfigError), (b"Go on.", TypeError)])
async def test_text_must_say_something(session, text, error):
    with pytest.raises(error):
        await session.send_text(text)


async def test_a_failed_feed_reaches_the_reader_after_what_it_received(core, session):
    core.audio(1)
    task = session.feed([bytes(2), "text for audio"], realtime=False)
    await asyncio.wait([task])
    assert isinstance(task.exception(), AudioFormatError)
    events = aiter(session)
    await anext(events)
    with pytest.raises(AudioFormatError):
        await anext(events)
    core.audio(1)
    await anext(events)


async def test_what_ended_the_session_reaches_the_reader_once_and_as_its_end(core, session):
    core.audio(1, 2 * MAX_BATCH)
    core.failure = ServiceError("The model failed.", code="modelStreamErrorException")
    task = session.feed(bytes(2))
    await asyncio.wait([task])
    assert task.exception() is core.failure
    core.end("error", core.failure)
    events = aiter(session)
    kinds = [type(await anext(events)) for _ in range(2 * MAX_BATCH + 1)]
    assert kinds[-1] is SessionEnded
    assert kinds.count(SessionEnded) == 1


async def test_one_feed_at_a_time(core, session):
    async def endless():
        while True:
            await asyncio.sleep(1)
            yield bytes(2)

    task = session.feed(endless())
    with pytest.raises(ConcurrencyError) as refused:
        session.feed(bytes(2))
    assert refused.value.code == "second_feed"
    core.end()
    with pytest.raises(SessionClosedError):
        await task
