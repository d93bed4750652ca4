"""Whole turns from events, with a hand-moved clock of events and rows."""

import asyncio

import pytest

from novasonic import AudioOutput, ServiceError, Timings, TurnEnded, TurnStarted
from novasonic.turns import collect

TIMES = Timings(0.0, None, None, None)


def started(turn):
    return TurnStarted(at=0.0, turn=turn, raw_type="textOutput")


def audio(turn, pcm=b"\x01\x00"):
    return AudioOutput(pcm, 24_000, at=0.0, turn=turn, raw_type="audioOutput")


def ended(turn):
    return TurnEnded(False, TIMES, at=0.0, turn=turn, raw_type="contentEnd")


class Conversation:
    """Events that a test puts in, and what the core would remember."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.rows = {}
        self.turns = collect(self, self.rows.get, 5.0)

    def put(self, *events, final=False):
        for event in events:
            turn = event.turn
            self.rows[turn] = (turn, False, True, final, f"q{turn}", f"a{turn}", f"a{turn}", (0, 0, 1, 2))
            self.queue.put_nowait(event)

    def __aiter__(self):
        return self

    async def __anext__(self):
        event = await self.queue.get()
        if isinstance(event, BaseException):
            raise event
        return event


@pytest.fixture
async def conversation():
    conversation = Conversation()
    yield conversation
    await conversation.turns.aclose()


async def test_a_turn_comes_when_its_final_texts_are_in(conversation):
    conversation.put(started(1), audio(1), audio(1, b"\x02\x00"), ended(1), final=True)
    async with asyncio.timeout(2):
        turn = await anext(conversation.turns)
    assert (turn.number, turn.user, turn.assistant, turn.planned) == (1, "q1", "a1", "a1")
    assert (turn.audio, turn.rate, turn.interrupted) == (b"\x01\x00\x02\x00", 24_000, False)
    assert turn.timings.response_seconds == 1


async def test_a_turn_waits_for_late_texts_but_not_beyond_the_next_turn(conversation):
    conversation.put(started(1), audio(1), ended(1))
    waiting = asyncio.ensure_future(anext(conversation.turns))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    conversation.put(started(2))
    assert (await waiting).number == 1


async def test_a_text_that_never_comes_is_waited_for_in_bounds(conversation):
    conversation.turns = collect(conversation, conversation.rows.get, 0.01)
    conversation.put(started(1), ended(1))
    async with asyncio.timeout(2):
        assert (await anext(conversation.turns)).number == 1


async def test_the_end_brings_what_is_complete_and_then_its_error(conversation):
    conversation.put(started(1), ended(1))
    conversation.queue.put_nowait(ServiceError("It broke.", code="broken"))
    assert (await anext(conversation.turns)).number == 1
    with pytest.raises(ServiceError, match="It broke"):
        await anext(conversation.turns)


async def test_a_good_end_just_stops(conversation):
    conversation.put(started(1), ended(1))
    conversation.queue.put_nowait(StopAsyncIteration())
    assert [turn.number async for turn in conversation.turns] == [1]
