"""The event loop's side of an emulator: takes its notices and runs a Python brain's turns as tasks.

The loop holds the host (through ``add_reader``) and the host the core; neither holds the `Emulator` that the user
holds, so that one can be collected.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Any

from novasonic.config import Message
from novasonic.emulator.turn import Brain, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from novasonic import _core

logger = logging.getLogger("novasonic.emulator")

# One callback of the loop starts at most this many turns.
MAX_BATCH = 256


class BrainHost:
    """Serves one core emulator on the loop that made it."""

    def __init__(self, core: _core.Emulator, brain: Brain | None, on_log: Callable[[str], None] | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._core = core
        self._fd = core.fd
        self._brain = brain
        self._on_log = on_log
        self._turns: dict[int, tuple[Turn, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop.add_reader(self._fd, self._pump)

    def _pump(self) -> None:
        notices, lines, more = self._core.drain(MAX_BATCH)
        if more:
            self.loop.call_soon(self._pump)
        self._log(lines)
        for kind, turn_id, *rest in notices:
            match kind:
                case "turn":
                    self._start(turn_id, *rest)
                case "cancel":
                    self._cancel(turn_id)
                case "tool_result" if turn_id in self._turns:
                    self._turns[turn_id][0]._deliver(*rest)  # noqa: SLF001 - the other half of Turn

    def _log(self, lines: list[str]) -> None:
        for line in lines:
            logger.info("%s", line)
            if self._on_log is not None:
                self._on_log(line)

    def _start(
        self,
        turn_id: int,
        caller: tuple[int, str],
        text: str | None,
        pcm: bytes,
        rate: int,
        output_rate: int,
        voice: str,
        system: str,
        history: list[tuple[Any, str]],
        tools: list[str],
        tool_choice: str | None,
    ) -> None:
        turn = Turn(
            self._core,
            turn_id,
            stream_id=caller[0],
            account=caller[1],
            text=text,
            pcm=pcm,
            rate=rate,
            output_rate=output_rate,
            voice=voice,
            system=system,
            history=tuple(Message(role, said) for role, said in history if said.strip()),
            tools=tuple(tools),
            tool_choice=tool_choice,
        )
        task = self.loop.create_task(self._run(turn_id, turn), name=f"emulator brain, turn {turn_id}")
        self._turns[turn_id] = (turn, task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel(self, turn_id: int) -> None:
        if turn_id in self._turns:
            turn, task = self._turns.pop(turn_id)
            turn._end()  # noqa: SLF001 - the other half of Turn
            task.cancel()

    async def _run(self, turn_id: int, turn: Turn) -> None:
        try:
            if self._brain is not None:
                await self._brain(turn)
            await turn._done()  # noqa: SLF001 - the other half of Turn
        except Exception as error:
            where = _where(error)
            # Not the message: it may quote what was said.
            logger.error("EMULATOR, not AWS: the brain failed in turn %d: %s", turn_id, where)  # noqa: TRY400
            await turn._failed(where)  # noqa: SLF001 - the other half of Turn
        finally:
            self._turns.pop(turn_id, None)

    async def aclose(self) -> None:
        """Cancel and await all turns, stop the core, let go of its descriptor."""
        tasks = list(self._tasks)
        self.abandon()
        # The last lines are of the streams that have just ended.
        self._log(self._core.drain(0)[1])
        await asyncio.gather(*tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Do the same without awaiting anybody; for an emulator that nobody closed."""
        self.loop.remove_reader(self._fd)
        for turn, task in list(self._turns.values()):
            turn._end()  # noqa: SLF001 - the other half of Turn
            task.cancel()
        self._turns.clear()
        self._core.stop()


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{place}"
