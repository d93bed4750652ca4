"""A conversation of three turns and a tool call, and what must hold of it whatever happens to its streams."""

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import counted

import novasonic

TURNS = 3
SPOKEN_SECONDS = 0.6
# The numbers that the k-th utterance carries begin at k times this.
STRIDE = 100_000
# A microphone, five times as fast as speech: 100 ms each 20 ms.
TICK_SECONDS = 0.02
PATIENCE_SECONDS = 40.0
_UTTERANCE = re.compile(r"utterance (\d+) from (\d+) to (\d+)")


def words(first, last):
    return f"utterance {first // STRIDE} from {first} to {last}"


async def brain(turn):
    """Repeat which samples were heard; the second utterance needs a tool."""
    if turn.text is None:
        heard = counted.span(turn.pcm)
        if heard is None:
            return
        text = words(*heard)
        await turn.heard(text)
    else:
        text = turn.text
    said = _UTTERANCE.search(text)
    if said is None:
        await turn.say("Pardon?")
        return
    if said[1] == "2":
        result = await turn.call("look", {"at": 2})
        await turn.say(f"It is {result['sky']}.", tone(turn.output_rate))
    await turn.say(f"That was utterance {said[1]}.", tone(turn.output_rate))
    await turn.say(f"Goodbye, utterance {said[1]}.", tone(turn.output_rate))


def tone(rate):
    return counted.speech(0, 0.2 * rate / counted.RATE)


@dataclass
class Told:
    """What the reader of a session was told."""

    opened: float = 0.0
    heard: dict[int, list[str]] = field(default_factory=dict)
    answers: dict[int, list[str]] = field(default_factory=dict)
    ended: dict[int, bool] = field(default_factory=dict)
    renewing: list[novasonic.Renewing] = field(default_factory=list)
    renewed: list[novasonic.Renewed] = field(default_factory=list)
    end: novasonic.SessionEnded | None = None
    runs: list[int] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event):
        match event:
            case novasonic.Transcript(role="user", text=text, final=True, turn=turn):
                self.heard.setdefault(turn, []).append(text)
            case novasonic.Transcript(role="assistant", text=text, final=False, turn=turn):
                self.answers.setdefault(turn, []).append(text)
            case novasonic.TurnEnded(interrupted=interrupted, turn=turn):
                self.ended[turn] = interrupted
            case novasonic.Renewing():
                self.renewing.append(event)
            case novasonic.Renewed():
                self.renewed.append(event)
            case novasonic.SessionEnded():
                self.end = event
        self.news.set()

    def is_answered(self, utterance):
        return any(
            not interrupted
            and f"Goodbye, utterance {utterance}." in self.answers.get(turn, [])
            and any(f"utterance {utterance} from" in text for text in self.heard.get(turn, []))
            for turn, interrupted in self.ended.items()
        )


async def converse(client, *, continuation=novasonic.Continuation()):  # noqa: B008 - frozen
    """Hold the conversation and return what was told; raises what the session raises."""
    told = Told()

    @novasonic.tool
    def look(at: int) -> dict[str, str]:
        """Look at the sky."""
        told.runs.append(at)
        return {"sky": "blue"}

    async with client.connect(
        realtime=False, tools=[look], system="Repeat.", continuation=continuation, turn_taking="high"
    ) as session:
        told.opened = time.time()
        frames = []
        async with asyncio.TaskGroup() as tasks:
            microphone = tasks.create_task(_speak(session, frames))
            reader = tasks.create_task(_read(session, told))
            try:
                for utterance in range(1, TURNS + 1):
                    pcm = counted.speech(utterance * STRIDE, SPOKEN_SECONDS)
                    frames += [pcm[at : at + len(counted.SILENCE)] for at in range(0, len(pcm), len(counted.SILENCE))]
                    await _until(told, lambda: told.is_answered(utterance))  # noqa: B023 - awaited here
            finally:
                microphone.cancel()
            await session.aclose()
            await reader
    return told


async def _speak(session, frames):
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await session.send_audio(frames.pop(0) if frames else counted.SILENCE)
        due += TICK_SECONDS
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _read(session, told):
    async for event in session:
        told.take(event)


async def _until(told, holds):
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                told.news.clear()
                await told.news.wait()
    except TimeoutError:
        raise AssertionError(f"nothing more came after {told}") from None


def faults_of(told):
    """Return what must not be; empty where all is well."""
    faults = []
    if told.end is None or told.end.error is not None or told.end.reason != "closed":
        faults.append(f"ended by {told.end}")
    heard = Counter(match[1] for texts in told.heard.values() for text in texts for match in _UTTERANCE.finditer(text))
    replayed = sum(renewed.replayed_seconds for renewed in told.renewed)
    faults += [
        f"utterance {utterance} was heard {heard[utterance]} times, {replayed} s declared"
        for utterance in map(str, range(1, TURNS + 1))
        if heard[utterance] == 0 or (heard[utterance] > 1 and not replayed)
    ]
    missing = [utterance for utterance in range(1, TURNS + 1) if not told.is_answered(utterance)]
    if missing:
        faults.append(f"no answer to {missing}")
    if told.runs != [2]:
        faults.append(f"the tool ran {len(told.runs)} times")
    if len(told.renewing) != len(told.renewed):
        faults.append(f"{len(told.renewing)} renewals began, {len(told.renewed)} ended")
    return faults
