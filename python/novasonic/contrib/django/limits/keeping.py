"""How one process keeps its conversations' leases: asks the store, renews, and goes on when Redis is lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from .memory import MemoryStore
from .redis import BATCH, RedisStore
from .store import Bounds, Claim, Entry, PoolCount, StoreLost, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["Holder", "Loss", "Office", "Snapshot"]

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
"""So often a lost Redis is asked whether it is back."""
POLL_SECONDS: Final = 0.5
"""So often who waits in line asks for its turn; a lease given back in the same process wakes at once."""
EXTRA_SECONDS: Final = 120.0
"""A renewal that took so long has failed: its second lease is given back."""
MAX_OWED: Final = 10_000
"""Settlements kept for a lost Redis; beyond these the oldest are forgotten."""

Loss = Literal["lost", "usd", "minutes"]
_R = TypeVar("_R")


@dataclass(slots=True, eq=False)
class Holder:
    """One conversation of this process. `spent` and `held_ms` say what it used since this process has it."""

    claim: Claim
    on_loss: Callable[[Loss], None]
    """Called once, when a newer generation has the conversation or its budget is used up."""
    spent: int = 0
    began: float | None = None
    usd_before: int = 0
    ms_before: int = 0
    extra_since: float = 0.0
    counted: bool = False
    """Whether anything may be counted for it."""
    told: bool = False
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def update(self) -> Claim:
        """Bring the claim to what was used until now."""
        elapsed = 0 if self.began is None else round((time.monotonic() - self.began) * 1000)
        self.claim.usd, self.claim.ms = self.usd_before + self.spent, self.ms_before + elapsed
        return self.claim

    def lose(self, why: Loss) -> None:
        """Tell whoever holds the conversation, once."""
        if not self.told:
            self.told = True
            self.on_loss(why)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process knows of the limits, as of its last beat."""

    conversations: int
    """Of this process."""
    waiting: int
    """Of this process, in line."""
    pools: dict[str, PoolCount]
    """By account and region: of all processes with Redis, of this one without."""
    refusals: dict[str, int]
    """By reason, since the process began."""
    redis: Literal["off", "up", "down"]
    owed: int
    """Settlements that wait for Redis."""


