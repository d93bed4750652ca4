"""The event loop's side of one raw stream; `novasonic.stream` is its face.

Events stay in the core, in bytes, until a reader wants them: one batch at a time comes over, so that the core's bound
is nearly all there is. What is popped is popped on the loop's thread only, so a cancelled await loses nothing.
"""

from __future__ import annotations

import json
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from novasonic._attachment import MAX_BATCH, Attachment
from novasonic._reading import second_reader_error
from novasonic._waiting import SendLine
from novasonic.exceptions import CredentialsError, ServiceError, SessionClosedError

if TYPE_CHECKING:
    import asyncio

    from novasonic import _core
    from novasonic._credentials import CredentialsProvider
    from novasonic.exceptions import NovaSonicError

__all__ = ["StreamBridge", "second_reader"]

NOUN = "stream"
second_reader = partial(second_reader_error, NOUN)


class StreamBridge:
    """Joins one core stream to the loop that opened it. Not for other threads, `abandon` excepted."""

    def __init__(self, core: _core.RawStream, *, provider: CredentialsProvider | None) -> None:
        self.id = core.id
        self.is_over = False
        self.error: NovaSonicError | None = None
        self._queue: deque[bytes] = deque()
        self._more_in_core = False
        self._reader: asyncio.Future[None] | None = None
        self._senders: SendLine[bytes | None] = SendLine(self._take)
        self._request_id: str | None = None
        self._final_stats: dict[str, int] = {}
        self._refused = 0
        self._held = Attachment(core, noun=NOUN, wake=self._pump, provider=provider)

    def closed_error(self) -> NovaSonicError:
        """Return what a call after the end raises."""
        return self.error or SessionClosedError(
            "The stream has ended.", code="stream_closed", cure="Open a new one with NovaSonic.open_stream()."
        )

    def stats(self) -> dict[str, int]:
        """Return the core's counters, with what waits on this side added."""
        counters = dict(self._held.core.stats() if self._held.core is not None else self._final_stats)
        counters["queued_output_bytes"] += sum(map(len, self._queue))
        counters["refused_events"] += self._refused
        return counters

    @property
    def request_id(self) -> str | None:
        """The service's id of this stream, once headers have come."""
        return self._held.core.request_id if self._held.core is not None else self._request_id

    async def opened(self) -> None:
        """Wait for response headers. Cancelling changes nothing."""
        self._held.check_owner()
        core = self._held.core
        failure = self.closed_error() if core is None else await core.opened()
        if failure is not None:
            raise self._explained(failure)

    # Reading.

    async def next_event(self) -> dict[str, Any]:
        """Return the next event. Cancelling loses none.

        Raises:
            StopAsyncIteration: The stream ended well and everything was read.
            NovaSonicError: The stream ended with this error and everything was read, or the event is no object.
            ConcurrencyError: Another task waits already.
        """
        self._held.check_owner()
        if self._reader is not None:
            raise second_reader()
        while not self._queue:
            if self._more_in_core:
                # By way of the loop, not directly: a reader that never waits must not starve other tasks.
                self._more_in_core = False
                self._held.loop.call_soon(self._pump)
            elif self.is_over:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self._reader = self._held.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._decoded(self._queue.popleft())

    def _decoded(self, chunk: bytes) -> dict[str, Any]:
        try:
            event = json.loads(chunk)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            return event
        error = ServiceError(
            f"The service sent {len(chunk)} bytes that are no JSON object.",
            code="bad_event",
            request_id=self.request_id,
            retryable=True,
            cure="Open a new stream.",
        )
        self._queue.clear()
        self.dispose(error)
        raise error

    # Sending.

    def try_send(self, event: bytes) -> bool:
        """Hand `event` to the core if it fits and nobody waits with an earlier one."""
        self._held.check_owner()
        core = self._live()
        if self._senders:
            self._refused += 1
            return False
        return core.try_send(event)

    async def send(self, event: bytes | None) -> None:
        """Hand `event` to the core, waiting in line for room; None ends the input behind what others wait with."""
        self._held.check_owner()
        await self._senders.send(event)

    def _take(self, event: bytes | None) -> bool:
        core = self._live()
        if event is None:
            core.end_input()
            return True
        return core.send_or_want_room(event)

    def _live(self) -> _core.RawStream:
        if self.is_over or self._held.core is None:
            raise self.closed_error()
        return self._held.core

    # What the loop calls.

    def _pump(self) -> None:
        core = self._held.core
        if core is None:
            return
        wanted = MAX_BATCH if self._reader is not None and not self._queue else 0
        events, requests, self._more_in_core, over = core.drain(wanted)
        self._queue.extend(events)
        for request_id in requests:
            self._held.give_credentials(request_id)
        if over:
            self._finish(core.error())
            if not self._more_in_core:
                self._release()
        else:
            self._senders.admit()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done() and (self._queue or self.is_over):
            self._reader.set_result(None)

    # The end.

    def _explained(self, error: NovaSonicError) -> NovaSonicError:
        if isinstance(error, CredentialsError) and error.__cause__ is None:
            error.__cause__ = self._held.provider_error
        return error

    def _finish(self, error: NovaSonicError | None) -> None:
        """Nothing more comes into the core. What is in it may still be read."""
        if self.is_over:
            return
        self.is_over = True
        self.error = None if error is None else self._explained(error)
        self._held.detach()
        self._senders.admit()

    def _release(self) -> None:
        if self._held.core is not None:
            self._final_stats = self._held.core.stats()
            self._request_id = self._held.core.request_id
        self._more_in_core = False
        self._held.release()

    async def close(self, timeout_seconds: float) -> None:
        """Close in order, or by force after `timeout_seconds` and a margin. Idempotent."""
        if self._held.loop.is_closed():
            self.is_over = True
            self._release()
            return
        self._held.check_owner()
        if not self.is_over:
            core = self._live()
            core.close()
            if not await self._held.is_left_within(timeout_seconds):
                core.abort()
                self._pump()
                self._finish(None)
                self._wake_reader()
        await self._held.reap()

    def dispose(self, error: NovaSonicError | None = None) -> None:
        """Reset the stream and let go of everything, now."""
        if self._held.core is not None:
            self._held.core.abort()
        self._finish(error)
        self._release()
        self._wake_reader()

    def abandon(self) -> bool:
        """As `dispose`, from a finalizer: any thread, any moment. Returns whether the stream was still open."""
        return not self.is_over and self._held.abandon(self.dispose)
