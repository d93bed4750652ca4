"""Emptying a worker before it is stopped: no new conversations, the present ones sent elsewhere between two turns."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from typing import TYPE_CHECKING, Any, Final

from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.companion import Refused
from novasonic.contrib.asgi.wire import CloseCode

from .shared import STARTED_AT, attempt, key, open_redis, worker_id

if TYPE_CHECKING:
    from .supervisor import Live, Supervisor

__all__ = ["is_draining", "mark", "order", "ordered", "refuse_if_draining", "run", "send_away"]

logger = logging.getLogger(__name__)

# So that the pages of a worker do not all knock at the others' at once.
SPREAD_MS: Final = 1_000
# An order outlives the drain, for a worker that holds no conversation reads it only when one begins.
_ORDER_SECONDS: Final = 600

# Of the process that is drained: a child forked later is another worker.
_draining_pid: int | None = None


def is_draining() -> bool:
    """Say whether this process takes no new conversations."""
    return _draining_pid == os.getpid()


def mark() -> bool:
    """Take no new conversations from now on. False: it was so already."""
    global _draining_pid
    if is_draining():
        return False
    _draining_pid = os.getpid()
    logger.info("This worker (%s) is being drained", worker_id())
    return True


async def refuse_if_draining() -> None:
    """Let no conversation begin on a worker that is being drained.

    Raises:
        Refused: It is; another takes the page at once.
    """
    if not is_draining() and await ordered() is not None:
        mark()
    if is_draining():
        raise Refused(CloseCode.NO_CAPACITY, "draining", "This server is about to restart. Try again.", retryable=True)


async def order(worker: str, seconds: float) -> bool:
    """Leave the order to drain `worker` on Redis. False: there is no Redis, or it does not answer."""
    async with open_redis() as redis:
        if redis is None:
            return False
        value = json.dumps({"at": time.time(), "seconds": seconds})
        return bool(await attempt("Ordering a drain", redis.set(key("drain", worker), value, ex=_ORDER_SECONDS)))


async def ordered() -> float | None:
    """Look up whether this worker is to be drained, and within how many seconds."""
    async with open_redis() as redis:
        value = None if redis is None else await attempt("Looking for orders", redis.get(key("drain", worker_id())))
    if value is None:
        return None
    found: dict[str, Any] = json.loads(value)
    # An older one was for the process that had this number before.
    return float(found["seconds"]) if found["at"] >= STARTED_AT else None


async def run(supervisor: Supervisor, seconds: float) -> None:
    """Send the present conversations elsewhere: those between two turns now, the others when their turn ends.

    What is left after `seconds` is cut off; its pages resume as if the worker had died.
    """
    for live in list(supervisor.live):
        if not live.in_turn:
            supervisor.spawn(send_away(live))
    try:
        async with asyncio.timeout(seconds):
            await supervisor.empty.wait()
    except TimeoutError:
        for live in list(supervisor.live):
            supervisor.close(live, CloseCode.RESTART, None, "", reason="reconnect")


async def send_away(live: Live) -> None:
    """Tell a page to go on elsewhere, and close its socket."""
    if live.leaving:
        return
    live.leaving = True
    after_ms = random.randrange(SPREAD_MS)  # noqa: S311 - spreads a load, guards nothing
    await live.handler.tell(wire.reconnect(after_ms, live.token()))
    await live.handler.hang_up(CloseCode.RESTART, None, "", reason="reconnect", retryable=True)
