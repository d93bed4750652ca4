"""The event loop's side of one session.

The core makes a descriptor readable; the loop calls `Bridge`, which takes what waits, turns it into events, serves
what the core asks for and lets senders in. Data waits in queues that are popped on the loop's thread only, so a
cancelled await loses nothing.

The loop holds the bridge (through ``add_reader``) and the bridge holds the core; neither holds the `Session` that
the user holds, so that one can be collected.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import _get_running_loop
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from novasonic._reading import second_reader_error
from novasonic._rows import event_from_row
from novasonic._serving import Server
from novasonic._waiting import SendLine, TurnWaiters
from novasonic.audio import SAMPLE_BYTES
from novasonic.events import AudioOutput, SessionEnded, TurnEnded, Usage
from novasonic.exceptions import ConcurrencyError, SessionClosedError

if TYPE_CHECKING:
    from novasonic import _core
    from novasonic._credentials import CredentialsProvider
    from novasonic._toolbox import Toolbox
    from novasonic.events import Event
    from novasonic.exceptions import NovaSonicError
    from novasonic.transcript import TurnRow

__all__ = ["Bridge", "second_reader"]

NOUN = "session"

# One callback of the loop converts at most this many events, some 2 us each; as many may wait here for the reader.
MAX_BATCH = 256

# An orderly close is bounded in the core; only a core that hangs lets this much more time pass.
CLOSE_MARGIN_SECONDS = 2.0

second_reader = partial(second_reader_error, NOUN, "; to wait for the end of a turn use turn_ended()")


class Bridge:
    """Joins one core session to the loop that opened it. Not for other threads, `abandon` excepted."""

    def __init__(
        self, core: _core.Session, *, input_rate: int, provider: CredentialsProvider | None, toolbox: Toolbox
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.id = core.id
        self.usage: Usage | None = None
        self.ended: SessionEnded | None = None
        self._input_rate = input_rate
        self._refused_chunks = 0
        self._refused_bytes = 0
        self._purged_audio_ms = 0
        self._core: _core.Session | None = core
        self._fd = core.fd
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._final_stats: dict[str, int] = {}
        self._final_turns: list[TurnRow] = []
        self._queue: deque[Event | Exception] = deque()
        self._more_in_core = False
        self._interrupted_turn = 0
        self._latest_turn = 0
        self._hushed_turn = 0
        self._closing = False
        self._end_seen = asyncio.Event()
        self._reader: asyncio.Future[None] | None = None
        self._senders = SendLine(self._take)
        self._turns = TurnWaiters()
        self.server = Server(core, self.loop, provider, toolbox)
        self.loop.add_reader(self._fd, self._pump)

    # The session's state, for the facade.

    @property
    def is_over(self) -> bool:
        """Whether the core is gone."""
        return self._core is None

    def core(self) -> _core.Session:
        """Return the live core, on the right loop and thread.

        Raises:
            ConcurrencyError: Called from another loop or thread.
            ForkError: Called in a child of the process that opened the session.
            NovaSonicError: What ended the session, or SessionClosedError.
        """
        self.check_owner()
        if self._core is None:
            raise self.closed_error()
        return self._core

    def check_owner(self) -> None:
        """Refuse another loop, another thread, another process."""
        running = _get_running_loop()
        # No running loop: plain code on the loop's own thread, between two runs of it.
        if running is self.loop or (running is None and threading.get_ident() == self._thread):
            return
        if self._core is not None:
            _ = self._core.id  # ForkError where that is the reason
        raise ConcurrencyError(
            "This session belongs to another event loop.",
            code="wrong_loop",
            cure="Use it in the loop that opened it; from another thread, through "
            "asyncio.run_coroutine_threadsafe(..., loop).",
        )

    def closed_error(self) -> NovaSonicError:
        """Return what a call after the end raises."""
        if self.ended is not None and self.ended.error is not None:
            return self.ended.error
        return SessionClosedError(
            "The session has ended.", code="session_closed", cure="Open a new one with NovaSonic.connect()."
        )

    def stats(self) -> dict[str, int]:
        """Return the core's counters, with what waits and was purged on this side added."""
        counters = dict(self._core.stats() if self._core is not None else self._final_stats)
        counters["queued_output_ms"] += sum(_audio_ms(item) for item in self._queue)
        counters["purged_audio_ms"] += self._purged_audio_ms
        counters["refused_chunks"] += self._refused_chunks
        counters["refused_audio_ms"] += self._refused_bytes * 1000 // (SAMPLE_BYTES * self._input_rate)
        return counters

    def turns(self) -> list[TurnRow]:
        """Return what the core remembers of each turn."""
        return self._core.turns() if self._core is not None else self._final_turns

    def turn(self, number: int) -> TurnRow | None:
        """Return what the core remembers of one turn; None where there was none."""
        if self._core is not None:
            return self._core.turn(number)
        return next((row for row in self._final_turns if row[0] == number), None)

    # Reading.

    async def next_event(self) -> Event:
        """Return the next event. Cancelling loses none.

        Raises:
            StopAsyncIteration: The session ended well and everything was read.
            NovaSonicError: The session ended with this error and everything was read.
            ConcurrencyError: Another task waits already.
        """
        self.check_owner()
        if self._reader is not None:
            raise second_reader()
        while not self._queue:
            if self.ended is not None:
                if self.ended.error is not None:
                    raise self.ended.error
                raise StopAsyncIteration
            if self._more_in_core:
                # By way of the loop, not directly: a reader that never waits must not starve other tasks.
                self._more_in_core = False
                self.loop.call_soon(self._pump)
            self._reader = self.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        item = self._queue.popleft()
        if isinstance(item, Exception):
            raise item
        if isinstance(item, TurnEnded) and item.turn is not None:
            self._turns.over(item.turn)
        return item

    async def turn_ended(self, turn: int) -> None:
        """Wait until the reader has taken ``TurnEnded(turn)``.

        Raises:
            NovaSonicError: The session ended before that.
        """
        self.check_owner()
        if self._turns.is_over(turn):
            return
        if self._core is None:
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
        self.check_owner()
        await self._senders.send(pcm)

    def _take(self, pcm: bytes) -> bool:
        if self._core is None:
            raise self.closed_error()
        return self._core.send_audio_or_want_room(pcm)

    async def prompt(self, text: str) -> int:
        """Hand `text` to the core and wait for the turn that it begins."""
        core = self.core()
        return await self.server.prompts.begin(lambda token: core.prompt(token, text))

    def played(self, turn: int, seconds: float) -> None:
        """Tell how much of a turn was played. After the end nobody needs to know any more."""
        self.check_owner()
        if self._core is not None:
            self._core.played(turn, seconds)

    def interrupt(self) -> None:
        """Stop the running turn, and drop its audio: what waits here and what is on its way."""
        self.core().interrupt()
        # The core obeys in a task of its own; what it had queued by then belongs to a turn that was begun here.
        self._hushed_turn = self._latest_turn
        self._purge(None)

    # What the loop calls.

    def _pump(self) -> None:
        core = self._core
        if core is None:
            return
        room = MAX_BATCH if self._closing else max(0, MAX_BATCH - len(self._queue))
        rows, requests, self._more_in_core, interrupted = core.drain(room)
        for row in rows:
            self._receive(event_from_row(row, self.server.toolbox.needs_approval))
        # The event itself may still wait in the core behind a full queue here; its effect does not.
        if interrupted is not None and interrupted > self._interrupted_turn:
            self._interrupted_turn = interrupted
            self._purge(interrupted)
        self.server.serve(requests)
        self._senders.admit()
        self._wake_reader()
        # A batch that an interruption emptied wakes nobody, and for what waits behind it no notification comes.
        starved = self._reader is not None and not self._reader.done() and not self._queue
        if self._more_in_core and (self._closing or starved):
            self.loop.call_soon(self._pump)

    def _receive(self, event: Event) -> None:
        if event.turn is not None:
            self._latest_turn = max(self._latest_turn, event.turn)
            if isinstance(event, AudioOutput) and event.turn <= self._hushed_turn:
                self._purged_audio_ms += _audio_ms(event)
                return
        if isinstance(event, Usage):
            self.usage = event
        self._queue.append(event)
        if isinstance(event, SessionEnded):
            self._finish(event)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done() and (self._queue or self.ended is not None):
            self._reader.set_result(None)

    def _purge(self, turn: int | None) -> None:
        """Drop audio of `turn` (None: of any) that the reader has not taken yet."""
        kept: deque[Event | Exception] = deque()
        for item in self._queue:
            if isinstance(item, AudioOutput) and turn in (None, item.turn):
                self._purged_audio_ms += _audio_ms(item)
            else:
                kept.append(item)
        self._queue = kept

    # The end.

    def fail_reader(self, error: Exception) -> None:
        """Let the reader raise `error` after what it has yet to read."""
        self._pump()
        self._queue.append(error)
        self._wake_reader()

    async def close(self, timeout_seconds: float) -> None:
        """Close in order, or by force after `timeout_seconds` and a margin. Idempotent."""
        if self.loop.is_closed():
            self._release()
            return
        self.check_owner()
        if self._core is not None:
            self._closing = True
            self._core.close()
            self._pump()
            try:
                async with asyncio.timeout(timeout_seconds + CLOSE_MARGIN_SECONDS):
                    await self._end_seen.wait()
            except TimeoutError:
                self._core.abort()
                self._receive(SessionEnded("closed", None, at=0.0, turn=None, raw_type="novasonic"))
                self._wake_reader()
        await self.server.reap()

    def dispose(self) -> None:
        """Reset the stream and let go of everything, now."""
        if self._core is not None:
            self._core.abort()
        self._release()

    def abandon(self) -> bool:
        """As `dispose`, from a finalizer: any thread, any moment. Returns whether there was anything to let go of."""
        # In a forked child the loop's descriptors are the parent's: touching them would disturb it.
        if self._core is None or self._pid != os.getpid():
            return False
        try:
            # The loop must forget the descriptor before it is closed, and only its own thread may tell it so.
            self.loop.call_soon_threadsafe(self.dispose)
        except RuntimeError:  # the loop is closed, and with it the selector that watched
            self._core = None
            self.server.forget()
        return True

    def _finish(self, event: SessionEnded) -> None:
        self.ended = event
        for item in self._queue:
            if isinstance(item, TurnEnded) and item.turn is not None:
                self._turns.over(item.turn)
        self._release()

    def _release(self) -> None:
        """Leave the loop, then drop the core, which resets a stream that still lives."""
        if self._core is None:
            return
        self._final_stats = self._core.stats()
        self._final_turns = self._core.turns()
        if self.loop.is_closed():
            self._core = None
            self.server.forget()
            return
        # In this order: a closed number may belong to another session of this loop before it is forgotten.
        self.loop.remove_reader(self._fd)
        self._core = None
        self._end_seen.set()
        self._senders.admit()
        self._turns.fail(self.closed_error())
        self.server.end(self.closed_error())


def _audio_ms(item: Event | Exception) -> int:
    return round(item.seconds * 1000) if isinstance(item, AudioOutput) else 0
