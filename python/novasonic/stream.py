"""The lower door, for frameworks that speak the service's own language."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from novasonic._attachment import abandon_loudly
from novasonic._opening import Opening
from novasonic._reading import ReaderSlot
from novasonic._stream import StreamBridge, second_reader
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from novasonic import _core
    from novasonic._credentials import CredentialsProvider
    from novasonic.exceptions import NovaSonicError

__all__ = ["OpeningStream", "RawStream", "StreamBuffers", "StreamStats"]

RawEvent: TypeAlias = dict[str, Any] | bytes | bytearray | memoryview | str

# A gigabyte: above that it is a mistake.
_MAX_BUFFER_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class StreamBuffers:
    """How many bytes of JSON may wait in a raw stream; each event counts 64 more for what holds it.

    Args:
        input: Events not yet sent. When full, ``try_send`` takes nothing and ``send`` waits. The default is 30 s of
            16 kHz audio.
        output: Events not yet read. When full, the stream reads no further from the service; the last event may
            exceed it. The default is 120 s of 24 kHz audio.

    Raises:
        ConfigError: ``code="invalid_buffers"``: not a whole number above 0.
    """

    input: int = 2 * 2**20
    output: int = 8 * 2**20

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_BUFFER_BYTES:
                raise ConfigError(
                    f"StreamBuffers.{name} is {value!r}.",
                    code="invalid_buffers",
                    cure=f"Give bytes: a whole number above 0 and at most {_MAX_BUFFER_BYTES}.",
                )


# Twin of `RawStats` in src/session/raw.rs; tests/test_twins.py compares the fields.
@dataclass(frozen=True, slots=True)
class StreamStats:
    """One snapshot of a raw stream.

    Attributes:
        queued_input_bytes: Events that wait to be sent.
        queued_output_bytes: Events that nobody read yet.
        sent_events: Events that the connection took.
        sent_bytes: Their JSON.
        received_events: Events received.
        received_bytes: Their JSON.
        refused_events: Events for which ``try_send`` returned False.
        dropped_events: Events that came during ``aclose`` and found the buffer full.
        wakeups: Wake-ups of the event loop.
    """

    queued_input_bytes: int
    queued_output_bytes: int
    sent_events: int
    sent_bytes: int
    received_events: int
    received_bytes: int
    refused_events: int
    dropped_events: int
    wakeups: int


class RawStream:
    """One stream to the service, from `NovaSonic.open_stream`: events as they are on the wire, nothing interpreted.

    Order, pace, silence, the 8-minute limit and what events mean are yours. Connections, signatures, credentials,
    bounds and errors are those of a session. Iterate over it for events; one reader at a time. It belongs to the
    event loop that opened it; every method raises ConcurrencyError from another loop or thread and ForkError in a
    child process.
    """

    __slots__ = ("__weakref__", "_bridge", "_close_timeout", "_readers")

    def __init__(self, bridge: StreamBridge, *, close_timeout: float) -> None:
        self._bridge = bridge
        self._close_timeout = close_timeout
        self._readers: ReaderSlot[dict[str, Any]] = ReaderSlot()

    def __repr__(self) -> str:
        state = "open" if not self._bridge.is_over else "closed" if self.error is None else self.error.code
        return f"<novasonic.RawStream {self.id} {state}>"

    def __del__(self) -> None:
        # Absent where __init__ never ran.
        bridge: StreamBridge | None = getattr(self, "_bridge", None)
        if bridge is not None:
            abandon_loudly(self, bridge.abandon, "`async with client.open_stream(...)` or `await stream.aclose()`")

    @property
    def id(self) -> str:
        """A UUID of our own, for logs."""
        return self._bridge.id

    @property
    def request_id(self) -> str | None:
        """The service's id of this stream, which AWS support asks for; None before response headers."""
        return self._bridge.request_id

    @property
    def error(self) -> NovaSonicError | None:
        """What ended the stream, or None while it lives and where it ended well."""
        return self._bridge.error

    def stats(self) -> StreamStats:
        """Return a snapshot of the counters; the last one once the stream has ended."""
        return StreamStats(**self._bridge.stats())

    async def opened(self) -> None:
        """Wait for the service's response headers, which it sends only after the first event.

        Never needed: reading and sending raise what went wrong too. Cancelling is safe.

        Raises:
            NovaSonicError: As `NovaSonic.connect` does.
        """
        await self._bridge.opened()

    async def send(self, event: RawEvent) -> None:
        """Send one event, waiting while the buffer is full.

        Cancelling is safe: the event was taken whole or not at all. Tasks that wait are served in order.

        Args:
            event: ``{"event": {name: {...}}}``, sent as compact JSON; or its JSON, sent as it is, unchecked.

        Raises:
            ValidationError: ``code="event_too_large"``: above 1,000,000 bytes, which is the service's limit, or
                larger than the buffer. ``code="empty_event"``: nothing.
            TypeError: Not an event, or a dict that JSON cannot hold.
            ValueError: The dict holds NaN, an infinity or itself.
            SessionClosedError: The input or the stream has ended.
            NovaSonicError: What ended the stream.
        """
        await self._bridge.send(_json(event))

    def try_send(self, event: RawEvent) -> bool:
        """Send one event if it fits now.

        Args:
            event: As for `send`.

        Returns:
            False where the buffer is full or other tasks wait for room; then nothing was taken.

        Raises:
            NovaSonicError: As `send`.
        """
        return self._bridge.try_send(_json(event))

    async def end_input(self) -> None:
        """End our side of the stream, behind everything sent and everything that waits to be sent.

        The service then ends its own side when it has said all, which ends the iteration. There is no bound on that:
        use ``asyncio.timeout``, or `aclose`. Idempotent; cancelled, the input has been ended or goes on.

        Raises:
            NovaSonicError: What ended the stream.
        """
        if not self._bridge.is_over or self.error is not None:
            await self._bridge.send(None)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Return the stream's one iterator; leave the loop over it before you begin another.

        It gives events as dicts, unknown ones too. It stops where the service ended the stream after `end_input` or
        your ``sessionEnd``, or after `aclose`; any other end is raised: StreamLostError for a reset, a lost connection
        or an end before ours, the service's exceptions as `NovaSonic.connect` has them, ServiceError
        (``code="bad_event"``) for an event that is no JSON object. Cancelling a pending step is safe: no event is lost.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds an iterator of this stream.
        """
        return self._readers.take(self, self._bridge.next_event, second_reader)

    async def aclose(self) -> None:
        """End the input, wait for the service to end its side, and reset the stream after ``Timeouts.close``.

        What waits to be sent is sent first. Idempotent and silent. A task that reads gets what was received, then its
        iteration stops. Cancelled, the close goes on by itself.
        """
        await self._bridge.close(self._close_timeout)


class OpeningStream(Opening[RawStream]):
    """A raw stream to be opened: await it, or enter it."""

    __slots__ = ("_client", "_close_timeout", "_provider", "_settings")

    def __init__(
        self, client: _core.Client, provider: CredentialsProvider | None, settings: dict[str, Any], close_timeout: float
    ) -> None:
        super().__init__()
        self._client = client
        self._provider = provider
        self._settings = settings
        self._close_timeout = close_timeout

    async def _open(self) -> RawStream:
        # No wait for headers: the service sends them only after the first event, which is the caller's to send.
        bridge = StreamBridge(self._client.open_stream(**self._settings), provider=self._provider)
        return RawStream(bridge, close_timeout=self._close_timeout)


def _json(event: RawEvent) -> bytes:
    if isinstance(event, dict):
        return json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return event.encode()
    if isinstance(event, (bytearray, memoryview)):
        return bytes(event)
    raise TypeError(f"an event is a dict or its JSON as bytes or str, not {type(event).__name__}")
