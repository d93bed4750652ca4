"""Who is talking where: the companion that makes a conversation known, and what is asked and ordered across workers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from novasonic import events
from novasonic.contrib.asgi.companion import Companion

from . import fence, messages, supervisor
from .drain import is_draining, order, send_away
from .resumption import Resumption
from .revocation import Subject
from .shared import attempt, key, open_redis

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    import novasonic

__all__ = [
    "LiveConversation",
    "Supervision",
    "Worker",
    "close_user",
    "conversations",
    "drain_worker",
    "hang_up",
    "workers",
]


class Supervision(Companion):
    """Makes the conversation known to this process and, over Redis and the layer, to all; last of the companions."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self._supervisor: supervisor.Supervisor | None = None
        self._live: supervisor.Live | None = None

    async def begin(self) -> None:
        """Come under supervision."""
        handler = self.handler
        resumption: Resumption | None = handler.companion(Resumption)
        self._live = supervisor.Live(
            handler=handler,
            conversation=self.conversation,
            subject=Subject.of(handler.user, handler.scope),
            token=_none if resumption is None else resumption.token,
            burn=_nothing if resumption is None else resumption.burn,
            started_at=time.time(),
        )
        self._supervisor = supervisor.present()
        await self._supervisor.add(self._live)

    def tools(self, tools: Sequence[novasonic.Tool]) -> Sequence[novasonic.Tool]:
        """Return `tools` such that none runs once another worker has taken the conversation over."""
        return fence.fenced(tools, self.still_held)

    async def still_held(self) -> bool:
        """Look up whether this worker still holds the conversation; hang up where it does not."""
        if await fence.holds(self.conversation):
            return True
        if self._supervisor is not None and self._live is not None:
            self._supervisor.overtaken(self._live)
        return False

    def event(self, event: events.Event) -> None:
        """Know whether a turn runs."""
        if isinstance(event, events.TurnStarted) and self._live is not None:
            self._live.turn = event.turn or self._live.turn
            self._live.in_turn = True

    async def turn_ended(self, event: events.TurnEnded) -> None:
        """Send the page elsewhere, where this worker is being drained."""
        if self._live is not None and self._supervisor is not None:
            self._live.in_turn = False
            if is_draining():
                self._supervisor.spawn(send_away(self._live))

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """Leave supervision."""
        if self._supervisor is not None and self._live is not None:
            await self._supervisor.remove(self._live)


def _none() -> None:
    """Stand in for the tokens of a conversation that cannot be resumed."""


async def _nothing() -> None:
    """Stand in for burning them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConversation:
    """A conversation that some worker holds."""

    id: str
    worker: str
    owner: str | None
    user: str | None
    """Primary key of the user, where it is one of Django's."""
    generation: int
    region: str | None
    started_at: float
    """When this worker got it, in seconds since 1970."""
    turn: int
    """The last one that began on this worker."""
    in_turn: bool

    @property
    def started(self) -> datetime:
        """When this worker got it."""
        return datetime.fromtimestamp(self.started_at, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that holds conversations."""

    id: str
    draining: bool
    conversations: tuple[LiveConversation, ...]


async def workers() -> list[Worker]:
    """Return the workers that hold conversations: all of them with Redis or a layer, else this process."""
    states = await _listed()
    if states is None:
        states = await messages.ask({"do": "status"})
    own = supervisor.state_here()
    known = {state["worker"]: state for state in states}
    if own["conversations"]:
        known[own["worker"]] = own
    return [_worker(known[name]) for name in sorted(known)]


async def conversations() -> list[LiveConversation]:
    """Return the conversations that run now, the oldest first; see `workers`."""
    held = [one for worker in await workers() for one in worker.conversations]
    return sorted(held, key=lambda one: one.started_at)


async def hang_up(conversation_id: uuid.UUID | str) -> bool:
    """End a conversation, whichever worker holds it; it cannot be resumed.

    Returns:
        False where no worker answers that it holds it.
    """
    return bool(await messages.ask({"do": "hang_up", "id": str(conversation_id)}, enough=bool))


async def drain_worker(worker: str, seconds: float) -> bool:
    """Have a worker send its conversations elsewhere, within `seconds`, and take no new ones.

    Returns:
        False where it neither answers nor will find the order on Redis.
    """
    noted = await order(worker, seconds)
    answers = await messages.ask({"do": "drain", "worker": worker, "seconds": seconds}, enough=bool)
    return noted or bool(answers)


async def close_user(user_pk: Any) -> None:
    """Close all sockets of a user, on every worker."""
    await messages.broadcast({"do": "close_user", "user": str(user_pk)})


async def _listed() -> list[dict[str, Any]] | None:
    async with open_redis() as redis:
        return None if redis is None else await attempt("Listing the workers", _read_list(redis))


async def _read_list(redis: Any) -> list[dict[str, Any]]:
    names = sorted(name.decode() for name in await redis.smembers(key("list")))
    if not names:
        return []
    states = await redis.mget([key("worker", name) for name in names])
    if gone := [name for name, state in zip(names, states, strict=True) if state is None]:
        await redis.srem(key("list"), *gone)
    return [json.loads(state) for state in states if state is not None]


def _worker(state: dict[str, Any]) -> Worker:
    known = {field.name for field in fields(LiveConversation)}
    # Another version may be at work beside this one, while a site is deployed.
    held = [{name: value for name, value in one.items() if name in known} for one in state["conversations"]]
    return Worker(
        id=state["worker"],
        draining=state["draining"],
        conversations=tuple(LiveConversation(**one, worker=state["worker"]) for one in held),
    )
