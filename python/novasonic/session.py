"""A live conversation in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from novasonic._attachment import abandon_loudly
from novasonic._bridge import second_reader
from novasonic._feeding import Feeding
from novasonic._numbers import is_number
from novasonic._reading import ReaderSlot
from novasonic._settings import require_text
from novasonic.audio import pcm_bytes
from novasonic.events import TokenCounts
from novasonic.exceptions import ConfigError, TurnTimeout
from novasonic.stats import Cost, Stats
from novasonic.transcript import view
from novasonic.turns import collect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable
    from typing import Any

    from novasonic._bridge import Bridge
    from novasonic._feed import AudioSource
    from novasonic.audio import PcmLike
    from novasonic.events import Event
    from novasonic.exceptions import NovaSonicError
    from novasonic.prices import Prices
    from novasonic.tools import Tool
    from novasonic.transcript import TranscriptView
    from novasonic.turns import Turn

__all__ = ["Session"]


class Session:
    """A live conversation, from `NovaSonic.connect`.

    Iterate over it for events; one reader at a time. It belongs to the event loop that opened it. Every method
    raises ConcurrencyError from another loop or thread and ForkError in a child process. Sending after the end
    raises what ended the session, or SessionClosedError.
    """

    __slots__ = ("__weakref__", "_bridge", "_close_timeout", "_feeding", "_prices", "_readers")

    def __init__(self, bridge: Bridge, *, input_rate: int, close_timeout: float, prices: Prices) -> None:
        self._bridge = bridge
        self._close_timeout = close_timeout
        self._prices = prices
        self._feeding = Feeding(bridge, rate=input_rate)
        self._readers: ReaderSlot[Event] = ReaderSlot()

    def __repr__(self) -> str:
        return f"<novasonic.Session {self.id} {'open' if self._bridge.ended is None else self._bridge.ended.reason}>"

    def __del__(self) -> None:
        # Absent where __init__ never ran.
        bridge: Bridge | None = getattr(self, "_bridge", None)
        if bridge is not None:
            abandon_loudly(self, bridge.abandon, "`async with client.connect(...)` or `await session.aclose()`")

    @property
    def id(self) -> str:
        """The conversation's id, a UUID; it outlives streams."""
        return self._bridge.id

    @property
    def transcript(self) -> TranscriptView:
        """What both sides said so far: final sentences where they are known, else what is planned.

        Of an answer that was interrupted it holds what was heard (`played`). It may be ahead of the events read.
        """
        return view(self._bridge.turns())

    @property
    def error(self) -> NovaSonicError | None:
        """What ended the session, or None while it lives and where it ended well."""
        return None if self._bridge.ended is None else self._bridge.ended.error

    def stats(self) -> Stats:
        """Return a snapshot of the counters; the last one once the session has ended."""
        return Stats(**self._bridge.stats())

    def cost(self) -> Cost:
        """Return what the conversation cost so far, by the service's own count of tokens."""
        usage = self._bridge.usage
        tokens = TokenCounts(0, 0, 0, 0) if usage is None else usage.total
        return Cost(tokens, self._prices.usd(tokens), self._prices.as_of)

    async def send_audio(self, pcm: PcmLike) -> None:
        """Send audio of the user, waiting while the buffer is full.

        Cancelling is safe: the chunk was taken whole or not at all. Tasks that wait are served in order.

        Args:
            pcm: Audio at the session's input rate: bytes, bytearray or memoryview of PCM16LE mono, or an array of
                ``int16`` or ``float32`` (-1 to 1) of shape (n,) or (n, channels), as for `novasonic.audio.pcm_bytes`.
                Any length up to ``Buffers.input``; the service's own samples send 32 ms at a time.

        Raises:
            AudioFormatError: Not whole samples, another type, or longer than the buffer.
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
            AudioFormatError: Not whole samples, another type, or longer than the buffer.
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
        self._bridge.core().send_text(_spoken_text("send_text", text))

    async def prompt(self, text: str) -> int:
        """Have the assistant speak first: send `text` for it to answer, in a quiet moment.

        The text is no part of the transcript. While a turn runs or its answer is still being heard, it waits, 15 s at
        most, since the service cuts a reply short when text falls into it. Cancelling stops waiting only: the text
        may still be sent.

        Args:
            text: What to do, in words the model answers: "Greet the caller." It is answered, not spoken.

        Returns:
            The number of the turn that it began, for `turn_ended`.

        Raises:
            ConfigError: ``code="empty_text"``: nothing but white space.
            TypeError: Not a string.
            NovaSonicError: The session has ended, or 16 prompts wait already.
        """
        return await self._bridge.prompt(_spoken_text("prompt", text))

    async def reconfigure(
        self, *, system: str | None = None, voice: str | None = None, tools: Iterable[Tool] | None = None
    ) -> None:
        """Go on with another system prompt, another voice or other tools, at the next moment in which no turn runs.

        The service fixes these for the life of a stream, so the conversation goes on with another one, as it does at
        the eight-minute limit: nothing that was said is lost, and tools at work are waited for. Returns once the new
        stream is open. Cancelling stops waiting only.

        Args:
            system: Another system prompt; None: as before.
            voice: Another voice; None: as before.
            tools: What the model may call from now on; None: as before.

        Raises:
            ConfigError: A setting is wrong.
            NovaSonicError: The service refuses it, and the conversation goes on as before; or the session has ended.
        """
        require_text("system", system, optional=True)
        require_text("voice", voice, optional=True)
        await self._bridge.reconfigure(system, voice, tools)

    def played(self, turn: int, seconds: float) -> None:
        """Tell how much of a turn's audio was really heard, so that the history keeps that much of an interrupted one.

        Args:
            turn: Number of the turn.
            seconds: Cumulative within the turn; a smaller figure than before changes nothing.

        Raises:
            ConfigError: ``code="invalid_played"``: not a turn's number, or not a number of seconds from 0.
        """
        if type(turn) is not int or not 0 < turn < 2**32 or not is_number(seconds) or seconds < 0:
            raise ConfigError(
                f"played() was told turn {turn!r} and {seconds!r} s.",
                code="invalid_played",
                cure="Give the number of a turn and seconds from 0.",
            )
        self._bridge.played(turn, float(seconds))

    def approve(self, call_id: str, approve: bool) -> None:
        """Let a tool call run that waits for it (``ToolCall.needs_approval``), or deny it.

        Args:
            call_id: ``ToolCall.id``.
            approve: Whether it may run.

        Raises:
            ConfigError: ``code="unknown_approval"``: no such call waits (any more).
        """
        self._bridge.held.check_owner()
        self._bridge.server.toolbox.approve(call_id, approve)

    def send_tool_result(self, call_id: str, result: Any, *, ok: bool = True) -> None:
        """Answer a call of a manual tool, once.

        Args:
            call_id: ``ToolCall.id``.
            result: What JSON can hold. A dict goes as it is, anything else as ``{"result": ...}``.
            ok: Whether it is a result or tells of an error; for ``ToolFinished``, the model reads `result` only.

        Raises:
            ConfigError: ``code="invalid_tool_result"``: JSON cannot hold `result`, or it is longer than
                ``ToolLimits.result_bytes``.
            ValidationError: ``code="unknown_tool_call"``: no such call waits (any more).
            NovaSonicError: The session has ended.
        """
        core = self._bridge.core()
        core.send_tool_result(call_id, self._bridge.server.toolbox.encode(result), ok)

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

        The service has no cancel: it finishes the turn unheard. ``Interrupted("client")`` follows if a turn ran, or if
        its answer, which comes faster than it is played, could still be heard.
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
            source: A buffer or an array as for `send_audio`; the path of a WAV file of any rate and width; an open
                binary file or pipe, of WAV or else of raw PCM16LE mono at the session's input rate (read in a
                thread); an ``asyncio.StreamReader`` of the latter; or an iterable or async iterable of buffers, cut
                anywhere. A plain iterable must not block.
            realtime: Pace as a microphone would. False: as fast as the buffer takes it.

        Returns:
            The task; cancel it to stop. It raises AudioFormatError for a bad source, OSError for an
            unreadable file, and what ended the session.

        Raises:
            ConcurrencyError: ``code="second_feed"``: another feed is still running.
        """
        return self._feeding.start(source, realtime=realtime)

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the session's one iterator; leave the loop over it before you begin another.

        Iteration ends after ``SessionEnded``: it stops where the session ended well and raises its error otherwise.
        Cancelling a pending step is safe: no event is lost.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds an iterator of this session.
        """
        return self._readers.take(self, self._bridge.next_event, second_reader)

    def turns(self, *, settle: float = 10.0) -> AsyncGenerator[Turn, None]:
        """Iterate over the same stream as whole turns.

        A turn comes once its answer is complete and its final texts are in: late by as much as the service is late
        with those, `settle` seconds at most. It is the session's one reader, as ``async for event in session`` is;
        cancelling a step is safe for events, but turns half gathered are lost with the generator.

        Args:
            settle: How long to wait for final texts after a turn's end, in seconds.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds an iterator of this session.
            NovaSonicError: While iterating, after the last turn: what ended the session.
        """
        return collect(aiter(self), self._bridge.turn, settle)

    async def aclose(self) -> None:
        """Close the session: in order where the service answers, by reset after ``Timeouts.close``.

        Idempotent and silent. A task that reads gets what was received, then ``SessionEnded("closed")``. Cancelled,
        the close goes on by itself.
        """
        await self._bridge.close(self._close_timeout)


def _spoken_text(method: str, text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{method}() takes a str, not {type(text).__name__}; audio goes to send_audio()")
    if not text.strip():
        raise ConfigError("The text is empty.", code="empty_text", cure="Send at least one word.")
    return text
