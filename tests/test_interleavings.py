"""Many tasks at once on one session, and many sessions at once: order, completeness, nothing foreign.

The emulator is the judge of what goes up: its order rules are written apart from the client's.
"""

import asyncio
import os
import random
from contextlib import suppress

import pytest

import novasonic
from novasonic import AudioOutput, Interrupted, ToolCall, ToolFinished, Transcript, TurnEnded, TurnStarted, tool
from novasonic.emulator import Emulator

STEPS = 10_000
SEED = int(os.environ.get("NOVASONIC_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


@tool
async def look_up(number: int) -> dict:
    """Look a number up.

    Args:
        number: Which.
    """
    await asyncio.sleep(0)
    return {"number": number}


async def brain(turn):
    """Calls tools alone and two at once, and says a little."""
    dice = random.Random(turn.text or len(turn.pcm))
    calls = dice.randrange(3)
    await asyncio.gather(*(turn.call("look_up", {"number": number}) for number in range(calls)))
    for _ in range(dice.randrange(3)):
        await turn.say("Well.", bytes(2 * dice.randrange(1, 4_800)))


class Reader:
    """Reads a session and checks what every reader was promised."""

    def __init__(self):
        self.started = self.ended = 0
        self.interrupted = set()
        self.finals = set()
        self.called = set()
        self.finished = set()

    def check(self, event):
        turn = event.turn
        assert turn is None or turn <= self.started + isinstance(event, TurnStarted), f"{event} before its turn"
        match event:
            case TurnStarted():
                assert (turn, self.started) == (self.started + 1, self.ended), event
                self.started = turn
            case TurnEnded():
                assert (turn, event.interrupted) == (self.ended + 1, turn in self.interrupted), event
                self.ended = turn
            case Interrupted():
                assert turn not in self.interrupted, event
                self.interrupted.add(turn)
            case AudioOutput():
                assert turn not in self.interrupted, event
            case Transcript(final=final):
                place = (turn, event.role, event.segment)
                assert place not in self.finals, event
                if final:
                    self.finals.add(place)
            case ToolCall():
                assert event.id not in self.called
                self.called.add(event.id)
            case ToolFinished():
                assert event.id in self.called - self.finished
                assert event.ok
                self.finished.add(event.id)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_any_interleaving_of_tasks_is_legal_and_loses_nothing(eventually):
    print("NOVASONIC_SEED =", SEED)
    dice = random.Random(SEED)
    reader = Reader()
    accepted = 0
    steps = 0

    # Its clocks run a hundred times faster too; on a loaded machine the run outlasts them.
    async with Emulator(brain, speed=100, stream_limit=100_000, idle_limit=100_000) as emulator:
        session = await emulator.client().connect(
            tools=[look_up],
            tool_limits=novasonic.ToolLimits(per_minute=1_000_000, per_turn=1_000),
            buffers=novasonic.Buffers(input=2.0),
            realtime=False,
        )

        async def read():
            async for event in session:
                reader.check(event)

        async def audio():
            nonlocal accepted
            pcm = bytes(2 * dice.randrange(1, 1_600))
            if dice.random() < 0.5:
                accepted += len(pcm) * session.try_send_audio(pcm)
                return
            sending = asyncio.ensure_future(session.send_audio(pcm))
            if dice.random() < 0.3:
                await asyncio.sleep(0)
                sending.cancel()
            (outcome,) = await asyncio.gather(sending, return_exceptions=True)
            # Cancelled, it was taken whole or not at all; which of the two its own future tells.
            accepted += len(pcm) * (outcome is None)
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)

        async def text():
            # So many may wait already.
            with suppress(novasonic.ThrottledError):
                await session.send_text(f"Question {dice.random()}")

        async def prompt():
            asking = asyncio.ensure_future(session.prompt(f"Say {dice.random()}"))
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
            asking.cancel()
            (outcome,) = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(outcome, (int, asyncio.CancelledError, novasonic.ThrottledError)), outcome

        async def interrupt():
            await session.interrupt()

        async def listen():
            session.played(dice.randrange(1, 50), dice.random() * 3)
            session.mute(dice.random() < 0.5)
            assert str(session.transcript).count("interrupted") == 0
            session.stats()

        async def worker():
            nonlocal steps
            doings = random.Random(dice.random()).choices
            while steps < STEPS:
                steps += 1
                (do,) = doings([audio, text, prompt, interrupt, listen], [60, 4, 2, 4, 30])
                await do()
                if steps % 7 == 0:
                    await asyncio.sleep(0)

        reading = asyncio.create_task(read())
        await asyncio.gather(*(worker() for _ in range(6)))
        await eventually(lambda: not session.stats().queued_input_ms)
        await session.aclose()
        await reading
        stats = session.stats()
        (report,) = emulator.streams

    assert report.ended == "clean", report.ended
    assert stats.sent_audio_ms == -(-accepted // 32)
    assert reader.started == reader.ended > 0
    # A call whose answer the close overtook has none; there are no others.
    assert len(reader.called) - len(reader.finished) <= 2, (len(reader.called), len(reader.finished))
    assert len(reader.called) == stats.tool_calls > 0
    print(f"{reader.started} turns, {len(reader.interrupted)} interrupted, {stats}")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_hundred_conversations_keep_their_own_bytes():
    print("NOVASONIC_SEED =", SEED)
    seconds, rate = 2, 16_000

    async def converse(client, number):
        said = random.Random(SEED + number).randbytes(2 * rate * seconds)
        heard = bytearray()
        async with client.connect(output_rate=rate, realtime=False) as session:
            feeding = asyncio.create_task(_send(session, said, random.Random(number)))
            async for event in session:
                if isinstance(event, AudioOutput):
                    heard += event.pcm
                    if len(heard) >= len(said):
                        break
            await feeding
        assert heard == said, f"conversation {number}"

    async def _send(session, said, dice):
        at = 0
        while at < len(said):
            size = 2 * dice.randrange(1, 1_600)
            await session.send_audio(said[at : at + size])
            at += size

    async with Emulator(brain="echo", verify=False) as emulator:
        client = emulator.client()
        await asyncio.gather(*(converse(client, number) for number in range(200)))
        assert len(emulator.streams) == 200
        assert {report.ended for report in emulator.streams} == {"clean"}
