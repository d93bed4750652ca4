"""What the workers share on Redis: one connection pool for each event loop, opened late and bounded in time."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ImproperlyConfigured

from novasonic.contrib.django.conf import get_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

__all__ = ["SHARED_SECONDS", "STARTED_AT", "attempt", "held_redis", "key", "open_redis", "stop", "worker_id"]

logger = logging.getLogger(__name__)

# A Redis or a layer that takes longer is as good as gone: conversations go on without it.
SHARED_SECONDS: Final = 0.5
STARTED_AT: Final = time.time()
"""When this process came up (wall clock): orders from before were meant for another with its number."""

_held: dict[asyncio.AbstractEventLoop, Any] = {}


def worker_id() -> str:
    """Name this process among all workers: host and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def key(*parts: object) -> str:
    """Name a Redis key; all of ours about workers have one hash tag, so that a cluster keeps them together."""
    return ":".join(["novasonic:{workers}", *map(str, parts)])


def _connect(url: str) -> Any:
    try:
        # Optional, and not there where types are checked.
        redis = importlib.import_module("redis.asyncio")
        retry = importlib.import_module("redis.asyncio.retry").Retry(
            importlib.import_module("redis.backoff").NoBackoff(), 1
        )
    except ImportError as error:
        raise ImproperlyConfigured(
            'NOVASONIC["REDIS_URL"] is set but the package "redis" is not installed: pip install redis.'
        ) from error
    # Once more, for a connection of the pool may have died unnoticed; redis-py's own ten times last for seconds.
    bounds = {"socket_timeout": SHARED_SECONDS, "socket_connect_timeout": SHARED_SECONDS}
    return redis.Redis.from_url(url, **bounds, retry=retry)


async def stop(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
    """Cancel tasks until they have ended, and return what each ended with."""
    pending = set(tasks)
    while pending:
        # Over and over: redis-py loses a cancellation that meets a wait for a connection.
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=SHARED_SECONDS)
    return await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def held_redis() -> AsyncIterator[None]:
    """Keep one pool open for this loop, which `open_redis` then uses; does nothing without ``REDIS_URL``."""
    url = get_settings().redis_url
    loop = asyncio.get_running_loop()
    if url is None or loop in _held:
        yield
        return
    _held[loop] = redis = _connect(url)
    try:
        yield
    finally:
        # Not another's: the last conversation may end while the next one begins.
        if _held.get(loop) is redis:
            del _held[loop]
        await redis.aclose()


@asynccontextmanager
async def open_redis() -> AsyncIterator[Any]:
    """Give a client of ``NOVASONIC["REDIS_URL"]``, or None where there is no such setting.

    Connecting happens at the first command; each takes half a second at most.
    """
    url = get_settings().redis_url
    if url is None:
        yield None
    elif (held := _held.get(asyncio.get_running_loop())) is not None:
        yield held
    else:
        redis = _connect(url)
        try:
            yield redis
        finally:
            await redis.aclose()


async def attempt(what: str, doing: Awaitable[Any], default: Any = None, *, seconds: float = SHARED_SECONDS) -> Any:
    """Await something on Redis or the layer; where it fails or takes too long, say so in the log and go on.

    Neither is the truth about anything: what they carry is also found out by other means, only later.
    """
    try:
        async with asyncio.timeout(seconds):
            return await doing
    except Exception as error:
        logger.warning("%s did not work: %s", what, type(error).__name__)
        return default
