"""Feeds a recording or a stream of chunks into a session at the pace of a microphone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from novasonic.audio import SAMPLE_BYTES, chunk_bytes, pcm_bytes, pieces, read_wav
from novasonic.exceptions import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from novasonic.audio import PcmLike

    AudioSource: TypeAlias = PcmLike | str | os.PathLike[str] | Iterable[PcmLike] | AsyncIterable[PcmLike]

# The service hears the end of a turn by a pause, documented as up to 2 s at low sensitivity (protocol reference,
# sections 1.1 and 8.1); a recording that stops at the last word would never be answered.
TRAILING_SILENCE_SECONDS = 2.2

# A source that fell behind for longer (a stalled microphone) is not made up for by a burst.
MAX_CATCH_UP_SECONDS = 0.5


async def feed(source: AudioSource, *, rate: int, realtime: bool, send: Callable[[bytes], Awaitable[None]]) -> None:
    """Send all of `source`, then the silence that ends the turn."""
    pace = _Pace(rate) if realtime else None
    size = chunk_bytes(rate)
    async with aclosing(_chunks(source, rate)) as chunks:
        async for pcm in chunks:
            for piece in pieces(pcm, size):
                if pace is not None:
                    await pace.wait(piece)
                await send(piece)
    silence = bytes(int(TRAILING_SILENCE_SECONDS * rate) * SAMPLE_BYTES)
    for piece in pieces(silence, size):
        if pace is not None:
            await pace.wait(piece)
        await send(piece)


class _Pace:
    """Says when the next piece is due: when the one before it would have been spoken."""

    def __init__(self, rate: int) -> None:
        self._clock = asyncio.get_running_loop().time
        self._bytes_per_second = rate * SAMPLE_BYTES
        self._due = self._clock()

    async def wait(self, piece: bytes) -> None:
        now = self._clock()
        if self._due > now:
            await asyncio.sleep(self._due - now)
        self._due = max(self._due, now - MAX_CATCH_UP_SECONDS) + len(piece) / self._bytes_per_second


async def _chunks(source: AudioSource, rate: int) -> AsyncGenerator[bytes, None]:
    if isinstance(source, (str, os.PathLike)):
        yield await asyncio.to_thread(read_wav, Path(source), rate)
    elif isinstance(source, AsyncIterable):
        async for chunk in source:
            yield pcm_bytes(chunk)
    elif _has_buffer(source):
        yield pcm_bytes(cast("PcmLike", source))
    elif isinstance(source, Iterable):
        for chunk in source:
            yield pcm_bytes(chunk)
    else:
        raise AudioFormatError(
            f"feed() was given {type(source).__name__}.",
            code="audio_type",
            cure="Give PCM16LE bytes, the path of a WAV file, or an iterable or async iterable of PCM16LE chunks.",
        )


def _has_buffer(source: object) -> bool:
    # Arrays are iterable too, sample by sample, which is not what anybody means.
    try:
        memoryview(source).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    return True