class Office:
    """Keeps the leases of one process and event loop.

    What Redis grants is noted in the process's own store too; that is what decides while Redis is lost, with an even
    share of the streams. Nothing runs while nobody talks: the beat begins with the first conversation and ends with
    the last, and so does the connection.
    """

    def __init__(self, redis_url: str | None = None, local: MemoryStore | None = None) -> None:
        self._shared = RedisStore(redis_url) if redis_url else None
        self._local = local or MemoryStore()
        self._down = False
        self._retry_at = 0.0
        self._holders: dict[str, Holder] = {}
        self._entering = 0
        self._waiting: dict[Holder, None] = {}
        self._owed: deque[Claim] = deque(maxlen=MAX_OWED)
        self._pools: dict[str, PoolCount] = {}
        self._refusals: Counter[str] = Counter()
        self._beating: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[Any]] = set()

    def snapshot(self) -> Snapshot:
        """Return what is known without asking anybody."""
        redis: Literal["off", "up", "down"] = "off" if self._shared is None else "down" if self._down else "up"
        return Snapshot(
            len(self._holders), len(self._waiting), dict(self._pools), dict(self._refusals), redis, len(self._owed)
        )

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refusals[reason] += 1

    async def enter(self, holder: Holder, per_process: int) -> Entry | None:
        """Count a conversation; None: this process is full.

        Whatever comes of it, `leave` has to be called.
        """
        claim = holder.claim
        before = self._holders.get(claim.id)
        if before is None and len(self._holders) + self._entering >= per_process:
            return None
        # Cancelled from here on, nobody knows whether it was counted.
        holder.counted = True
        self._entering += 1
        try:
            entry = await self._enter(claim)
        finally:
            self._entering -= 1
        # A Redis that was lost meanwhile may have counted what this process then refused: it is told to forget it.
        holder.counted = entry.refused is None or self._down
        if entry.refused is None:
            if before is not None and before.claim.generation < claim.generation:
                # Within one process nobody has to wait for a beat to learn it.
                before.lose("lost")
            holder.usd_before, holder.ms_before = claim.usd, claim.ms
            self._holders[claim.id] = holder
            if self._beating is None:
                self._beating = asyncio.create_task(self._beat_on(), name="novasonic-limits-beat")
        return entry

    async def _enter(self, claim: Claim) -> Entry:
        await self._look_for_redis()
        entry = await self._on_redis(lambda redis: redis.enter(claim))
        if entry is None:
            return await self._local.enter(claim)
        if entry.refused is None:
            await self._local.enter(_noted(claim))
        return entry

    async def take(self, holder: Holder, pool: str, size: int, *, wait: bool = False, ticket: int = 0) -> Taken:
        """Ask once for a lease; ``queued`` keeps a place in line for some seconds."""
        claim = holder.claim
        taken = await self._on_redis(lambda redis: redis.take(claim, pool, size, wait=wait, ticket=ticket))
        if taken is None:
            return await self._local.take(claim, pool, self._share(size), wait=wait, ticket=ticket)
        if taken.state == "granted":
            await self._local.take(claim, pool, _ENDLESS, wait=False)
        elif taken.state == "lost" and self._holders.get(claim.id) is holder:
            # Redis was emptied since `enter`, or somebody has taken over: the beat tells which.
            await self._beat([holder])
            if not holder.told:
                return Taken("settling", ticket=ticket)
        return taken

    async def wait(
        self, holder: Holder, pool: str, size: int, told: Callable[[int], Coroutine[Any, Any, None]] | None
    ) -> Taken:
        """Stand in line until there is a lease, or the conversation is lost; the caller bounds the time.

        Args:
            holder: Who waits.
            pool: For a lease of which account and region.
            size: How many it has.
            told: Is given the position whenever it changes, 0 for the turn that came; None: no line, only until Redis
                has settled.
        """
        position = ticket = 0
        self._waiting[holder] = None
        try:
            while True:
                holder.freed.clear()
                taken = await self.take(holder, pool, size, wait=told is not None, ticket=ticket)
                if taken.state not in ("queued", "settling"):
                    if told is not None and position:
                        await told(0)
                    return taken
                ticket = taken.ticket or ticket
                if told is not None and taken.position != position and taken.position:
                    position = taken.position
                    await told(position)
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await holder.freed.wait()
                except TimeoutError:
                    pass
        finally:
            del self._waiting[holder]
            if holder.claim.pool is None:
                self._run(self._leave_line(replace(holder.claim), pool))

    async def _leave_line(self, claim: Claim, pool: str) -> None:
        await self._local.leave_line(claim, pool)
        await self._on_redis(lambda redis: redis.leave_line(claim, pool))

    async def take_extra(self, holder: Holder, size: int) -> bool:
        """Take a second lease for the conversation's next stream; False: the present one has to end first."""
        claim = holder.claim
        if claim.pool is None:
            return False
        holder.extra_since = time.monotonic()
        granted = await self._on_redis(lambda redis: redis.take_extra(claim, size))
        return await self._local.take_extra(claim, self._share(size)) if granted is None else granted

    def drop_extra(self, holder: Holder) -> None:
        """Give the second lease back, soon."""
        if holder.claim.extra:
            holder.claim.extra = False
            self._run(self._drop_extra(replace(holder.claim)))

    async def _drop_extra(self, claim: Claim) -> None:
        await self._local.drop_extra(claim)
        await self._on_redis(lambda redis: redis.drop_extra(claim))
        self._wake()

    async def leave(self, holder: Holder, *, keep: bool = False) -> None:
        """Settle and give back what the conversation had; of several calls the first counts.

        Args:
            holder: Who leaves.
            keep: It is about to go on elsewhere: its lease is left to expire.
        """
        claim = replace(holder.update())
        if self._holders.get(claim.id) is holder:
            del self._holders[claim.id]
        if holder.counted:
            holder.counted = False
            await self._local.leave(replace(claim), keep=keep)
            if self._shared is not None:
                await self._settle(claim, keep=keep)
            self._wake()
        await self._rest_if_idle()

    async def lend(self, claim: Claim, pool: str, size: int) -> Holder | str:
        """Lend a lease out for ``claim.seconds``, or return why not; `leave` gives it back before its time."""
        holder = Holder(claim, lambda _: None, counted=True)
        try:
            entry = await self._enter(claim)
            if entry.refused is not None:
                # As in `enter`: what a Redis counted that was lost meanwhile, nobody else gives back.
                holder.counted = self._down
                await self.leave(holder)
                return entry.refused
            taken = await self.wait(holder, pool, size, None)
            if taken.state != "granted":
                await self.leave(holder)
                return "streams"
            await self._rest_if_idle()
        except BaseException:
            await self.leave(holder)
            raise
        return holder

    async def _rest_if_idle(self) -> None:
        if not self._holders and not self._entering:
            await self._rest()

    async def _settle(self, claim: Claim, *, keep: bool = False) -> None:
        if await self._on_redis(lambda redis: redis.leave(claim, keep=keep)) is None:
            self._owed.append(claim)

    async def _rest(self) -> None:
        """Stop what runs for conversations: there are none."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.wait({beating})
        if self._errands:
            await asyncio.wait(set(self._errands))
        self._pools.clear()
        if self._shared is not None and not self._holders:
            await self._on_redis(lambda redis: redis.sign_off())
            await self._shared.aclose()

    async def _beat_on(self) -> None:
        while True:
            try:
                await self._beat(list(self._holders.values()))
            except Exception:
                # Without beats every lease of this process ends in seconds.
                logger.exception("A beat of the limits failed")
            await asyncio.sleep(RETRY_SECONDS if self._down else BEAT_SECONDS)

    async def _beat(self, holders: Sequence[Holder]) -> None:
        now = time.monotonic()
        for holder in holders:
            if holder.claim.extra and now - holder.extra_since > EXTRA_SECONDS:
                self.drop_extra(holder)
        pools = list(dict.fromkeys(holder.claim.pool for holder in holders if holder.claim.pool is not None))
        reached, counts = await self._beat_for([], pools, ask=self._shared is not None)
        self._pools = counts
        for start in range(0, len(holders), BATCH):
            reached, _ = await self._beat_for(holders[start : start + BATCH], [], ask=reached)
            await asyncio.sleep(0)  # hundreds in one step would be late for their own audio
        if reached:
            await self._find_redis()

    async def _beat_for(
        self, holders: Sequence[Holder], pools: Sequence[str], *, ask: bool
    ) -> tuple[bool, dict[str, PoolCount]]:
        # A beat for one that has left since would bring its lease back: from here to the asking of Redis nothing waits.
        present = [holder for holder in holders if self._holders.get(holder.claim.id) is holder]
        claims = [holder.update() for holder in present]
        alone = self._shared is None or self._down
        news, counts = await self._local.beat(claims if alone else [_noted(claim) for claim in claims], pools)
        if ask and self._shared is not None:
            try:
                news, counts = await self._shared.beat(claims, pools)
            except StoreLost as lost:
                self._lose_redis(lost)
                ask = False
        for holder, told in zip(present, news, strict=True):
            if told.state != "held":
                holder.lose(told.state)
        return ask, counts

    async def _on_redis(self, ask: Callable[[RedisStore], Coroutine[Any, Any, _R]]) -> _R | None:
        """Ask Redis; None: there is none, or it is lost."""
        if self._shared is not None and not self._down:
            try:
                return await ask(self._shared)
            except StoreLost as lost:
                self._lose_redis(lost)
        return None

    async def _look_for_redis(self) -> None:
        """Look whether a lost Redis is back, where no beat does."""
        if self._down and self._beating is None and time.monotonic() >= self._retry_at:
            await self._beat([])

    def _lose_redis(self, lost: StoreLost) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if not self._down:
            self._down = True
            logger.warning("Redis is lost (%s); this process keeps to its share of the limits until it is back.", lost)

    async def _find_redis(self) -> None:
        """Go on with Redis: it knows this process's holders again."""
        if self._down:
            self._down = False
            logger.warning("Redis is back; the limits are counted there again.")
        while self._owed and not self._down:
            await self._settle(self._owed.popleft())

    def _share(self, size: int) -> int:
        """Return what this process may take of `size` by itself."""
        workers = 1 if self._shared is None else max(self._shared.workers, 1)
        return max(size // workers, 1)

    def _wake(self) -> None:
        for holder in self._waiting:
            holder.freed.set()

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand, name="novasonic-limits-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


_ENDLESS: Final = 2**31


def _noted(claim: Claim) -> Claim:
    """Return the claim as the process's own store notes what Redis decided: without bounds."""
    return replace(claim, bounds=Bounds(reserve=claim.bounds.reserve))
