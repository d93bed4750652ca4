"""What one event loop's conversations share: the ear on the layer, the clock, the entry in the list of workers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.conf import get_settings

from . import drain, fence, layer, revocation
from .shared import SHARED_SECONDS, attempt, held_redis, key, open_redis, stop, worker_id

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable, Coroutine

    from novasonic.contrib.asgi.companion import Conversation

__all__ = ["LISTED_SECONDS", "Live", "Supervisor", "all_here", "overtaken", "present", "state_here"]

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
# A tick that comes this much late: the process was stopped, or the machine asleep, and others may have gone on.
FROZEN_SECONDS: Final = 2.0
PUBLISH_SECONDS: Final = 5.0
LISTED_SECONDS: Final = 15
"""How long a worker that died is still listed."""

_supervisors: dict[asyncio.AbstractEventLoop, Supervisor] = {}


@dataclass(slots=True, kw_only=True, eq=False)
class Live:
    """A conversation that this process holds."""

    handler: Any
    conversation: Conversation
    subject: revocation.Subject
    token: Callable[[], str | None]
    """Gives a resume token."""
    burn: Callable[[], Awaitable[None]]
    """Makes those that were given worthless."""
    started_at: float
    turn: int = 0
    in_turn: bool = False
    recheck_at: float = 0.0
    leaving: bool = False

    def state(self) -> dict[str, Any]:
        """Return what the list of conversations says about it."""
        return {
            "id": str(self.conversation.id),
            "owner": self.conversation.owner,
            "user": self.subject.user_pk,
            "generation": self.conversation.generation,
            "region": self.conversation.region,
            "started_at": self.started_at,
            "turn": self.turn,
            "in_turn": self.in_turn,
        }


class Supervisor:
    """Serves the conversations of one loop; begins with the first and ends with the last."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.live: set[Live] = set()
        self.empty = asyncio.Event()
        self._joined = asyncio.Event()
        self._stack = AsyncExitStack()
        self._services: list[asyncio.Task[None]] = []
        self._spawned: set[asyncio.Task[Any]] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._rechecking: asyncio.Task[Any] | None = None
        self._changed = True
        self._publish_at = 0.0
        self._channel: str | None = None

    async def add(self, live: Live) -> None:
        """Take a conversation under supervision; returns when it can be reached."""
        self.live.add(live)
        self._changed = True
        if not self._services:
            self._services.append(asyncio.create_task(self._tick(), name="novasonic-supervisor"))
            if layer.between_workers() is None:
                self._joined.set()
            else:
                self._services.append(asyncio.create_task(self._listen(), name="novasonic-orders"))
            await self._stack.enter_async_context(held_redis())
        # What is said to this worker before it listens is said to nobody; a layer that fails is not waited for.
        if not self._joined.is_set():
            await asyncio.wait({joined := asyncio.create_task(self._joined.wait())}, timeout=SHARED_SECONDS)
            joined.cancel()

    async def remove(self, live: Live) -> None:
        """Let go of a conversation that is over; after the last nothing is left running."""
        self.live.discard(live)
        self._changed = True
        if self.live or _supervisors.get(self.loop) is not self:
            return
        # First of all, so that a conversation that begins meanwhile gets one of its own.
        del _supervisors[self.loop]
        self.empty.set()
        await stop(self._services)
        if self._rechecking is not None:
            await asyncio.wait({self._rechecking}, timeout=SHARED_SECONDS)
        if (others := layer.between_workers()) is not None and self._channel is not None:
            await attempt("Leaving the other workers", others.group_discard(layer.GROUP, self._channel))
        await attempt("Taking this worker off the list", self._publish())
        await self._stack.aclose()
        if self._threads is not None:
            closing = self.loop.run_in_executor(self._threads, connections.close_all)
            self._threads.shutdown(wait=False)
            await attempt("Closing the database connection of the re-check", closing)

    def spawn(self, doing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that may outlive the conversation it ends, and so must not be waited for by it."""
        task = self.loop.create_task(doing)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    def find(self, conversation_id: uuid.UUID | str) -> list[Live]:
        """Return the handles of a conversation: two for a moment, where it is resumed on the worker it was on."""
        return [live for live in self.live if str(live.conversation.id) == str(conversation_id)]

    def obey(self, order: dict[str, Any]) -> Any:
        """Carry out an order from this or another worker, and return its answer; None: there is none."""
        match order.get("do"):
            case "hang_up":
                found = self.find(order["id"])
                for live in found:
                    self.spawn(self._end(live, CloseCode.NORMAL, "hung_up", "The site has ended this conversation."))
                return True if found else None
            case "close_user":
                for live in [one for one in self.live if one.subject.user_pk == order["user"]]:
                    self.revoke(live)
            case "user_changed":
                for live in [one for one in self.live if one.subject.user_pk == order["user"]]:
                    if not order["active"] or live.subject.auth not in order["auth"]:
                        self.revoke(live)
            case "taken_over":
                for live in self.find(order["id"]):
                    if live.conversation.generation < order["generation"]:
                        fence.took_over_here(live.conversation.id, order["generation"])
                        self.overtaken(live)
            case "drain" if order["worker"] == worker_id():
                self.drain(order["seconds"])
                return {"worker": worker_id(), "conversations": len(self.live)}
            case "status":
                return state_here()
        return None

    def close(self, live: Live, code: CloseCode, error: str | None, words: str, *, reason: str) -> None:
        """Hang up on a page, in a task of its own."""
        self.spawn(live.handler.hang_up(code, error, words, reason=reason))

    def revoke(self, live: Live) -> None:
        """Hang up on who may not talk any more."""
        self.spawn(self._end(live, CloseCode.NOT_SIGNED_IN, "signed_out", "You are not signed in any more."))

    async def _end(self, live: Live, code: CloseCode, error: str, words: str) -> None:
        # First: the page, told that it is over, must not find its token good in the moment after.
        await live.burn()
        await live.handler.hang_up(code, error, words, reason="closed")

    def overtaken(self, live: Live) -> None:
        """Hang up on a page that has gone on elsewhere."""
        self.close(live, CloseCode.TAKEN_OVER, "taken_over", "This conversation goes on elsewhere.", reason="reconnect")

    def drain(self, seconds: float) -> None:
        """Take no new conversation, and send the present ones elsewhere."""
        if drain.mark():
            self._changed = True
            self.spawn(drain.run(self, seconds))

    async def _listen(self) -> None:
        others = layer.between_workers()
        self._channel = await others.new_channel()
        joined = False
        while True:
            try:
                if not joined:
                    await others.group_add(layer.GROUP, self._channel)
                    joined = True
                    self._joined.set()
                order = await others.receive(self._channel)
            except Exception as error:
                # redis-py 8 gives up a wait of five seconds, which channels_redis makes over and over, at its very end.
                if type(error).__name__ != "TimeoutError":
                    logger.warning("The channel layer failed: %s; listening again", type(error).__name__)
                    joined = False
                    await asyncio.sleep(TICK_SECONDS)
            else:
                if order.get("from") != worker_id():
                    await self._answer(others, order)

    async def _answer(self, others: Any, order: dict[str, Any]) -> None:
        try:
            answer = self.obey(order)
        except (KeyError, TypeError) as error:
            # Of another version, while a site is deployed; the next must be heard all the same.
            logger.warning("An order of another worker was not understood: %s", type(error).__name__)
            return
        if answer is not None and (channel := order.get("reply")) is not None:
            await attempt(
                "Answering another worker", others.send(channel, {"type": "novasonic.answer", "answer": answer})
            )

    async def _tick(self) -> None:
        while True:
            before = self.loop.time()
            await asyncio.sleep(TICK_SECONDS)
            if self.loop.time() - before > TICK_SECONDS + FROZEN_SECONDS:
                logger.warning("This process stood still; looking up which conversations it still holds")
                self.spawn(self._verify(list(self.live)))
            await self._look_for_drain()
            if self._changed or self.loop.time() >= self._publish_at:
                self._changed = False
                self._publish_at = self.loop.time() + PUBLISH_SECONDS
                await attempt("Listing this worker", self._publish())
                await self._stay_joined()
            self._recheck()

    async def _look_for_drain(self) -> None:
        seconds = None if drain.is_draining() else await drain.ordered()
        if seconds is not None:
            self.drain(seconds)

    async def _stay_joined(self) -> None:
        # A Redis that was restarted knows no groups; those of channels_redis expire after a day besides.
        if (others := layer.between_workers()) is not None and self._joined.is_set() and self._channel is not None:
            await attempt("Joining the other workers", others.group_add(layer.GROUP, self._channel))

    async def _publish(self) -> None:
        async with open_redis() as redis:
            if redis is None:
                return
            name, index = key("worker", worker_id()), key("list")
            if self.live:
                async with redis.pipeline() as pipe:
                    await pipe.set(name, json.dumps(state_here()), ex=LISTED_SECONDS).sadd(index, worker_id()).execute()
            else:
                async with redis.pipeline() as pipe:
                    await pipe.delete(name).srem(index, worker_id()).execute()

    async def _verify(self, held: list[Live]) -> None:
        for live in held:
            if not await fence.holds(live.conversation) and live in self.live:
                self.overtaken(live)

    def _recheck(self) -> None:
        now = self.loop.time()
        due = [live for live in self.live if live.recheck_at <= now]
        if due and (self._rechecking is None or self._rechecking.done()):
            self._rechecking = self.spawn(self._recheck_these(due))

    async def _recheck_these(self, due: list[Live]) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "novasonic-recheck")
        pause = get_settings().recheck_seconds
        verdicts = await self.loop.run_in_executor(self._threads, revocation.check, [one.subject for one in due])
        for live, verdict in zip(due, verdicts, strict=True):
            if live in self.live:
                if verdict.revoked:
                    self.revoke(live)
                live.recheck_at = self.loop.time() + min(pause, verdict.seconds_left)
        await self._verify(due)


def present() -> Supervisor:
    """Return the running loop's supervisor."""
    loop = asyncio.get_running_loop()
    known = _supervisors.get(loop)
    if known is None or known.pid != os.getpid():
        known = _supervisors[loop] = Supervisor()
    return known


def all_here() -> list[Supervisor]:
    """Return the supervisors of this process; a child that was forked has none of its parent's."""
    return [one for one in tuple(_supervisors.values()) if one.pid == os.getpid()]


def overtaken(handler: Any) -> None:
    """Hang up on the page of `handler`, which has gone on elsewhere."""
    for one in all_here():
        for live in tuple(one.live):
            if live.handler is handler:
                one.overtaken(live)


def state_here() -> dict[str, Any]:
    """Return what the list of workers says about this process."""
    held = [live.state() for supervisor in all_here() for live in tuple(supervisor.live)]
    return {"worker": worker_id(), "draining": drain.is_draining(), "at": time.time(), "conversations": held}
