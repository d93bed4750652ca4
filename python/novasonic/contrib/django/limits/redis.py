"""The store that processes share: one Lua script on Redis, its commands sent in batches over one connection."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from dataclasses import fields
from importlib import import_module
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.core.exceptions import ImproperlyConfigured

from .store import (
    LEASE_SECONDS,
    LINE_SECONDS,
    MEMORY_SECONDS,
    SETTLE_SECONDS,
    Bounds,
    Claim,
    Entry,
    News,
    PoolCount,
    StoreLost,
    Taken,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

logger = logging.getLogger(__name__)

PREFIX: Final = "{novasonic}"
COMMAND_SECONDS: Final = 0.5
"""How long Redis may take for a batch; one whose connection broke at once is sent once more."""
BATCH: Final = 50
"""Commands of one pipeline: 200 in one were a step of 10 ms of the loop that the audio shares."""
_SLICES: Final = 10


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class RedisStore:
    """Counts on Redis, for one event loop.

    All commands of a process pass through one task that sends whatever waits as one pipeline. So they reach Redis in
    the order they were asked for, a caller may be cancelled at any moment (redis-py loses a cancellation that meets
    its wait for a connection: no caller ever stands there), and a beat of hundreds of leases is a few round trips.
    Every verb of the script may be done twice, hence a batch whose connection broke is simply sent again.
    """

    def __init__(self, url: str) -> None:
        try:
            import_module("redis.asyncio")  # only here: sites without Redis need no redis-py
        except ImportError as error:
            raise ImproperlyConfigured('NOVASONIC["REDIS_URL"] is set: install redis (redis-py).') from error
        self._url = url
        self._client: Any = None
        self._closing: asyncio.Task[None] | None = None
        self._script: str | None = None
        self._queue: list[tuple[str, str, asyncio.Future[dict[str, Any]]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._worker = uuid.uuid4().hex
        self._fresh = count()
        self._epoch: str | None = None
        self.workers = _workers_of_the_server()
        """How many processes take part, as of the last beat."""

    async def enter(self, claim: Claim) -> Entry:
        """Count the conversation, as `Store.enter` says."""
        answer = await self._ask("enter", claim)
        if (refused := answer.get("refused")) is not None:
            return Entry(refused)
        _complete(claim, answer)
        return Entry(None, answer.get("usd_left"), answer.get("ms_left"))

    async def take(self, claim: Claim, pool: str, size: int, *, wait: bool, ticket: int = 0) -> Taken:
        """Take a lease, as `Store.take` says."""
        answer = await self._ask("take", claim, target=pool, size=size, wait=wait, ticket=str(ticket))
        if answer["state"] == "granted":
            claim.pool = pool
        return Taken(answer["state"], answer.get("position", 0), int(answer.get("ticket", ticket)))

    async def take_extra(self, claim: Claim, size: int) -> bool:
        """Take a second lease, as `Store.take_extra` says."""
        answer = await self._ask("take_extra", claim, size=size)
        claim.extra = bool(answer["granted"])
        return claim.extra

    async def drop_extra(self, claim: Claim) -> None:
        """Give the second lease back."""
        claim.extra = False
        await self._ask("drop_extra", claim)

    async def beat(self, claims: Sequence[Claim], pools: Sequence[str]) -> tuple[list[News], dict[str, PoolCount]]:
        """Renew, charge and count, as `Store.beat` says."""
        news: list[News] = []
        for start in range(0, len(claims), BATCH):
            news += await self._beat(claims[start : start + BATCH])
        own = await self._put("worker", None, pools=list(pools))
        self._epoch = self._epoch or own["epoch"]
        self.workers = own["workers"]
        return news, {name: PoolCount(*counts) for name, counts in own["pools"].items()}

    async def _beat(self, claims: Sequence[Claim]) -> list[News]:
        # Their futures stand in the queue together, hence in one pipeline.
        answers = await asyncio.gather(*[self._put("beat", claim) for claim in claims])
        news = []
        for claim, answer in zip(claims, answers, strict=True):
            if answer["state"] != "lost":
                _complete(claim, answer, totals=False)
            news.append(News(answer["state"]))
        return news

    async def leave(self, claim: Claim, *, keep: bool = False) -> bool:
        """Settle and give everything back, as `Store.leave` says; False: a newer generation has it."""
        answer = await self._ask("leave", claim, keep=keep)
        return bool(answer["done"])

    async def leave_line(self, claim: Claim, pool: str) -> None:
        """Stand in this line no more."""
        await self._ask("leave_line", claim, target=pool)

    async def sign_off(self) -> None:
        """Say that this process takes no part any more."""
        await self._put("worker", None, pools=[], leaves=True)

    async def aclose(self) -> None:
        """Close the connection; the store can be used again."""
        sender, client = self._sender, self._client
        if sender is not None:
            await asyncio.wait({sender})
        if client is not None and client is self._client:
            self._client = None
            # By itself: whoever is cancelled here leaves no connection half closed, and who comes next waits for it.
            self._closing = asyncio.create_task(_close(client), name="novasonic-limits-close")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _ask(self, verb: str, claim: Claim, **more: Any) -> dict[str, Any]:
        return await self._put(verb, claim, **more)

    def _put(self, verb: str, claim: Claim | None, **more: Any) -> asyncio.Future[dict[str, Any]]:
        seconds = LEASE_SECONDS if claim is None else claim.seconds
        arguments = {} if claim is None else _told(claim)
        arguments |= {
            "fresh": f"{self._worker}-{next(self._fresh)}",
            "epoch": self._epoch,
            "worker": self._worker,
            "lease_ms": _ms(seconds),
            "line_ms": _ms(LINE_SECONDS),
            "settle_ms": _ms(SETTLE_SECONDS),
            "memory_ms": _ms(MEMORY_SECONDS),
        }
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._queue.append((verb, json.dumps(arguments | more), future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="novasonic-limits-redis")
        return future

    async def _send_all(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                await self._send(batch)
        finally:
            # No wait between the last look at the queue and here: what is put from now on starts another sender.
            self._sender = None
            for _, _, future in self._queue:
                future.cancel()
            self._queue.clear()

    async def _send(self, batch: list[tuple[str, str, asyncio.Future[dict[str, Any]]]]) -> None:
        commands = [(verb, arguments) for verb, arguments, _ in batch]
        began = time.monotonic()
        try:
            try:
                answers = await self._pipe(commands)
            except StoreLost:
                if time.monotonic() - began > COMMAND_SECONDS / 2:
                    raise
                # Redis may have been started anew since the last batch: a connection tells that only when used.
                answers = await self._pipe(commands)
        except StoreLost as lost:
            answers = [lost] * len(batch)
        except BaseException:
            for _, _, future in batch:
                future.cancel()
            raise
        for (verb, _, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, StoreLost):
                future.set_exception(answer)
            elif isinstance(answer, Exception):
                logger.error("Redis refused the limits' script (%s): %s", verb, answer)
                future.set_exception(StoreLost(f"Redis refused the limits' script: {answer}"))
            else:
                future.set_result(json.loads(answer))

    async def _pipe(self, commands: list[tuple[str, str]]) -> list[Any]:
        redis = import_module("redis")
        client = self._client = self._client or _connect(self._url)
        try:
            answers = await _within(COMMAND_SECONDS, self._execute(client, commands))
            if any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
                self._script = None
                answers = await _within(COMMAND_SECONDS, self._execute(client, commands))
        except (OSError, TimeoutError, redis.RedisError) as error:
            self._client = self._script = None
            await _close(client)
            raise StoreLost(f"Redis did not answer: {type(error).__name__}.") from error
        return answers

    async def _execute(self, client: Any, commands: list[tuple[str, str]]) -> list[Any]:
        if self._script is None:
            self._script = await client.script_load(_source())
        pipeline = client.pipeline(transaction=False)
        for verb, arguments in commands:
            pipeline.evalsha(self._script, 1, PREFIX, verb, arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _workers_of_the_server() -> int:
    # What uvicorn, gunicorn and others are told; nothing better is known until Redis has been reached once.
    try:
        return max(int(os.environ.get("WEB_CONCURRENCY", "1")), 1)
    except ValueError:
        return 1


def _connect(url: str) -> Any:
    redis = import_module("redis.asyncio")
    retry = import_module("redis.asyncio.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
    # Its own timeouts would take a busy loop of ours for a slow Redis; `_within` bounds everything it does.
    return redis.Redis.from_url(url, socket_timeout=None, socket_connect_timeout=None, retry=retry, max_connections=2)


_R = TypeVar("_R")
# asyncio keeps no strong reference to a task.
_bounded: set[asyncio.Task[Any]] = set()


async def _within(seconds: float, work: Coroutine[Any, Any, _R]) -> _R:
    """Bound `work` in time, though it may lose the cancellation that a timeout is.

    In slices: what a busy loop of ours is late is not Redis's fault, and costs one slice however long it is.

    Raises:
        TimeoutError: It took longer.
    """
    task = asyncio.create_task(work, name="novasonic-limits-command")
    _bounded.add(task)
    task.add_done_callback(_forget)
    try:
        for _ in range(_SLICES):
            if not task.done():
                await asyncio.wait({task}, timeout=seconds / _SLICES)
    finally:
        task.cancel()
    if not task.done():
        raise TimeoutError
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    _bounded.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio complains of it


async def _close(client: Any) -> None:
    try:
        await _within(COMMAND_SECONDS, client.aclose())
    except Exception as error:
        logger.debug("A connection to Redis did not close: %s", type(error).__name__)


def _source() -> str:
    return files(__package__ or __name__).joinpath("limits.lua").read_text(encoding="utf-8")


# dataclasses.asdict copies deeply, and a beat of hundreds shares its loop with their audio.
_FIELDS: Final = tuple(one.name for one in fields(Claim) if one.name != "bounds")
_BOUNDS: Final = tuple(one.name for one in fields(Bounds))


def _told(claim: Claim) -> dict[str, Any]:
    told = {name: getattr(claim, name) for name in _FIELDS}
    told["bounds"] = {name: getattr(claim.bounds, name) for name in _BOUNDS}
    return told


def _complete(claim: Claim, answer: dict[str, Any], *, totals: bool = True) -> None:
    if totals:
        claim.usd, claim.ms = int(answer["usd"]), int(answer["ms"])
    claim.day = int(answer["day"])
    claim.usd_base, claim.ms_base = int(answer["usd_base"]), int(answer["ms_base"])
