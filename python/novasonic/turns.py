"""Whole turns, gathered from events."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novasonic.events import AudioOutput, Timings, TurnEnded, TurnStarted
from novasonic.exceptions import NovaSonicError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from novasonic.events import Event
    from novasonic.transcript import TurnRow

__all__ = ["Turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: the user, then the assistant.

    Attributes:
        number: From 1 (``connect(first_turn=)``) over the conversation.
        user: What the user said or typed; empty where the assistant spoke first.
        assistant: What was heard of the answer, as in `TranscriptEntry.text`.
        planned: What the assistant meant to say.
        audio: The answer as it was read, PCM16LE mono at `rate`.
        rate: Samples a second (Hz); 0 where no audio came.
        interrupted: Whether the user or the program spoke into it.
        timings: When what happened.
    """

    number: int
    user: str = field(repr=False)
    assistant: str = field(repr=False)
    planned: str = field(repr=False)
    audio: bytes = field(repr=False)
    rate: int
    interrupted: bool
    timings: Timings


@dataclass(slots=True)
class _Growing:
    audio: list[bytes] = field(default_factory=list)
    rate: int = 0
    due: float | None = None


async def collect(
    events: AsyncIterator[Event], row_of: Callable[[int], TurnRow | None], settle_seconds: float
) -> AsyncGenerator[Turn, None]:
    """Yield each turn once it is complete.

    That is when it has ended and its last FINAL text has come, a later turn has begun, the session has ended, or
    `settle_seconds` have passed: FINAL texts come late, and now and then not at all.
    """
    growing: dict[int, _Growing] = {}
    clock = asyncio.get_running_loop().time

    def complete(latest: int | None, now: float) -> Iterator[Turn]:
        for number, turn in list(growing.items()):
            row = row_of(number)
            if row is None or turn.due is None:
                continue
            if (latest is not None and number < latest) or turn.due <= now or (row[3] and row[4]):
                del growing[number]
                yield _turn(row, turn)

    while True:
        due = min((turn.due for turn in growing.values() if turn.due is not None), default=None)
        latest = event = None
        try:
            async with asyncio.timeout_at(due):
                event = await anext(events)
        except (StopAsyncIteration, NovaSonicError) as end:
            for turn in complete(None, float("inf")):
                yield turn
            if isinstance(end, NovaSonicError):
                raise
            return
        except TimeoutError:
            pass  # something is due
        if event is not None and event.turn is not None:
            if isinstance(event, TurnStarted):
                growing[event.turn] = _Growing()
                latest = event.turn
            elif (grown := growing.get(event.turn)) is not None:
                if isinstance(event, AudioOutput):
                    grown.audio.append(event.pcm)
                    grown.rate = event.rate
                elif isinstance(event, TurnEnded):
                    grown.due = clock() + settle_seconds
        for whole in complete(latest, clock()):
            yield whole


def _turn(row: TurnRow, grown: _Growing) -> Turn:
    number, interrupted, _user_final, _assistant_final, user, planned, heard, times = row
    return Turn(number, user, heard, planned, b"".join(grown.audio), grown.rate, interrupted, Timings(*times))
