"""Feeds a recording or a stream of chunks into a session at the pace of a microphone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from novasonic._threads import in_thread
from novasonic._wav import MAGIC, read_fully
from novasonic.audio import SAMPLE_BYTES, chunk_bytes, pcm_bytes, pieces, wav_blocks
from novasonic.exceptions import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from novasonic.audio import PcmLike

    AudioSource: TypeAlias = (
        PcmLike | str | os.PathLike[str] | BinaryIO | asyncio.StreamReader | Iterable[PcmLike] | AsyncIterable[PcmLike]
    )

# The service hears the end of a turn by a pause, documented as up to 2 s at low sensitivity (protocol reference,
# sections 1.1 and 8.1); a recording that stops at the last word would never be answered.
TRAILING_SILENCE_SECONDS = 2.2

# A source that fell behind for longer (a stalled microphone) is not made up for by a burst.
MAX_CATCH_UP_SECONDS = 0.5

# A buffer above this size is converted in a thread: 10 ms of work and more.
_LONG_BYTES = 2_000_000

# What compressed recordings begin with. Raw samples have no beginning to know them by, and these would be noise.
_COMPRESSED = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"FORM")


async def feed(source: AudioSource, *, rate: int, realtime: bool, send: Callable[[bytes], Awaitable[None]]) -> None:
    """Send all of `source`, then the silence that ends the turn."""
    pace = _Pace(rate) if realtime else None

    async def say(pcm: bytes) -> None:
        for piece in pieces(pcm, chunk_bytes(rate)):
            if pace is not None:
                await pace.wait(piece)
            await send(piece)

    # Sockets and pipes cut where they like, half a sample included.
    rest = b""
    async with aclosing(_chunks(source, rate)) as chunks:
        async for chunk in chunks:
            pcm = rest + chunk
            whole = len(pcm) - len(pcm) % SAMPLE_BYTES
            rest = pcm[whole:]
            await say(pcm[:whole])
    if rest:
        raise AudioFormatError(
            "The source ended within a 16-bit sample.", code="odd_audio", cure="Give PCM16 little-endian mono."
        )
    await say(bytes(int(TRAILING_SILENCE_SECONDS * rate) * SAMPLE_BYTES))


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


def _chunks(source: AudioSource, rate: int) -> AsyncGenerator[bytes, None]:
    if isinstance(source, (str, os.PathLike)):
        return _in_thread(_path_blocks(Path(source), rate))
    if isinstance(source, asyncio.StreamReader):
        return _from_stream(source, chunk_bytes(rate))
    if isinstance(source, AsyncIterable):
        return _from_async(source)
    if (size := _buffer_bytes(source)) is not None:
        return _from_buffer(cast("PcmLike", source), size)
    if callable(getattr(source, "read", None)):
        return _in_thread(_file_blocks(cast("BinaryIO", source), rate))
    if isinstance(source, Iterable):
        return _from_iterable(source)
    raise AudioFormatError(
        f"feed() was given {type(source).__name__}.",
        code="audio_type",
        cure="Give PCM16LE bytes, an array of samples, the path of a WAV file, an open binary file, or an iterable or "
        "async iterable of chunks.",
    )


async def _from_stream(source: asyncio.StreamReader, size: int) -> AsyncGenerator[bytes, None]:
    # Iterated over it would give lines.
    while chunk := await source.read(size):
        yield chunk


async def _from_async(source: AsyncIterable[PcmLike]) -> AsyncGenerator[bytes, None]:
    async for chunk in source:
        yield pcm_bytes(chunk)


async def _from_buffer(source: PcmLike, size: int) -> AsyncGenerator[bytes, None]:
    yield pcm_bytes(source) if size < _LONG_BYTES else await asyncio.to_thread(pcm_bytes, source)


async def _from_iterable(source: Iterable[PcmLike]) -> AsyncGenerator[bytes, None]:
    for chunk in source:
        yield pcm_bytes(chunk)


def _buffer_bytes(source: object) -> int | None:
    # Arrays are iterable too, sample by sample, which is not what anybody means.
    try:
        with memoryview(source) as view:  # type: ignore[arg-type]
            return view.nbytes
    except TypeError:
        return None


async def _in_thread(blocks: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
    try:
        while (block := await in_thread(partial(next, blocks, None))) is not None:
            yield block
    finally:
        # Cancelled while a thread is in it, which nothing can stop: the last of both lets go of the file.
        with suppress(ValueError):
            blocks.close()


def _path_blocks(path: Path, rate: int) -> Generator[bytes, None, None]:
    with path.open("rb") as file:
        yield from wav_blocks(file, path.name, rate)


def _file_blocks(file: BinaryIO, rate: int) -> Generator[bytes, None, None]:
    """A WAV file, or else raw PCM16LE mono at `rate`, as microphones and decoders write it into a pipe."""
    start = read_fully(file, 4)
    if start in MAGIC:
        name = getattr(file, "name", None)
        shown = Path(name).name if isinstance(name, str) else "The file"
        yield from wav_blocks(file, shown, rate, start=start)
        return
    if start.startswith(_COMPRESSED):
        raise AudioFormatError(
            "The file is a compressed recording.", code="wav", cure="Give a WAV file or raw PCM16LE mono."
        )
    yield start
    # What a pipe has is taken as it comes; `read` alone would wait for a whole block.
    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    while block := read(rate * SAMPLE_BYTES):
        yield block
