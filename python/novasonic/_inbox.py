"""What came and nobody has read yet. Audio that must not be heard any more leaves it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from novasonic.events import AudioOutput

if TYPE_CHECKING:
    from novasonic.events import Event

__all__ = ["Inbox"]


class Inbox:
    """A queue for the loop's thread, unbounded in itself: who fills it asks for its length first."""

    __slots__ = ("_hushed_turn", "_interrupted_turn", "_latest_turn", "_queue", "purged_audio_ms")

    def __init__(self) -> None:
        self.purged_audio_ms = 0
        self._queue: deque[Event | Exception] = deque()
        self._latest_turn = 0
        self._hushed_turn = 0
        self._interrupted_turn = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def audio_ms(self) -> int:
        """Audio that waits."""
        return sum(map(_audio_ms, self._queue))

    @property
    def unread(self) -> tuple[Event | Exception, ...]:
        """All that waits, in order."""
        return tuple(self._queue)

    def put(self, item: Event | Exception) -> None:
        """Append an event, or an error to be raised in its place."""
        if not isinstance(item, Exception) and item.turn is not None:
            self._latest_turn = max(self._latest_turn, item.turn)
            if isinstance(item, AudioOutput) and item.turn <= self._hushed_turn:
                self.purged_audio_ms += _audio_ms(item)
                return
        self._queue.append(item)

    def get(self) -> Event:
        """Return the next event, or raise the error that stands in its place."""
        item = self._queue.popleft()
        if isinstance(item, Exception):
            raise item
        return item

    def hush(self) -> None:
        """Drop audio of every turn that has begun: what waits and what is on its way."""
        self._hushed_turn = self._latest_turn
        self._purge(None)

    def interrupted(self, turn: int) -> None:
        """Drop what waits of `turn`, once; the core has dropped what it held."""
        if turn > self._interrupted_turn:
            self._interrupted_turn = turn
            self._purge(turn)

    def _purge(self, turn: int | None) -> None:
        kept: deque[Event | Exception] = deque()
        for item in self._queue:
            if isinstance(item, AudioOutput) and turn in (None, item.turn):
                self.purged_audio_ms += _audio_ms(item)
            else:
                kept.append(item)
        self._queue = kept


def _audio_ms(item: Event | Exception) -> int:
    return round(item.seconds * 1000) if isinstance(item, AudioOutput) else 0
