"""The one feed of a session: the task that sends a source, and who is told what it met."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from novasonic._feed import feed
from novasonic.exceptions import AudioFormatError, ConcurrencyError, NovaSonicError

if TYPE_CHECKING:
    from novasonic._bridge import Bridge
    from novasonic._feed import AudioSource

__all__ = ["Feeding"]


class Feeding:
    """Lets one source at a time speak. Holds the bridge and not the session, which an abandoned feed must not keep."""

    __slots__ = ("_bridge", "_rate", "_task")

    def __init__(self, bridge: Bridge, *, rate: int) -> None:
        self._bridge = bridge
        self._rate = rate
        self._task: asyncio.Task[None] | None = None

    def start(self, source: AudioSource, *, realtime: bool) -> asyncio.Task[None]:
        """Start the task.

        Raises:
            ConcurrencyError: ``code="second_feed"``: another one is still running; or as `Bridge.core`.
            NovaSonicError: As `Bridge.core`.
        """
        self._bridge.core()
        if self._task is not None and not self._task.done():
            raise ConcurrencyError(
                "This session is being fed already.",
                code="second_feed",
                cure="Await or cancel the task of the first feed(); two sources cannot share one microphone.",
            )
        work = _run(self._bridge, source, rate=self._rate, realtime=realtime)
        self._task = self._bridge.held.own(work, f"novasonic-feed-{self._bridge.id}")
        self._task.add_done_callback(_retrieve)
        return self._task


def _retrieve(task: asyncio.Task[None]) -> None:
    # The reader is told; asyncio need not complain about a task that nobody awaited.
    if not task.cancelled():
        task.exception()


async def _run(bridge: Bridge, source: AudioSource, *, rate: int, realtime: bool) -> None:
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
        await feed(source, rate=rate, realtime=realtime, send=send)
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
