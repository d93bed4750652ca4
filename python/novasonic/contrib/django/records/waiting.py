"""Rows that wait for the writer, and whoever waits for them."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .rows import Row

__all__ = ["Backlog", "Entry", "Waiter", "call_on"]


@dataclass(slots=True)
class Waiter:
    """Somebody on an event loop who goes on when so many rows are settled."""

    loop: asyncio.AbstractEventLoop
    rows: int
    written: asyncio.Future[bool]
    _ok: bool = True

    def settle(self, ok: bool) -> None:
        """Count one row; from the writer's thread."""
        self.rows -= 1
        self._ok = self._ok and ok
        if self.rows == 0:
            self.tell(self._ok)

    def tell(self, ok: bool) -> None:
        """Let them go on; from any thread."""
        call_on(self.loop, self._tell, ok)

    def _tell(self, ok: bool) -> None:
        if not self.written.done():
            self.written.set_result(ok)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, and who waits for it."""

    row: Row
    waiter: Waiter | None
    chars: int


@dataclass(slots=True)
class Backlog:
    """Entries in order, and how much they are. Not for two threads at once."""

    entries: deque[Entry] = field(default_factory=deque)
    chars: int = 0
    waiting: int = 0
    """How many have somebody who waits."""

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, entry: Entry) -> None:
        """Put one at the end."""
        self.entries.append(entry)
        self.chars += entry.chars
        self.waiting += entry.waiter is not None

    def first(self, count: int) -> list[Entry]:
        """Return the oldest, which stay."""
        return list(islice(self.entries, count))

    def remove(self, count: int) -> None:
        """Take the oldest away."""
        for _ in range(count):
            entry = self.entries.popleft()
            self.chars -= entry.chars
            self.waiting -= entry.waiter is not None


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *args: Any) -> None:
    """Call `function` on `loop` from another thread."""
    with suppress(RuntimeError):  # the loop is closed, and who waited went with it
        loop.call_soon_threadsafe(function, *args)
