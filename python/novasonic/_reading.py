"""Iteration for one reader at a time."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, TypeVar

from novasonic.exceptions import ConcurrencyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ReaderSlot", "second_reader_error"]

T = TypeVar("T")


class ReaderSlot(Generic[T]):
    """Gives out one iterator, and the next when that one is gone or at its end."""

    __slots__ = ("_iterator",)

    def __init__(self) -> None:
        self._iterator: weakref.ref[_Iterator[T]] | None = None

    def take(
        self, owner: object, step: Callable[[], Awaitable[T]], refusal: Callable[[], ConcurrencyError]
    ) -> AsyncIterator[T]:
        """Return an iterator over `step`, which keeps `owner` alive.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds one.
        """
        if self._is_taken():
            raise refusal()
        iterator = _Iterator(owner, step)
        self._iterator = weakref.ref(iterator)
        return iterator

    def _is_taken(self) -> bool:
        # Not in `take`: the error raised there would keep the frame, and so the iterator, for as long as it is kept.
        iterator = None if self._iterator is None else self._iterator()
        return iterator is not None and not iterator.at_end


class _Iterator(AsyncIterator[T]):
    __slots__ = ("__weakref__", "_owner", "_step", "at_end")

    def __init__(self, owner: object, step: Callable[[], Awaitable[T]]) -> None:
        self._owner = owner
        self._step = step
        # Told apart from being gone: the error that ended it keeps its frames, and so this, for as long as it is kept.
        self.at_end = False

    async def __anext__(self) -> T:
        # Not every error is the last word: a session is read on after what its feed() met.
        self.at_end = False
        try:
            return await self._step()
        except ConcurrencyError:
            raise
        except Exception:
            self.at_end = True
            raise


def second_reader_error(noun: str, instead: str = "") -> ConcurrencyError:
    """Return what a second reader raises; `instead` goes on with what else there is to do."""
    return ConcurrencyError(
        f"Another task reads this {noun} already.",
        code="second_reader",
        cure=f"Let one task iterate and hand events on{instead}.",
    )
