"""A conversation of a handler, from the page's first message to the end: the one task that owns it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import novasonic

from . import wire
from .companion import Companion, Refused
from .wire import CloseCode

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .handler import VoiceHandler

logger = logging.getLogger(__name__)

# How often one socket may go from handler to handler before it is told that nobody can take it.
MAX_SUCCESSIONS = 3
# For each companion at the end: what it has not done by then, a lease's own end or the next start does.
WIND_UP_SECONDS = 5.0


class Life:
    """Introduces, opens, relays and winds up."""

    def __init__(self, handler: VoiceHandler) -> None:
        self._handler = handler
        self._began: list[Companion] = []

    async def run(self) -> None:
        """Hold the conversation; cancelled, it ends the session and tells everybody."""
        handler = self._handler
        reason = "gone"
        error: Exception | None = None
        successor: type[VoiceHandler] | None = None
        try:
            await self._introduce()
            await handler.wanted.wait()
            for companion in handler.companions:
                await companion.admit()
            session = await handler.get_client().connect(**await self._arguments())
            try:
                for companion in handler.companions:
                    await companion.opened(session)
                await handler.open(session)
                reason = await handler.relay.run(session)
            finally:
                # The relay may have found that the page is gone just before whoever holds the socket cancels this.
                await to_its_end(session.aclose())
            await handler.finish(CloseCode.NORMAL, reason=reason)
        except (Refused, novasonic.NovaSonicError) as failure:
            reason, error = "refused" if isinstance(failure, Refused) else "error", failure
            successor = await self._fail(failure)
        except Exception as failure:
            reason, error = "error", failure
            logger.exception("A hook of %s or the relay failed", type(handler).__name__)
            await handler.finish(CloseCode.SERVICE_FAILED, "server_error", "Something went wrong on this server.")
        finally:
            handler.session = None
            await to_its_end(self._wind_up(handler.end_reason or reason, error))
        if successor is not None:
            # Only now: what this one held is free again, and nobody hangs up on it any more.
            handler.give_way(successor)

    async def _introduce(self) -> None:
        handler, conversation = self._handler, self._handler.conversation
        await handler.prepare()
        conversation.owner = await handler.get_owner()
        conversation.region = handler.chosen.region
        handler.companions = tuple(handler.get_companions())
        for companion in handler.companions:
            self._began.append(companion)
            await companion.begin()
        if handler.chosen.resume_token is not None and conversation.generation == 1:
            raise Refused(CloseCode.NOT_ALLOWED, "resume_unavailable", "Conversations of this site cannot be resumed.")
        name = str(conversation.id)
        await handler.tell(wire.initialized(name, handler.input_rate, handler.output_rate, conversation.resume_token))
        if conversation.generation > 1:
            await handler.tell(wire.resumed(name, conversation.first_turn - 1))

    async def _arguments(self) -> dict[str, Any]:
        handler, conversation = self._handler, self._handler.conversation
        tools = await handler.get_tools()
        for companion in handler.companions:
            tools = companion.tools(tools)
        arguments: dict[str, Any] = {
            "model": handler.get_model(),
            "system": handler.chosen.system or await handler.get_system_prompt(),
            "voice": handler.chosen.voice or handler.voice,
            "input_rate": handler.input_rate,
            "output_rate": handler.output_rate,
            "turn_taking": handler.turn_taking,
            "max_tokens": handler.max_tokens,
            "top_p": handler.top_p,
            "temperature": handler.temperature,
            "tools": tools,
            "tool_choice": handler.tool_choice,
            "tool_limits": handler.tool_limits,
            "context": handler.get_context(),
            "first_turn": conversation.first_turn,
            "history": conversation.history if conversation.generation > 1 else await handler.get_history(),
            "continuation": handler.continuation,
            "limits": handler.limits,
            "realtime": handler.realtime,
        }
        for companion in handler.companions:
            arguments |= companion.settings()
        return arguments

    async def _fail(self, failure: Refused | novasonic.NovaSonicError) -> type[VoiceHandler] | None:
        """Tell the page; or return the handler that is to have its socket."""
        handler = self._handler
        if not isinstance(failure, Refused):
            logger.warning("The conversation failed (%s, request %s): %s", failure.code, failure.request_id, failure)
        if handler.session is None:
            match await self._ask_site(failure):
                case str(text):
                    await handler.tell(wire.spoken(text, handler.conversation.first_turn))
                case type() as kind if handler.successions < MAX_SUCCESSIONS:
                    return kind
        close, code, message = _words(failure)
        await handler.finish(close, code, message, retryable=failure.retryable)
        return None

    async def _ask_site(self, failure: Refused | novasonic.NovaSonicError) -> str | type[VoiceHandler] | None:
        try:
            return await self._handler.on_unavailable(failure)
        except Exception:
            # The page waits for a word all the same.
            logger.exception("A hook of %s failed where no conversation opened", type(self._handler).__name__)
            return None

    async def _wind_up(self, reason: str, error: Exception | None) -> None:
        handler = self._handler
        for companion in reversed(self._began):
            try:
                async with asyncio.timeout(WIND_UP_SECONDS):
                    await companion.ended(reason, error)
            except Exception:
                logger.exception("%s failed at the end of a conversation", type(companion).__name__)
        try:
            if error is not None and not isinstance(error, Refused):
                await handler.on_error(error)
            await handler.on_end(reason, error)
        except Exception:
            logger.exception("A hook of %s failed at the end of a conversation", type(handler).__name__)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` whole: a page that goes while its conversation is hung up cancels a second time."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _words(failure: Refused | novasonic.NovaSonicError) -> tuple[CloseCode, str, str]:
    """Choose what a page may know: whether to try again, never what is wrong with this server's account."""
    match failure:
        case Refused():
            return failure.close, failure.code, failure.message
        case novasonic.ThrottledError():
            return CloseCode.NO_CAPACITY, "no_capacity", "Too many people are talking right now. Try again soon."
        case _ if failure.retryable:
            return CloseCode.SERVICE_FAILED, "service_failed", "The voice service failed. Try again."
        case _:
            return CloseCode.SERVICE_FAILED, "service_refused", "The voice service cannot be used at the moment."
