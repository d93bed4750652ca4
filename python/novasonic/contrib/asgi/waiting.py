"""What a page sends while its conversation still opens, in order and in bounds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

# A recording comes whole, before the stream is open; the guard bounds what a microphone may send.
MAX_AUDIO_MS = 30_000
MAX_MESSAGES = 64


class Waiting:
    """A queue of a page's messages; `rate` is that of its audio in Hz."""

    def __init__(self, rate: int) -> None:
        self._messages: deque[bytes | wire.ClientMessage] = deque()
        self._audio_bytes = 0
        self._others = 0
        self._most_bytes = rate * MAX_AUDIO_MS // 1000 * wire.BYTES_PER_SAMPLE

    def keep(self, message: bytes | wire.ClientMessage) -> bool:
        """Keep `message`; False: it is audio beyond the bound, and was not taken.

        Raises:
            wire.WireError: Too many other messages.
        """
        match message:
            case bytes():
                size = len(message)
            case wire.AudioChunk():
                size = len(message.pcm)
            case _:
                size = 0
        if size and self._audio_bytes + size > self._most_bytes:
            return False
        if not size and self._others >= MAX_MESSAGES:
            raise wire.WireError("too_many_messages", "Wait for the first answer before sending more.")
        self._messages.append(message)
        self._audio_bytes += size
        self._others += not size
        return True

    def drain(self) -> Iterator[bytes | wire.ClientMessage]:
        """Yield what waits, first come first; what is kept meanwhile comes too."""
        while self._messages:
            yield self._messages.popleft()
        self._audio_bytes = self._others = 0
