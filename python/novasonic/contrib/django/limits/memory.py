"""The store within one process: for sites without Redis, and for the time in which Redis is lost."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from .store import MEMORY_SECONDS, Claim, Entry, News, PoolCount, Taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from .store import Reason

_DAY_SECONDS = 86_400
_FOREVER = float("inf")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _locked(
    method: Callable[Concatenate[MemoryStore, _P], Awaitable[_R]],
) -> Callable[Concatenate[MemoryStore, _P], Coroutine[Any, Any, _R]]:
    @wraps(method)
    async def locked(self: MemoryStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with self._lock:
            return await method(self, *args, **kwargs)

    return locked


@dataclass(slots=True)
class _Record:
    """What is known of one conversation."""

    generation: int
    pool: str | None = None
    usd: int = 0
    ms: int = 0
    day: int = 0
    usd_base: int = 0
    ms_base: int = 0
    usd_charged: int = 0
    ms_charged: int = 0
    floor: int = 0
    """The total up to which money is set aside."""
    ended_at: float = _FOREVER


@dataclass(slots=True)
class _Pool:
    # Value: when it ends. A process that holds a lease is there to give it back, so most never end by themselves.
    leases: dict[str, float] = field(default_factory=dict)
    line: dict[str, int] = field(default_factory=dict)
    last_ticket: int = 0


class MemoryStore:
    """Counts for one process; the rules are those of `redis.lua`.

    Nothing here waits, so every method is one atomic step of its event loop; the lock is for loops of other threads.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._pools: defaultdict[str, _Pool] = defaultdict(_Pool)
        # By scope: conversation -> when its place ends.
        self._held: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._spent: defaultdict[tuple[str, int, str], int] = defaultdict(int)

    @_locked
    async def enter(self, claim: Claim) -> Entry:
        """Count the conversation, as `Store.enter` says."""
        now, day = self._now()
        record = self._records.get(claim.id)
        if record is not None and record.generation > claim.generation:
            return Entry("lost")
        if record is not None:
            # Takes over: what the other worker set aside and did not use is free again.
            record.usd, record.ms = max(record.usd, claim.usd), max(record.ms, claim.ms)
            self._account(record, claim, day, final=True)
        if refused := self._refusal(claim, now, day):
            return Entry(refused)
        if record is None:
            record = _Record(claim.generation, None, claim.usd, claim.ms, day, claim.usd, claim.ms)
            self._records[claim.id] = record
        record.generation, record.ended_at = claim.generation, _FOREVER
        claim.usd, claim.ms = record.usd, record.ms
        record.floor = record.usd + claim.bounds.reserve
        self._account(record, claim, day)
        for scope in _scopes(claim):
            self._held[scope][claim.id] = self._end(claim, now)
        return Entry(None, *self._left(claim, day))

    def _refusal(self, claim: Claim, now: float, day: int) -> Reason | None:
        bounds = claim.bounds
        owner, site = _scopes(claim)
        if not self._has_place(claim, owner, bounds.owner_conversations, now):
            return "owner"
        if not self._has_place(claim, site, bounds.site_conversations, now):
            return "site"
        if bounds.owner_ms is not None and self._spent["ms", day, owner] >= bounds.owner_ms:
            return "owner_minutes"
        if bounds.site_ms is not None and self._spent["ms", day, site] >= bounds.site_ms:
            return "site_minutes"
        if not _affords(self._spent["usd", day, owner], bounds.reserve, bounds.owner_usd):
            return "owner_usd"
        if not _affords(self._spent["usd", day, site], bounds.reserve, bounds.site_usd):
            return "site_usd"
        return None

    def _has_place(self, claim: Claim, scope: str, most: int | None, now: float) -> bool:
        held = self._held[scope]
        _purge(held, now)
        return most is None or len(held.keys() - {claim.id}) < most

    def _left(self, claim: Claim, day: int) -> tuple[int | None, int | None]:
        owner, site = _scopes(claim)
        bounds = claim.bounds
        usd = [
            bound - self._spent["usd", day, scope] + bounds.reserve
            for bound, scope in ((bounds.owner_usd, owner), (bounds.site_usd, site))
            if bound is not None
        ]
        ms = [
            bound - self._spent["ms", day, scope]
            for bound, scope in ((bounds.owner_ms, owner), (bounds.site_ms, site))
            if bound is not None
        ]
        return min(usd, default=None), min(ms, default=None)

    def _account(self, record: _Record, claim: Claim, day: int, *, final: bool = False) -> None:
        """Bring what is charged to what was used, or to the reserve where that is more."""
        if record.day != day:
            # What was used since the last beat falls to the new day.
            self._charge(claim, record, record.day, record.usd - record.usd_base, record.ms - record.ms_base)
            record.day, record.usd_base, record.ms_base = day, record.usd, record.ms
            record.usd_charged = record.ms_charged = 0
            record.floor = record.usd + claim.bounds.reserve
        record.usd, record.ms = max(record.usd, claim.usd), max(record.ms, claim.ms)
        usd = record.usd if final else max(record.usd, record.floor)
        self._charge(claim, record, day, usd - record.usd_base, record.ms - record.ms_base)
        claim.day, claim.usd_base, claim.ms_base = day, record.usd_base, record.ms_base

    def _charge(self, claim: Claim, record: _Record, day: int, usd: int, ms: int) -> None:
        for scope in _scopes(claim):
            self._spent["usd", day, scope] += usd - record.usd_charged
            self._spent["ms", day, scope] += ms - record.ms_charged
        record.usd_charged, record.ms_charged = usd, ms

    @_locked
    async def take(self, claim: Claim, pool: str, size: int, *, wait: bool, ticket: int = 0) -> Taken:
        """Take a lease, as `Store.take` says."""
        now, _ = self._now()
        record = self._records.get(claim.id)
        if record is None or record.generation > claim.generation:
            return Taken("lost")
        place = self._pools[pool]
        _purge(place.leases, now)
        ticket = place.line.get(claim.id) or ticket or max(round(now * 1_000_000), place.last_ticket + 1)
        if claim.id not in place.leases:
            ahead = sum((other, who) < (ticket, claim.id) for who, other in place.line.items())
            if ahead >= size - len(place.leases):
                if not wait:
                    return Taken("full")
                place.line[claim.id] = ticket
                place.last_ticket = max(ticket, place.last_ticket)
                return Taken("queued", ahead + 1, ticket)
        if record.pool not in (None, pool):
            self._give_back(claim, record.pool)
        place.line.pop(claim.id, None)
        place.leases[claim.id] = self._end(claim, now)
        claim.pool = record.pool = pool
        return Taken("granted")

    @_locked
    async def take_extra(self, claim: Claim, size: int) -> bool:
        """Take a second lease, as `Store.take_extra` says."""
        now, _ = self._now()
        place = self._pools[claim.pool or ""]
        _purge(place.leases, now)
        if claim.id not in place.leases or self._is_lost(claim):
            return False
        key = _extra(claim)
        if key not in place.leases and size - len(place.leases) <= len(place.line):
            return False
        place.leases[key] = self._end(claim, now)
        claim.extra = True
        return True

    @_locked
    async def drop_extra(self, claim: Claim) -> None:
        """Give the second lease back."""
        claim.extra = False
        if claim.pool is not None and not self._is_lost(claim):
            self._pools[claim.pool].leases.pop(_extra(claim), None)

    @_locked
    async def beat(self, claims: Sequence[Claim], pools: Sequence[str]) -> tuple[list[News], dict[str, PoolCount]]:
        """Renew, charge and count, as `Store.beat` says."""
        now, day = self._now()
        self._forget(now, day)
        news = [self._beat(claim, now, day) for claim in claims]
        for pool in pools:
            _purge(self._pools[pool].leases, now)
        return news, {name: PoolCount(len(pool.leases), len(pool.line)) for name, pool in self._pools.items()}

    def _beat(self, claim: Claim, now: float, day: int) -> News:
        if self._is_lost(claim):
            return News("lost")
        record = self._records.setdefault(
            claim.id, _Record(claim.generation, None, claim.usd, claim.ms, day, claim.usd, claim.ms)
        )
        record.generation, record.ended_at = claim.generation, _FOREVER
        self._account(record, claim, day)
        for scope in _scopes(claim):
            self._held[scope][claim.id] = self._end(claim, now)
        if claim.pool is not None:
            record.pool = claim.pool
            place = self._pools[claim.pool]
            place.line.pop(claim.id, None)
            place.leases[claim.id] = self._end(claim, now)
            if claim.extra:
                place.leases[_extra(claim)] = self._end(claim, now)
        return News(self._verdict(claim, record, day))

    def _verdict(self, claim: Claim, record: _Record, day: int) -> Literal["held", "usd", "minutes"]:
        bounds = claim.bounds
        scopes = _scopes(claim)
        for bound, scope in zip((bounds.owner_usd, bounds.site_usd), scopes, strict=True):
            # Within its reserve it goes on: that was set aside for it.
            beyond = record.usd > record.floor
            if bound is not None and beyond and self._spent["usd", day, scope] > bound:
                return "usd"
        for bound, scope in zip((bounds.owner_ms, bounds.site_ms), scopes, strict=True):
            if bound is not None and self._spent["ms", day, scope] >= bound:
                return "minutes"
        return "held"

    @_locked
    async def leave(self, claim: Claim, *, keep: bool = False) -> bool:
        """Settle and give everything back, as `Store.leave` says."""
        now, day = self._now()
        record = self._records.get(claim.id)
        if self._is_lost(claim):
            return False
        if record is None:
            record = _Record(claim.generation, None, claim.usd, claim.ms, day, claim.usd_base, claim.ms_base)
            self._records[claim.id] = record
        self._account(record, claim, day, final=True)
        record.ended_at = now
        for pool in self._pools.values():
            pool.line.pop(claim.id, None)
            pool.leases.pop(_extra(claim), None)
            if keep and claim.id in pool.leases:
                pool.leases[claim.id] = now + claim.seconds
            else:
                pool.leases.pop(claim.id, None)
        for scope in _scopes(claim):
            if keep and claim.id in self._held[scope]:
                self._held[scope][claim.id] = now + claim.seconds
            else:
                self._held[scope].pop(claim.id, None)
            if not self._held[scope]:
                del self._held[scope]
        claim.pool, claim.extra = None, False
        return True

    @_locked
    async def leave_line(self, claim: Claim, pool: str) -> None:
        """Stand in this line no more."""
        if not self._is_lost(claim):
            self._pools[pool].line.pop(claim.id, None)

    async def aclose(self) -> None:
        """Do nothing: what is counted stays."""

    def _is_lost(self, claim: Claim) -> bool:
        record = self._records.get(claim.id)
        return record is not None and record.generation > claim.generation

    def _give_back(self, claim: Claim, pool: str | None) -> None:
        if pool is not None:
            for key in (claim.id, _extra(claim)):
                self._pools[pool].leases.pop(key, None)

    def _forget(self, now: float, day: int) -> None:
        for key in [key for key, record in self._records.items() if record.ended_at + MEMORY_SECONDS < now]:
            del self._records[key]
        for spent in [spent for spent in self._spent if spent[1] < day - 1]:
            del self._spent[spent]
        # Pages with keys of their own bring as many pools as there are keys.
        for name, pool in list(self._pools.items()):
            _purge(pool.leases, now)
            if not pool.leases and not pool.line:
                del self._pools[name]

    def _now(self) -> tuple[float, int]:
        now = self._clock()
        return now, int(now // _DAY_SECONDS)

    @staticmethod
    def _end(claim: Claim, now: float) -> float:
        return now + claim.seconds if claim.lent else _FOREVER


def _scopes(claim: Claim) -> tuple[str, str]:
    return f"owner:{claim.owner}", "site"


def _extra(claim: Claim) -> str:
    return f"{claim.id}/2"


def _affords(spent: int, reserve: int, bound: int | None) -> bool:
    return bound is None or (spent < bound and spent + reserve <= bound)


def _purge(ends: dict[str, float], now: float) -> None:
    for key in [key for key, end in ends.items() if end <= now]:
        del ends[key]
