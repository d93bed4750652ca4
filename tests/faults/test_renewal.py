"""Two hundred hand-overs under people who go on speaking: not a sample lost, none understood twice, no reply cut."""

import asyncio
import os
import random
from dataclasses import dataclass, field
from itertools import pairwise

import counted
import numpy as np
import pytest

import novasonic
from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

PEOPLE = 20
HAND_OVERS = 10
PAUSE_SECONDS = 0.6
REPLY_SECONDS = 0.2
STRIDE = 1_000_000
FRAME = len(counted.SILENCE)
MOST_ADDED_SECONDS = 0.06


async def brain(turn):
    first, last = counted.span(turn.pcm)
    await turn.heard(f"{first} {last}")
    await turn.say("Yes.", counted.speech(0, REPLY_SECONDS * turn.output_rate / counted.RATE))


@dataclass
class Person:
    """One who speaks, pauses and speaks again, and what came of it."""

    number: int
    said: list[int] = field(default_factory=list)
    sent_samples: int = 0
    began: float = 0.0
    transcripts: list[range] = field(default_factory=list)
    reply_seconds: dict[int, float] = field(default_factory=dict)
    interrupted: list[int] = field(default_factory=list)
    renewed: list[novasonic.Renewed] = field(default_factory=list)
    ended: int = 0

    def take(self, event):
        match event:
            case novasonic.Transcript(role="user", text=text):
                first, last = map(int, text.split())
                self.transcripts.append(range(first, last + 1))
            case novasonic.AudioOutput(turn=turn):
                self.reply_seconds[turn] = self.reply_seconds.get(turn, 0) + event.seconds
            case novasonic.Interrupted(turn=turn):
                self.interrupted.append(turn)
            case novasonic.TurnEnded():
                self.ended += 1
            case novasonic.Renewed():
                self.renewed.append(event)

    async def live(self, emulator, chance):
        client = emulator.client(account=f"person{self.number}")
        continuation = novasonic.Continuation(renew_after=chance.uniform(0.9, 1.1), force_after=20.0)
        connecting = client.connect(continuation=continuation, turn_taking="high")
        async with connecting as session, asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(session))
            self.began = asyncio.get_running_loop().time()
            utterances = 0
            while len(self.renewed) < HAND_OVERS:
                utterances += 1
                await self._say(session, chance.uniform(0.5, 1.5))
                await self._send(session, bytes(int(PAUSE_SECONDS * counted.RATE) * 2))
            # The last answer.
            async with asyncio.timeout(20):
                while self.ended < utterances:
                    await self._send(session, counted.SILENCE)
            await session.aclose()
            await reader

    async def _read(self, session):
        async for event in session:
            self.take(event)

    async def _say(self, session, seconds):
        first = self.said[-1] + 1 if self.said else self.number * STRIDE
        pcm = counted.speech(first, seconds)
        self.said += counted.numbers(pcm).tolist()
        await self._send(session, pcm)

    async def _send(self, session, pcm):
        for at in range(0, len(pcm), FRAME):
            frame = pcm[at : at + FRAME]
            await session.send_audio(frame)
            self.sent_samples += len(frame) // 2
            # By the clock, as a microphone: one that falls behind is filled up with silence by the session.
            due = self.began + self.sent_samples / counted.RATE
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    def check(self, emulator):
        """Compare what was said with what arrived, on whichever stream."""
        assert self.interrupted == [], "no reply is cut"
        assert all(abs(seconds - REPLY_SECONDS) < 0.001 for seconds in self.reply_seconds.values())
        understood = sorted(self.transcripts, key=lambda span: span.start)
        assert len(self.reply_seconds) == len(understood)
        for one, next_one in pairwise(understood):
            assert one.stop <= next_one.start, f"{one} and {next_one} overlap"
        reports = [report for report in emulator.streams if report.account == f"person{self.number}"]
        recordings = [emulator.recording(report.stream_id).pcm for report in reports]
        arrived = np.concatenate([counted.numbers(pcm) for pcm in recordings])
        assert set(arrived.tolist()) == set(self.said), "each sample reached a stream"
        twice = 2 * (len(arrived) - len(self.said))
        replayed = sum(renewed.replayed_seconds for renewed in self.renewed)
        assert twice <= replayed * counted.RATE + 1, "what went up twice was declared"
        added = sum(len(pcm) // 2 for pcm in recordings) - replayed * counted.RATE - self.sent_samples
        assert added <= MOST_ADDED_SECONDS * counted.RATE * len(self.renewed), f"{added:.0f} samples of silence added"
        assert [report.ended for report in reports] == ["clean"] * len(reports)
        return added / counted.RATE, replayed


@pytest.mark.timeout(180)
def test_two_hundred_hand_overs_are_seamless():
    seed = int(os.environ.get("NOVASONIC_SEED") or random.randrange(2**32))
    print(f"NOVASONIC_SEED={seed}")
    people = [Person(number) for number in range(1, PEOPLE + 1)]

    async def main():
        async with Emulator(brain=brain, speed=10, record=True) as emulator:
            await asyncio.gather(*(person.live(emulator, random.Random(seed + person.number)) for person in people))
            return [person.check(emulator) for person in people]

    figures = asyncio.run(main())
    renewed = [renewed.seconds for person in people for renewed in person.renewed]
    print(
        f"{len(renewed)} hand-overs of {PEOPLE} conversations, {1000 * max(renewed):.0f} ms at most each; "
        f"{sum(added for added, _ in figures):.2f} s of silence added, "
        f"{sum(replayed for _, replayed in figures):.1f} s of speech given to two streams"
    )
    assert len(renewed) >= PEOPLE * HAND_OVERS
