"""The event loop's side of one session.

The core makes a descriptor readable; the loop calls `Bridge`, which takes what waits, turns it into events, serves
what the core asks for and lets senders in. Data waits in queues that are popped on the loop's thread only, so a
cancelled await loses nothing.

The loop holds the bridge (through ``add_reader``) and the bridge holds the core; neither holds the `Session` that
the user holds, so that one can be collected.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from novasonic._attachment import MAX_BATCH, Attachment
from novasonic._inbox import Inbox
from novasonic._overlap import Overlap
from novasonic._reading import second_reader_error
from novasonic._rows import event_from_row
from novasonic._serving import Server
from novasonic._waiting import SendLine, TurnWaiters
from novasonic.audio import SAMPLE_BYTES
from novasonic.events import SessionEnded, TurnEnded, Usage
from novasonic.exceptions import SessionClosedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from novasonic import _core
    from novasonic._credentials import CredentialsProvider
    from novasonic._toolbox import Toolbox
    from novasonic.events import Event
    from novasonic.exceptions import NovaSonicError
    from novasonic.tools import Tool
    from novasonic.transcript import TurnRow

__all__ = ["Bridge", "second_reader"]

NOUN = "session"

second_reader = partial(second_reader_error, NOUN, "; to wait for the end of a turn use turn_ended()")


class Bridge:
    """Joins one core session to the loop that opened it. Not for other threads, `abandon` excepted."""

    def __init__(
        self,
        core: _core.Session,
        *,
        input_rate: int,
        provider: CredentialsProvider | None,
        toolbox: Toolbox,
        first_turn: int = 1,
        overlap: Overlap | None = None,
    ) -> None:
        self.id = core.id
        self.usage: Usage | None = None
        self.ended: SessionEnded | None = None
        self._input_rate = input_rate
        self._refused_chunks = 0
        self._refused_bytes = 0
        self._final_stats: dict[str, int] = {}
        self._final_turns: list[TurnRow] = []
        self._inbox = Inbox()
        self._more_in_core = False
        self._closing = False
        self._reader: asyncio.Future[None] | None = None
        self._senders = SendLine(self._take)
        self._turns = TurnWaiters(first=first_turn)
        self.held: Attachment[_core.Session] = Attachment(core, noun=NOUN, wake=self._pump, provider=provider)
        self.server = Server(self.held, toolbox, overlap or Overlap())

    # The session's state, for the facade.

    @property
    def is_over(self) -> bool:
        """Whether the core is gone."""
        return self.held.core is None

    def core(self) -> _core.Session:
        """Return the live core, on the right loop and thread.

        Raises:
            ConcurrencyError: Called from another loop or thread.
            ForkError: Called in a child of the process that opened the session.
            NovaSonicError: What ended the session, or SessionClosedError.
        """
        self.held.check_owner()
        if self.held.core is None:
            raise self.closed_error()
        return self.held.core

    def closed_error(self) -> NovaSonicError:
        """Return what a call after the end raises."""
        if self.ended is not None and self.ended.error is not None:
            return self.ended.error
        return SessionClosedError(
            "The session has ended.", code="session_closed", cure="Open a new one with NovaSonic.connect()."
        )

    def stats(self) -> dict[str, int]:
        """Return the core's counters, with what waits and was purged on this side added."""
        counters = dict(self.held.core.stats() if self.held.core is not None else self._final_stats)
        counters["queued_output_ms"] += self._inbox.audio_ms
        counters["purged_audio_ms"] += self._inbox.purged_audio_ms
        counters["refused_chunks"] += self._refused_chunks
        counters["refused_audio_ms"] += self._refused_bytes * 1000 // (SAMPLE_BYTES * self._input_rate)
        return counters

    def turns(self) -> list[TurnRow]:
        """Return what the core remembers of each turn."""
        return self.held.core.turns() if self.held.core is not None else self._final_turns

    def turn(self, number: int) -> TurnRow | None:
        """Return what the core remembers of one turn; None where there was none."""
        if self.held.core is not None:
            return self.held.core.turn(number)
        return next((row for row in self._final_turns if row[0] == number), None)

    # Reading.

    async def next_event(self) -> Event:
        """Return the next event. Cancelling loses none.

        Raises:
            StopAsyncIteration: The session ended well and everything was read.
            NovaSonicError: The session ended with this error and everything was read.
            ConcurrencyError: Another task waits already.
        """
        self.held.check_owner()
        if self._reader is not None:
            raise second_reader()
        while not self._inbox:
            if self.ended is not None:
                if self.ended.error is not None:
                    raise self.ended.error
                raise StopAsyncIteration
            if self._more_in_core:
                # By way of the loop, not directly: a reader that never waits must not starve other tasks.
                self._more_in_core = False
                self.held.loop.call_soon(self._pump)
            self._reader = self.held.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        event = self._inbox.get()
        self._tell_turn_ended(event)
        return event

    def _tell_turn_ended(self, event: object) -> None:
        if isinstance(event, TurnEnded) and event.turn is not None:
            self._turns.over(event.turn)

    async def turn_ended(self, turn: int) -> None:
        """Wait until the reader has taken ``TurnEnded(turn)``.

        Raises:
            NovaSonicError: The session ended before that.
        """
        self.held.check_owner()
        if self._turns.is_over(turn):
            return
        if self.held.core is None:
            raise self.closed_error()
        await self._turns.wait(turn)

    # Sending.

    def try_send_audio(self, pcm: bytes) -> bool:
        """Hand `pcm` to the core if it fits and nobody waits with earlier audio."""
        core = self.core()
        if self._senders:
            self._refused_chunks += 1
            self._refused_bytes += len(pcm)
            return False
        return core.try_send_audio(pcm)

    async def send_audio(self, pcm: bytes) -> None:
        """Hand `pcm` to the core, waiting in line for room. Cancelled, it was taken whole or not at all."""
        self.held.check_owner()
        await self._senders.send(pcm)

    def _take(self, pcm: bytes) -> bool:
        if self.held.core is None:
            raise self.closed_error()
        return self.held.core.send_audio_or_want_room(pcm)

    async def prompt(self, text: str) -> int:
        """Hand `text` to the core and wait for the turn that it begins."""
        core = self.core()
        return await self.server.prompts.begin(lambda token: core.prompt(token, text))

    async def reconfigure(self, system: str | None, voice: str | None, tools: Iterable[Tool] | None) -> None:
        """Have the core replace its stream, and wait until the new one is open."""
        core = self.core()
        # The present stream may still call what goes, so until the next is open both are there.
        toolbox = self.server.toolbox
        specs = None if tools is None else toolbox.add(tools)
        await self.server.reconfigurations.begin(lambda token: core.reconfigure(token, system, voice, specs))
        if specs is not None:
            toolbox.keep([name for name, _, _ in specs])

    def played(self, turn: int, seconds: float) -> None:
        """Tell how much of a turn was played. After the end nobody needs to know any more."""
        self.held.check_owner()
        if self.held.core is not None:
            self.held.core.played(turn, seconds)

    def interrupt(self) -> None:
        """Stop the running turn, and drop its audio: what waits here and what is on its way."""
        self.core().interrupt()
        # The core obeys in a task of its own; what it had queued by then belongs to a turn that was begun here.
        self._inbox.hush()

    # What the loop calls.

    def _pump(self) -> None:
        core = self.held.core
        if core is None:
            return
        # A batch at most waits here for the reader; the rest stays in the core, which bounds it.
        room = MAX_BATCH if self._closing else max(0, MAX_BATCH - len(self._inbox))
        rows, requests, self._more_in_core, interrupted = core.drain(room)
        for row in rows:
            self._receive(event_from_row(row, self.server.toolbox.needs_approval))
        # The event itself may still wait in the core behind a full queue here; its effect does not.
        if interrupted is not None:
            self._inbox.interrupted(interrupted)
        self.server.serve(requests)
        self._senders.admit()
        self._wake_reader()
        # A batch that an interruption emptied wakes nobody, and for what waits behind it no notification comes.
        starved = self._reader is not None and not self._reader.done() and not self._inbox
        if self._more_in_core and (self._closing or starved):
            self.held.loop.call_soon(self._pump)

    def _receive(self, event: Event) -> None:
        if isinstance(event, Usage):
            self.usage = event
        self._inbox.put(event)
        if isinstance(event, SessionEnded):
            self._finish(event)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done() and (self._inbox or self.ended is not None):
            self._reader.set_result(None)

    # The end.

    def fail_reader(self, error: Exception) -> None:
        """Let the reader raise `error` after what it has yet to read."""
        self._pump()
        self._inbox.put(error)
        self._wake_reader()

    async def close(self, timeout_seconds: float) -> None:
        """Close in order, or by force after `timeout_seconds` and a margin. Idempotent."""
        if self.held.loop.is_closed():
            self._release()
            return
        self.held.check_owner()
        core = self.held.core
        if core is not None:
            self._closing = True
            core.close()
            self._pump()
            if not await self.held.is_left_within(timeout_seconds):
                core.abort()
                self._receive(SessionEnded("closed", None, at=0.0, turn=None, raw_type="novasonic"))
                self._wake_reader()
        await self.held.reap()

    def dispose(self) -> None:
        """Reset the stream and let go of everything, now."""
        if self.held.core is not None:
            self.held.core.abort()
        self._release()

    def abandon(self) -> bool:
        """As `dispose`, from a finalizer: any thread, any moment. Returns whether there was anything to let go of."""
        return self.held.abandon(self.dispose)

    def _finish(self, event: SessionEnded) -> None:
        self.ended = event
        for item in self._inbox.unread:
            self._tell_turn_ended(item)
        self._release()

    def _release(self) -> None:
        """Leave the loop, drop the core, and tell whoever waits."""
        if self.held.core is None:
            return
        self._final_stats = self.held.core.stats()
        self._final_turns = self.held.core.turns()
        self.held.release()
        if self.held.loop.is_closed():
            return
        self._senders.admit()
        self._turns.fail(self.closed_error())
        self.server.fail(self.closed_error())
