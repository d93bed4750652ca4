"""Tasks that wait on a session: for room to send, for a turn to begin, for the end of a turn."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SendLine", "TokenWaiters", "TurnWaiters"]

Chunk = TypeVar("Chunk")


class SendLine(Generic[Chunk]):
    """Senders that wait for room, first come, first served.

    `take` hands a chunk over and returns whether there was room; what it raises goes to the sender.
    """

    __slots__ = ("_take", "_waiting")

    def __init__(self, take: Callable[[Chunk], bool]) -> None:
        self._take = take
        self._waiting: deque[tuple[asyncio.Future[None], Chunk]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def send(self, chunk: Chunk) -> None:
        """Hand `chunk` over in its turn. Cancelled, it was taken whole or not at all."""
        if not self._waiting and self._take(chunk):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((waiter, chunk))
        try:
            await waiter
        except asyncio.CancelledError:
            # The next in line may be smaller and fit already.
            self.admit()
            raise

    def admit(self) -> None:
        """Let in whom there is room for, from the head of the line."""
        while self._waiting:
            waiter, chunk = self._waiting[0]
            # Done means cancelled: nothing of that chunk is taken any more.
            if not waiter.done():
                try:
                    if not self._take(chunk):
                        return
                except Exception as error:
                    waiter.set_exception(error)
                else:
                    waiter.set_result(None)
            self._waiting.popleft()


class TurnWaiters:
    """Who waits for which turn to end."""

    __slots__ = ("_last_ended", "_waiting")

    def __init__(self, *, first: int = 1) -> None:
        self._last_ended = first - 1
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def is_over(self, turn: int) -> bool:
        """Whether `turn` or a later one has ended."""
        return turn <= self._last_ended

    async def wait(self, turn: int) -> None:
        """Wait for the end of `turn` or of a later one."""
        waiter = asyncio.get_running_loop().create_future()
        entry = (turn, waiter)
        self._waiting.append(entry)
        try:
            await waiter
        finally:
            self._waiting.remove(entry)

    def over(self, turn: int) -> None:
        """Tell that `turn` has ended."""
        self._last_ended = max(self._last_ended, turn)
        for awaited, waiter in self._waiting:
            if awaited <= turn and not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell all who still wait that their turn will not end."""
        for _turn, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)


class TokenWaiters:
    """Who waits for the core's word about something handed over under a token: the turn that a prompt begins."""

    __slots__ = ("_last_token", "_waiting")

    def __init__(self) -> None:
        self._last_token = 0
        self._waiting: dict[int, asyncio.Future[int]] = {}

    async def begin(self, send: Callable[[int], None]) -> int:
        """Hand something over under a new token and return the core's word on it."""
        self._last_token += 1
        token = self._last_token
        send(token)
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[token] = waiter
        try:
            return await waiter
        finally:
            del self._waiting[token]

    def tell(self, token: int, word: int = 0, error: Exception | None = None) -> None:
        """Pass on what the core says about `token`, or why nothing came of it."""
        waiter = self._waiting.get(token)
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(word)
        else:
            waiter.set_exception(error)

    def fail(self, error: Exception) -> None:
        """Tell all who still wait that no word will come."""
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(error)
