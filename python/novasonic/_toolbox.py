"""The tools of one session: who may call what, how often, and the one answer that each call gets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from novasonic._approvals import Approvals, NotApprovedError
from novasonic._arguments import ArgumentsError
from novasonic._results import ResultError, encoded, encoded_error
from novasonic._toolrun import Failed, Slot, TimedOut, call, report, shown_id, within
from novasonic.exceptions import ConfigError
from novasonic.tools import Tool, ToolContext, ToolError, ToolLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ToolOutcome", "Toolbox"]

log = logging.getLogger("novasonic.tools")

_MINUTE = 60.0
# Turns whose calls are still counted; late calls of older ones begin anew.
_TURNS_KEPT = 8


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The one answer to a call.

    Attributes:
        result: A JSON object, as text.
        ok: Whether the tool ran and returned.
    """

    result: str = field(repr=False)
    ok: bool


class _Refused(Exception):  # noqa: N818 - reads as what happened
    """The call is not answered by its tool; the text is for the model."""


class Toolbox:
    """Runs the calls of one session. Belongs to one event loop.

    Nothing it logs holds arguments, results or texts of exceptions: they may be what somebody said.

    Args:
        tools: What the model may call.
        limits: What they may take; None: the defaults.
        context: Given to tools as ``ToolContext.state``.
        session_id: Given to tools as ``ToolContext.session_id``.
        on_approval: Called with id, name and a copy of the arguments of a call that waits for `approve`.
        clock: Seconds that only grow, for ``ToolLimits.per_minute``.

    Raises:
        ConfigError: ``code="invalid_tool"``: something is no tool, or two have one name.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        limits: ToolLimits | None = None,
        *,
        context: Any = None,
        session_id: str = "",
        on_approval: Callable[[str, str, dict[str, Any]], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = _by_name(tools)
        self._limits = limits or ToolLimits()
        self._state = context
        self._session_id = session_id
        self._places = asyncio.Semaphore(self._limits.concurrent)
        self._meter = _CallMeter(self._limits, clock)
        self._approvals = Approvals(self._limits.approval_timeout, on_approval, self._own)
        self._answering: dict[str, asyncio.Future[ToolOutcome]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def specs(self) -> list[tuple[str, str, str]]:
        """Name, description and schema (JSON) of each tool, as the service is told."""
        return _specs(self._tools)

    def add(self, tools: Iterable[Tool]) -> list[tuple[str, str, str]]:
        """Take further tools, or others of a name that is here, and return their specs.

        Raises:
            ConfigError: ``code="invalid_tool"``: something is no tool, or two have one name.
        """
        added = _by_name(tools)
        self._tools |= added
        return _specs(added)

    def keep(self, names: Iterable[str]) -> None:
        """Drop all other tools. Their calls that run, or wait, go on."""
        self._tools = {name: self._tools[name] for name in names}

    def is_manual(self, name: str) -> bool:
        """Whether the program answers the calls of `name` itself. False for a tool that is not here."""
        return name in self._tools and self._tools[name].manual

    def needs_approval(self, name: str) -> bool:
        """Whether calls of `name` wait for `approve`. False where a callable of the tool's own decides."""
        return name in self._tools and self._tools[name].approval is True

    def encode(self, result: object) -> str:
        """Return a result that the program gives itself, as `run` would.

        Raises:
            ConfigError: ``code="invalid_tool_result"``: no JSON form, or too long a one.
        """
        try:
            return encoded(result, self._limits.result_bytes)
        except ResultError as error:
            raise ConfigError(f"The tool cannot be answered so: {error}.", code="invalid_tool_result") from error

    def approve(self, call_id: str, approve: bool) -> None:
        """Let a waiting call run, or deny it.

        Raises:
            ConfigError: ``code="unknown_approval"``: no call of this id waits for approval (any more);
                ``code="invalid_approval"``: neither True nor False.
        """
        self._approvals.decide(call_id, approve)

    def expect(self, call_id: str, name: str) -> None:
        """Let `approve` answer for this call from now on: somebody may see it before `run` has come to it."""
        if self.needs_approval(name):
            self._approvals.expect(call_id)

    async def run(self, call_id: str, name: str, arguments_json: str, turn: int | None) -> ToolOutcome:
        """Answer one call. A second of the same id, while the first is answered, waits for that answer.

        Cancelled, it stops what runs and waits for that, a second at most.
        """
        if (first := self._answering.get(call_id)) is not None:
            return await asyncio.shield(first)
        answer: asyncio.Future[ToolOutcome] = asyncio.get_running_loop().create_future()
        self._answering[call_id] = answer
        try:
            outcome = await self._outcome(call_id, name, arguments_json, turn)
            answer.set_result(outcome)
            return outcome
        finally:
            del self._answering[call_id]
            self._approvals.forget(call_id)
            answer.cancel()

    async def _outcome(self, call_id: str, name: str, arguments_json: str, turn: int | None) -> ToolOutcome:
        tool = self._tools.get(name)
        # Not the model's word for a tool we do not have: it may be anything.
        shown = tool.name if tool is not None else "(unknown)"
        try:
            return ToolOutcome(await self._answer(tool, call_id, arguments_json, turn), ok=True)
        except (_Refused, NotApprovedError) as refusal:
            words = str(refusal)
        except ArgumentsError as error:
            # The model is told and mends it; nobody else has to do anything.
            log.info("Tool %s, call %s: the arguments do not fit and were refused.", shown, shown_id(call_id))
            words = f"{error} Correct the call, or ask the user."
        except ResultError as error:
            log.error("Tool %s, call %s: %s.", shown, shown_id(call_id), error)  # noqa: TRY400 - a traceback would quote values
            words = error.for_model
        except TimedOut as error:
            running = "" if error.stopped else " It did not stop when told to, and goes on."
            log.error("Tool %s, call %s: timed out.%s", shown, shown_id(call_id), running)  # noqa: TRY400 - likewise
            words = "The tool took too long. Whether it did anything is not known."
        except Exception as error:
            words = self._failure(shown, call_id, error.error if isinstance(error, Failed) else error)
        return ToolOutcome(encoded_error(words, self._limits.result_bytes), ok=False)

    def _failure(self, name: str, call_id: str, error: BaseException) -> str:
        if isinstance(error, ToolError):
            # Said on purpose, as a result is; no defect.
            log.info("Tool %s, call %s: answered with a ToolError.", name, shown_id(call_id))
            with suppress(Exception):  # its own __str__ is user code like any other
                return str(error) or "The tool failed."
        log.error("Tool %s, call %s failed: %s", name, shown_id(call_id), report(error))
        return "The tool failed. Say that it did not work, and do not make up a result."

    async def _answer(self, tool: Tool | None, call_id: str, arguments_json: str, turn: int | None) -> str:
        # First, so that a loop of refused calls ends as well.
        if not self._meter.admit(turn):
            log.warning("A tool call (%s) was refused: too many in this turn or minute.", shown_id(call_id))
            raise _Refused(
                "Too many tool calls. Do not call any more tools now: answer with what you have, "
                "and say what you could not find out."
            )
        if tool is None:
            log.warning("A call (%s) of a tool that does not exist was refused.", shown_id(call_id))
            raise _Refused(f"There is no such tool. The tools are: {', '.join(self._tools) or 'none'}.")
        if tool.function is None:
            raise _Refused("The tool is not answered here.")
        context = ToolContext(self._session_id, turn, call_id, self._state)
        plain = tool.arguments.read(arguments_json)
        arguments = tool.arguments.typed(plain)
        if tool.approval is not False:
            await self._approvals.ask(tool, context, plain)
        arguments |= dict.fromkeys(tool.arguments.injected, context)
        return encoded(await self._perform(tool, arguments), self._limits.result_bytes)

    # Running.

    async def _perform(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        seconds = tool.timeout or self._limits.timeout
        try:
            # Bounded too: behind threads that hang, the model would wait for an answer for ever.
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            log.error("Tool %s was not run: others ran all the time.", tool.name)  # noqa: TRY400 - nothing to trace
            raise _Refused("The tool is busy and was not called. Try once more later.") from None
        slot = Slot(self._places.release)
        assert tool.function is not None  # noqa: S101 - for mypy: asked before
        task = self._own(call(tool.function, arguments, slot), f"novasonic-tool-{tool.name}")
        task.add_done_callback(slot.let_go)
        return await within(seconds, task)

    def _own(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        # The loop alone would forget one that does not obey.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _CallMeter:
    """Counts calls by turn and by minute."""

    __slots__ = ("_by_turn", "_clock", "_limits", "_times")

    def __init__(self, limits: ToolLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._times: deque[float] = deque()
        self._by_turn: dict[int, int] = {}

    def admit(self, turn: int | None) -> bool:
        """Whether one more call is within the limits; it counts if it is."""
        now = self._clock()
        while self._times and now - self._times[0] >= _MINUTE:
            self._times.popleft()
        in_turn = self._by_turn.get(turn, 0) if turn is not None else 0
        if len(self._times) >= self._limits.per_minute or in_turn >= self._limits.per_turn:
            return False
        self._times.append(now)
        if turn is not None:
            self._by_turn[turn] = in_turn + 1
            while len(self._by_turn) > _TURNS_KEPT:
                del self._by_turn[min(self._by_turn)]
        return True


def _specs(tools: dict[str, Tool]) -> list[tuple[str, str, str]]:
    # Imported by whoever made a tool; a session without tools does not need it.
    import msgspec

    from novasonic._jsonschema import on_the_wire

    return [
        (tool.name, tool.description, msgspec.json.encode(on_the_wire(tool.schema)).decode()) for tool in tools.values()
    ]


def _by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    by_name: dict[str, Tool] = {}
    for tool in tools:
        if not isinstance(tool, Tool):
            raise ConfigError(
                f"tools holds a {type(tool).__name__}.",
                code="invalid_tool",
                cure="Give functions decorated with @novasonic.tool, or Tool.from_schema(...).",
            )
        if tool.name in by_name:
            raise ConfigError(
                f"Two tools are named {tool.name!r}.", code="invalid_tool", cure="Give one tool(name=...)."
            )
        by_name[tool.name] = tool
    return by_name
