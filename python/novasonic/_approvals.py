"""Calls that wait for a yes: of the page or program through `Session.approve`, or of a callable of the tool's own.

What was not clearly approved is denied: no answer in time, an answer that is not True, an approver that fails.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from novasonic._toolrun import Failed, TimedOut, report, shown_id, within
from novasonic.exceptions import ConfigError
from novasonic.tools import ApprovalRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from novasonic.tools import Approver, Tool, ToolContext

    Announce = Callable[[str, str, dict[str, Any]], object]
    Own = Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]]

__all__ = ["Approvals", "NotApprovedError"]

log = logging.getLogger("novasonic.tools")


class NotApprovedError(Exception):
    """The call must not run. The text is for the model."""


class Approvals:
    """The waiting calls of one session.

    Args:
        seconds: How long each may wait.
        announce: Told of each call that waits for `decide`.
        own: Starts a task and keeps it.
    """

    __slots__ = ("_announce", "_own", "_seconds", "_waiting")

    def __init__(self, seconds: float, announce: Announce | None, own: Own) -> None:
        self._seconds = seconds
        self._announce = announce
        self._own = own
        self._waiting: dict[str, asyncio.Future[bool]] = {}

    def decide(self, call_id: str, approve: bool) -> None:
        """Answer for a waiting call.

        Raises:
            ConfigError: ``code="unknown_approval"``: it does not wait (any more); ``code="invalid_approval"``: the
                answer is neither True nor False.
        """
        if not isinstance(approve, bool):
            # A page's "false" is true to Python.
            raise ConfigError(
                f"approve is a {type(approve).__name__}.", code="invalid_approval", cure="Give True or False."
            )
        # It stays, decided, for `ask`, which may yet come to it.
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.done():
            raise ConfigError(
                "No call of this id waits for approval.",
                code="unknown_approval",
                cure="It was decided already, its time was up, or the session has ended.",
            )
        waiting.set_result(approve)

    def expect(self, call_id: str) -> None:
        """Let `decide` answer for a call before `ask` has come to it."""
        self._waiting.setdefault(call_id, asyncio.get_running_loop().create_future())

    def forget(self, call_id: str) -> None:
        """Let nobody answer for a call any more: it has its result."""
        self._waiting.pop(call_id, None)

    async def ask(self, tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> None:
        """Return once the call is approved.

        Raises:
            NotApprovedError: It is not.
        """
        # A copy: who is shown the arguments must not change what runs.
        request = ApprovalRequest(context.call_id, tool.name, _copy(arguments), context)
        refusal = f"The call of {tool.name} was not approved"
        try:
            if callable(tool.approval):
                approved = await self._by_callable(tool.approval, request)
            else:
                approved = await self._by_decision(request)
        except TimedOut:
            log.warning("Tool %s, call %s: nobody approved in time.", tool.name, shown_id(context.call_id))
            raise NotApprovedError(f"{refusal}: nobody answered in time.") from None
        except Exception as error:
            cause = error.error if isinstance(error, Failed) else error
            log.error("Approval of tool %s, call %s failed: %s", tool.name, shown_id(context.call_id), report(cause))  # noqa: TRY400 - a traceback would quote values
            raise NotApprovedError(f"{refusal}.") from None
        if not approved:
            log.info("Tool %s, call %s: not approved.", tool.name, shown_id(context.call_id))
            raise NotApprovedError(f"{refusal}. Do not call it again unless the user asks.")

    async def _by_callable(self, approver: Approver, request: ApprovalRequest) -> bool:
        async def asked() -> object:
            return await approver(request)

        # Nothing but True: whatever else comes back was not meant as a yes.
        return await within(self._seconds, self._own(asked(), f"novasonic-approval-{request.name}")) is True

    async def _by_decision(self, request: ApprovalRequest) -> bool:
        # Before it is announced: who hears of it may decide at once.
        self.expect(request.id)
        waiting = self._waiting[request.id]
        try:
            if self._announce is not None:
                self._announce(request.id, request.name, request.arguments)
            async with asyncio.timeout(self._seconds):
                return await waiting
        except TimeoutError:
            raise TimedOut(stopped=True) from None


def _copy(arguments: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(arguments))
    return copy
