"""What is done for a conversation beside it, one thing after the other: late rows, signals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

__all__ = ["Errands"]

logger = logging.getLogger(__name__)

MAX_ERRANDS = 1_000
END_SECONDS = 2.0
_Errand: TypeAlias = Callable[[], Awaitable[object]]


class Errands:
    """Runs errands in order, in one task; one that fails is logged and the next is run."""

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: asyncio.Queue[_Errand | None] = asyncio.Queue(MAX_ERRANDS)
        self._task: asyncio.Task[None] | None = None

    def add(self, errand: _Errand) -> None:
        """Run `errand` after those before it; beyond a thousand that wait it is dropped and counted."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="novasonic-records-errands")
        try:
            self._waiting.put_nowait(errand)
        except asyncio.QueueFull:
            self.dropped += 1

    async def finish(self) -> None:
        """Run what waits, two seconds long at most."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._waiting.put(None)
                await asyncio.shield(self._task)
        except TimeoutError:
            logger.warning(
                "What was to be done after a conversation took too long; %d are left.", self._waiting.qsize()
            )
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while (errand := await self._waiting.get()) is not None:
            try:
                await errand()
            except Exception as error:
                # No traceback: its frames hold what was said.
                logger.error("Something beside a conversation failed: %s", type(error).__name__)  # noqa: TRY400
