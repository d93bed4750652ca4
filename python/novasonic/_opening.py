"""Something to be opened, which can be awaited or entered."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

__all__ = ["Opening"]


class _Closable(Protocol):
    async def aclose(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closable)


class Opening(AbstractAsyncContextManager[Opened], Generic[Opened]):
    """Await it, and close what you get; or enter it."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened: Opened | None = None

    @abstractmethod
    async def _open(self) -> Opened: ...

    def __await__(self) -> Generator[Any, None, Opened]:
        return self._open().__await__()

    async def __aenter__(self) -> Opened:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            await opened.aclose()
        except Exception:
            # What the body raised says more than what its cleaning up met.
            if error is None:
                raise
