"""Events on their way to the reader."""

import asyncio
import random

import pytest
from bridgesupport import open_session

from novasonic import (
    AudioOutput,
    ConcurrencyError,
    Interrupted,
    ServiceError,
    SessionClosedError,
    SessionEnded,
    TurnEnded,
    TurnStarted,
    TurnTimeout,
)
from novasonic._attachment import MAX_BATCH


@pytest.fixture
async def session(core):
    session = open_session(core)
    yield session
    core.end()
    await session.aclose()


async def test_events_come_in_order_and_iteration_stops_after_a_good_end(core, session, turn):
    turn(core, 1)
    core.end()
    kinds = [type(event) for event in [event async for event in session]]
    assert kinds == [TurnStarted, AudioOutput, AudioOutput, AudioOutput, TurnEnded, SessionEnded]
    assert [event async for event in session] == []
    assert session.error is None


async def test_iteration_raises_what_ended_the_session_after_all_it_received(core, session):
    core.audio(1)
    core.end("error", ServiceError("The model failed.", code="modelStreamErrorException"))
    events = aiter(session)
    assert [type(await anext(events)) for _ in range(2)] == [AudioOutput, SessionEnded]
    with pytest.raises(ServiceError):
        await anext(events)
    assert isinstance(session.error, ServiceError)
    with pytest.raises(ServiceError):
        await session.send_audio(b"\0\0")


async def test_one_callback_takes_at_most_one_batch_and_lets_other_tasks_run(core, session):
    core.audio(1, 5 * MAX_BATCH, pcm=bytes(2))
    core.end()
    turns_of_the_loop = 0

    async def count():
        nonlocal turns_of_the_loop
        while True:
            await asyncio.sleep(0)
            turns_of_the_loop += 1

    counter = asyncio.create_task(count())
    assert len([event async for event in session]) == 5 * MAX_BATCH + 1
    counter.cancel()
    assert max(core.drained) == MAX_BATCH
    assert turns_of_the_loop >= 5


async def test_without_a_reader_the_rest_stays_in_the_core(core, session):
    core.audio(1, 3 * MAX_BATCH)
    for _ in range(5):
        core.wake()
        await asyncio.sleep(0.01)
    assert sum(core.drained) == MAX_BATCH


async def test_barge_in_purges_what_nobody_read_even_behind_a_full_queue(core, session):
    core.emit(TurnStarted, turn=1)
    core.audio(1, 2 * MAX_BATCH)
    await asyncio.sleep(0.01)
    core.interrupted(1)
    core.emit(TurnStarted, turn=2)
    core.audio(2)
    core.end()
    await asyncio.sleep(0.01)
    kinds = [type(event) async for event in session]
    assert kinds == [TurnStarted, Interrupted, TurnStarted, AudioOutput, SessionEnded]
    assert session.stats().purged_audio_ms == (MAX_BATCH - 1) * 80


async def test_interrupt_drops_what_waits_at_once(core, session):
    core.audio(1, 4)
    await asyncio.sleep(0.01)
    assert session.stats().queued_output_ms == 320
    await session.interrupt()
    assert core.calls == ["interrupt"]
    assert session.stats().queued_output_ms == 0
    core.audio(1)
    core.emit(TurnStarted, turn=2)
    core.audio(2)
    events = aiter(session)
    assert type(await anext(events)) is TurnStarted
    assert (await anext(events)).turn == 2


async def test_random_cancellations_lose_no_event(core, session):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    total, seen, cancelled = 2_000, [], 0

    async def produce():
        for number in range(total):
            core.emit(TurnStarted, turn=number)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() / 2_000)

    producer = asyncio.create_task(produce())
    events = aiter(session)
    while len(seen) < total:
        try:
            async with asyncio.timeout(chance.random() / 1_000):
                seen.append((await anext(events)).turn)
        except TimeoutError:
            cancelled += 1
    await producer
    assert seen == list(range(total))
    assert cancelled > 50


async def test_a_second_reader_is_refused_a_later_one_is_not(core, session):
    first = aiter(session)
    with pytest.raises(ConcurrencyError) as refused:
        aiter(session)
    assert refused.value.code == "second_reader"
    waiting = asyncio.create_task(anext(first))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyError):
        await anext(first)
    waiting.cancel()
    await asyncio.wait([waiting])
    del first, waiting
    core.audio(1, 2)
    async for _ in session:
        break
    async for event in session:
        assert isinstance(event, AudioOutput)
        break


async def test_a_reader_that_reads_on_after_an_error_is_still_the_one_reader(core, session, tmp_path):
    events = aiter(session)
    feeding = session.feed(tmp_path / "absent.wav")
    with pytest.raises(FileNotFoundError):
        await anext(events)
    await asyncio.wait([feeding])
    core.audio(1)
    assert isinstance(await anext(events), AudioOutput)
    with pytest.raises(ConcurrencyError):
        aiter(session)


async def test_turn_ended_waits_for_the_reader_and_is_bounded(core, session, turn):
    events = aiter(session)
    waiter = asyncio.create_task(session.turn_ended(1))
    turn(core, 1, pieces=1)
    for _ in range(2):
        await anext(events)
    await asyncio.sleep(0.01)
    assert not waiter.done()
    await anext(events)
    await waiter
    await session.turn_ended(1)
    with pytest.raises(TurnTimeout) as late:
        await session.turn_ended(2, timeout=0.01)
    assert isinstance(late.value, TimeoutError)
    assert late.value.retryable


async def test_turn_ended_hears_of_the_end_of_the_session(core, session, turn):
    waiters = [asyncio.create_task(session.turn_ended(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    turn(core, 1)
    core.end()
    await asyncio.wait(waiters)
    assert waiters[0].exception() is None
    assert isinstance(waiters[1].exception(), SessionClosedError)


async def test_another_loop_is_refused(session):
    def elsewhere():
        async def use():
            for call in (lambda: session.try_send_audio(b"\0\0"), lambda: session.mute(True)):
                with pytest.raises(ConcurrencyError) as refused:
                    call()
                assert refused.value.code == "wrong_loop"
            with pytest.raises(ConcurrencyError):
                await anext(aiter(session))
            with pytest.raises(ConcurrencyError):
                await session.aclose()

        asyncio.run(use())

    await asyncio.to_thread(elsewhere)


async def test_a_reader_gets_past_more_hushed_audio_than_one_batch(core):
    session = open_session(core)
    core.emit(TurnStarted, turn=1)
    core.audio(1, 1_000)
    core.emit(TurnEnded, False, (0.0, None, None, 1.0), turn=1)
    await asyncio.sleep(0.01)
    # The turn has ended in the core, so there it purges nothing and tells nobody.
    await session.interrupt()
    async with asyncio.timeout(5):
        seen = [type(await anext(aiter(session))) for _ in range(2)]
    assert seen == [TurnStarted, TurnEnded]
    assert session.stats().purged_audio_ms == 80_000
    core.end()
    await session.aclose()


async def test_a_kept_error_does_not_keep_the_next_reader_out(core):
    session = open_session(core)
    core.end("error", ServiceError("The service failed.", code="model_stream_error"))
    kept = []
    for _ in range(2):
        # Kept, it keeps its frames, and those the iterator that raised it.
        try:
            async for _ in session:
                pass
        except ServiceError as error:
            kept.append(error.code)
            kept.append(error)
    assert kept[::2] == ["model_stream_error"] * 2
