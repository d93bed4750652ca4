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
    """Gives out one iterator, and the next when that one is gone."""

    __slots__ = ("_iterator",)

    def __init__(self) -> None:
        self._iterator: weakref.ref[_Iterator[T]] | None = None

    def take(self, owner: object, step: Callable[[], Awaitable[T]], noun: str) -> AsyncIterator[T]:
        """Return an iterator over `step`, which keeps `owner` alive.

        Raises:
            ConcurrencyError: ``code="second_reader"``: somebody else holds one.
        """
        if self._iterator is not None and self._iterator() is not None:
            raise second_reader_error(noun)
        iterator = _Iterator(owner, step)
        self._iterator = weakref.ref(iterator)
        return iterator


class _Iterator(AsyncIterator[T]):
    __slots__ = ("__weakref__", "_owner", "_step")

    def __init__(self, owner: object, step: Callable[[], Awaitable[T]]) -> None:
        self._owner = owner
        self._step = step

    async def __anext__(self) -> T:
        return await self._step()


def second_reader_error(noun: str) -> ConcurrencyError:
    """Return what a second reader raises."""
    return ConcurrencyError(
        f"Another task reads this {noun} already.",
        code="second_reader",
        cure="Let one task iterate and hand events on.",
    )
