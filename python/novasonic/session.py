"""A live conversation in this process."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novasonic import _feed
from novasonic._bridge import second_reader_error
from novasonic.audio import pcm_bytes
from novasonic.exceptions import AudioFormatError, ConcurrencyError, ConfigError, NovaSonicError, TurnTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from novasonic._bridge import Bridge
    from novasonic._feed import AudioSource
    from novasonic.audio import PcmLike
    from novasonic.events import Event
    from novasonic.transcript import TranscriptView

__all__ = ["Session", "Stats"]


# Twin of `Stats` in src/session/mod.rs; tests/test_twins.py compares the fields.
@dataclass(frozen=True, slots=True)
class Stats:
    """One snapshot of a session; all counts since the conversation opened.

    Attributes:
        queued_input_ms: The user's audio that waits to be sent.
        queued_output_ms: The assistant's audio that nobody read yet.
        sent_audio_ms: The user's audio on the wire, silence in its place included.
        received_audio_ms: The assistant's audio received.
        refused_chunks: Chunks for which ``try_send_audio`` returned False because the buffer was full.
        refused_audio_ms: Their audio.
        purged_audio_ms: The assistant's audio dropped by an interruption before anybody read it.
        events: Events received.
        wakeups: Wake-ups of the event loop.
        unknown_events: Events that this version does not know.
        streams_opened: Streams to the service.
    """

    queued_input_ms: int
    queued_output_ms: int
    sent_audio_ms: int
    received_audio_ms: int
    refused_chunks: int
    refused_audio_ms: int
    purged_audio_ms: int
    events: int
    wakeups: int
    unknown_events: int
    streams_opened: int


class Session:
    """A live conversation, from `NovaSonic.connect`.

    Iterate over it for events; one reader at a time. It belongs to the event loop that opened it. Every method
    raises ConcurrencyError from another loop or thread and ForkError in a child process. Sending after the end
    raises what ended the session, or SessionClosedError.
    """

    __slots__ = ("__weakref__", "_bridge", "_close_timeout", "_feeding", "_input_rate", "_iterator")

    def __init__(self, bridge: Bridge, *, input_rate: int, close_timeout: float) -> None:
        self._bridge = bridge
        self._input_rate = input_rate
        self._close_timeout = close_timeout
        self._feeding: asyncio.Task[None] | None = None
        self._iterator: weakref.ref[_Events] | None = None

    def __repr__(self) -> str:
        return f"<novasonic.Session {self.id} {'open' if self._bridge.ended is None else self._bridge.ended.reason}>"

    def __del__(self) -> None:
        # Absent where __init__ never ran.
        bridge: Bridge | None = getattr(self, "_bridge", None)
        if bridge is not None and bridge.abandon():
            warnings.warn(
                f"unclosed {self!r}: use `async with client.connect(...)` or `await session.aclose()`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    @property
    def id(self) -> str:
        """The conversation's id, a UUID; it outlives streams."""
        return self._bridge.id

    @property
    def transcript(self) -> TranscriptView:
        """What both sides said so far: final sentences where they are known, else what is planned."""
        return self._bridge.transcript.view()

    @property
    def error(self) -> NovaSonicError | None:
        """What ended the session, or None while it lives and where it ended well."""
        return None if self._bridge.ended is None else self._bridge.ended.error

    def stats(self) -> Stats:
        """Return a snapshot of the counters; the last one once the session has ended."""
        return Stats(**self._bridge.stats())

    async def send_audio(self, pcm: PcmLike) -> None:
        """Send audio of the user, waiting while the buffer is full.

        Cancelling is safe: the chunk was taken whole or not at all. Tasks that wait are served in order.

        Args:
            pcm: PCM16LE mono at the session's input rate: bytes, bytearray, memoryview or 16-bit integers
                (``array.array("h")``, NumPy ``int16``). Any length up to ``Buffers.input``; the service's own
                samples send 32 ms at a time.

        Raises:
            AudioFormatError: Not whole PCM16 samples, or longer than the buffer.
            NovaSonicError: The session has ended.
        """
        await self._bridge.send_audio(pcm_bytes(pcm))

    def try_send_audio(self, pcm: PcmLike) -> bool:
        """Send audio of the user if it fits now.

        Args:
            pcm: As for `send_audio`.

        Returns:
            False where the buffer is full or other tasks wait for room; then nothing was taken, and the refusal is
            counted in `stats`.

        Raises:
            AudioFormatError: Not whole PCM16 samples, or longer than the buffer.
            NovaSonicError: The session has ended.
        """
        return self._bridge.try_send_audio(pcm_bytes(pcm))

    async def send_text(self, text: str) -> None:
        """Send typed input of the user; the model answers it as it answers speech.

        The text is part of the transcript. It is sent as one whole block, after the silence without which the
        service stays mute. Cancelling is safe: the text was taken whole or not at all.

        Raises:
            ConfigError: ``code="empty_text"``: nothing but white space.
            TypeError: Not a string.
            NovaSonicError: The session has ended.
        """
        if not isinstance(text, str):
            raise TypeError(f"send_text() takes a str, not {type(text).__name__}; audio goes to send_audio()")
        if not text.strip():
            raise ConfigError("The text is empty.", code="empty_text", cure="Send at least one word.")
        self._bridge.core().send_text(text)

    async def turn_ended(self, turn: int, timeout: float = 20.0) -> None:  # noqa: ASYNC109 - the bound names the turn
        """Wait until another task, which reads this session, has taken ``TurnEnded`` of `turn` or a later turn.

        Cancelling is safe.

        Args:
            turn: Number of the turn, as in its events.
            timeout: Bound in seconds.

        Raises:
            TurnTimeout: The bound ran out.
            NovaSonicError: The session ended first.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._bridge.turn_ended(turn)
        except TimeoutError as error:
            if type(error) is not TimeoutError:  # what ended the session may be a timeout too
                raise
            raise TurnTimeout(
                f"Turn {turn} did not end within {timeout:g} s.",
                code="turn_timeout",
                retryable=True,
                cure="Check that a task reads the session, that the user's audio goes on (silence included), "
                "or allow more time.",
            ) from None

    async def interrupt(self) -> None:
        """Drop queued and later audio of the running turn.

        The service has no cancel: it finishes the turn unheard. ``Interrupted("client")`` follows if a turn ran.
        """
        self._bridge.interrupt()

    def mute(self, muted: bool) -> None:
        """Send silence in place of the user's audio, or stop doing so.

        The service needs audio at all times, so go on calling `send_audio`.
        """
        self._bridge.core().mute(muted)

    def feed(self, source: AudioSource, *, realtime: bool = True) -> asyncio.Task[None]:
        """Send a recording or a stream of chunks from a task of the session's own.

        The task ends after the silence by which the service hears that the speaker stopped. It is cancelled with
        the session. What goes wrong in it is raised to the reader of the session too.

        Args:
            source: PCM16LE mono at the session's input rate: a buffer as for `send_audio`, the path of a WAV file,
                or an iterable or async iterable of chunks. A plain iterable must not block.
            realtime: Pace as a microphone would. False: as fast as the buffer takes it.

        Returns:
            The task; cancel it to stop. It raises AudioFormatError and ConfigError for a bad source, OSError for an
            unreadable file, and what ended the session.

        Raises:
            ConcurrencyError: ``code="second_feed"``: another feed is still running.
        """
        bridge = self._bridge
        bridge.core()
        if self._feeding is not None and not self._feeding.done():
            raise ConcurrencyError(
                "This session is being fed already.",
                code="second_feed",
                cure="Await or cancel the task of the first feed(); two sources cannot share one microphone.",
            )
        work = _run_feed(bridge, source, rate=self._input_rate, realtime=realtime)
        self._feeding = bridge.own(work, f"novasonic-feed-{self.id}")
        self._feeding.add_done_callback(_retrieve)
        return self._feeding

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the session's one iterator; leave the loop over it before you begin another.

        Iteration ends after ``SessionEnded``: it stops where the session ended well and raises its error otherwise.
        Cancelling a pending step is safe: no event is lost.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds an iterator of this session.
        """
        if self._iterator is not None and self._iterator() is not None:
            raise second_reader_error()
        events = _Events(self)
        self._iterator = weakref.ref(events)
        return events

    async def aclose(self) -> None:
        """Close the session: in order where the service answers, by reset after ``Timeouts.close``.

        Idempotent and silent. A task that reads gets what was received, then ``SessionEnded("closed")``. Cancelled,
        the close goes on by itself.
        """
        await self._bridge.close(self._close_timeout)


class _Events:
    """The iterator of a session; keeps it alive."""

    __slots__ = ("__weakref__", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> Event:
        return await self._session._bridge.next_event()  # noqa: SLF001 - two halves of one thing


def _retrieve(task: asyncio.Task[None]) -> None:
    # The reader is told; asyncio need not complain about a task that nobody awaited.
    if not task.cancelled():
        task.exception()


async def _run_feed(bridge: Bridge, source: AudioSource, *, rate: int, realtime: bool) -> None:
    # Not a method: the task must not keep an abandoned session alive.
    session_failed = False

    async def send(pcm: bytes) -> None:
        nonlocal session_failed
        try:
            await bridge.send_audio(pcm)
        except AudioFormatError:
            raise
        except NovaSonicError:
            session_failed = True
            raise

    try:
        await _feed.feed(source, rate=rate, realtime=realtime, send=send)
    except asyncio.CancelledError:
        if bridge.is_over:
            # Whoever awaits the task was not cancelled and must not see CancelledError.
            raise bridge.closed_error() from None
        raise
    except Exception as error:
        # What ended the session reaches its reader as SessionEnded, in its place among the events.
        if not session_failed and not bridge.is_over:
            bridge.fail_reader(error)
        raise
