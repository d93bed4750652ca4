"""Leave for two streams of one conversation at once, asked of a caller who counts them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from novasonic._threads import in_thread
from novasonic._toolrun import report
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from novasonic import _core
    from novasonic._attachment import Attachment

__all__ = ["MayOverlap", "Overlap", "OverlapEnded", "require_overlap"]

MayOverlap: TypeAlias = Callable[[], bool | Awaitable[bool]]
OverlapEnded: TypeAlias = Callable[[], None]

log = logging.getLogger("novasonic.session")


def require_overlap(may: object, ended: object) -> None:
    if may is not None and not callable(may):
        raise ConfigError(
            f"may_overlap is a {type(may).__name__}.",
            code="invalid_may_overlap",
            cure="Give a callable without arguments that returns a bool, or None.",
        )
    if ended is None:
        return
    if not callable(ended) or inspect.iscoroutinefunction(ended):
        shown = "coroutine function" if callable(ended) else type(ended).__name__
        raise ConfigError(
            f"overlap_ended is a {shown}.",
            code="invalid_overlap_ended",
            cure="Give a plain function without arguments that returns at once; it may start a task.",
        )
    if may is None:
        raise ConfigError(
            "overlap_ended is given without may_overlap, so it would never be called.",
            code="invalid_overlap_ended",
            cure="Give may_overlap too.",
        )


class Overlap:
    """Asks the caller of one session, and tells once for each leave that was given when it is over.

    For the loop's thread.
    """

    __slots__ = ("_ended", "_granted", "_may", "_thinks")

    def __init__(self, may: MayOverlap | None = None, ended: OverlapEnded | None = None) -> None:
        self._may = may
        self._ended = ended
        self._granted = False
        self._thinks = False

    def ask(self, held: Attachment[_core.Session], request_id: int) -> None:
        """Answer the core's question from a task. While the last one is still thought about, the answer is no."""
        if self._thinks or self._may is None:
            _answer(held, request_id, may=False)
            return
        self._thinks = True
        held.own(self._ask(held, request_id, self._may), f"novasonic-may-overlap-{request_id}")

    async def _ask(self, held: Attachment[_core.Session], request_id: int, may: MayOverlap) -> None:
        granted = False
        try:
            granted = bool(await self._asked(may))
        except Exception as error:
            log.error("may_overlap failed, so the old stream is closed first: %s", report(error))  # noqa: TRY400 - a traceback would quote values
        finally:
            self._thinks = False
        if _answer(held, request_id, may=granted):
            self._granted = granted
        elif granted:
            # The core did not wait for so long.
            self._tell()

    async def _asked(self, may: MayOverlap) -> object:
        if inspect.iscoroutinefunction(may) or inspect.iscoroutinefunction(type(may).__call__):
            answer = may()
        else:
            thread = in_thread(may)
            try:
                await asyncio.wait([thread])
            except asyncio.CancelledError:
                # The session is over. The thread is not, and may give leave yet.
                thread.add_done_callback(self._too_late)
                raise
            answer = thread.result()
        return await answer if inspect.isawaitable(answer) else answer

    def _too_late(self, thread: asyncio.Future[bool | Awaitable[bool]]) -> None:
        if thread.cancelled() or thread.exception() is not None:
            return
        answer = thread.result()
        if answer and not inspect.isawaitable(answer):
            self._tell()

    def over(self) -> None:
        """Tell that one stream is left, or none: what was granted is not needed any more."""
        if self._granted:
            self._granted = False
            self._tell()

    def _tell(self) -> None:
        if self._ended is None:
            return
        try:
            self._ended()
        except Exception as error:
            log.error("overlap_ended failed: %s", report(error))  # noqa: TRY400 - likewise


def _answer(held: Attachment[_core.Session], request_id: int, *, may: bool) -> bool:
    return held.core is not None and held.core.answer_overlap(request_id, may)
