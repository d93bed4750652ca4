"""What is counted, by whom it can be counted: within a process (`memory`) or on Redis (`redis`).

Money is whole micro-dollars and time whole milliseconds here: what many processes add up must not drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from novasonic.contrib.django.conf import LimitSettings

__all__ = ["LEASE_SECONDS", "Bounds", "Claim", "Entry", "News", "PoolCount", "Store", "StoreLost", "Taken"]

LEASE_SECONDS = 15.0
"""How long a lease outlives the last beat of who holds it."""
LINE_SECONDS = 5.0
"""How long a place in line outlives the last word of who stands there."""
SETTLE_SECONDS = 6.0
"""How long after Redis came back empty nothing is granted: holders need one beat to say that they are there."""
MEMORY_SECONDS = 600.0
"""How long it is remembered who held a conversation last, so that a worker that was asleep learns that it lost it."""

Reason = Literal["owner", "site", "owner_minutes", "site_minutes", "owner_usd", "site_usd"]


class StoreLost(Exception):  # noqa: N818 - it says what happened, not whose fault it is
    """Redis did not answer in time, or refused; whether it did what it was asked is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one owner and the whole site may use; None: no bound."""

    owner_conversations: int | None = None
    site_conversations: int | None = None
    owner_ms: int | None = None
    site_ms: int | None = None
    owner_usd: int | None = None
    site_usd: int | None = None
    reserve: int = 0
    """Micro-dollars set aside for each conversation."""

    @classmethod
    def of(cls, limits: LimitSettings) -> Bounds:
        """Return the bounds that the settings name."""
        return cls(
            owner_conversations=limits.conversations_per_owner,
            site_conversations=limits.conversations,
            owner_ms=_times(limits.minutes_per_day, 60_000),
            site_ms=_times(limits.site_minutes_per_day, 60_000),
            owner_usd=_times(limits.usd_per_day, 1_000_000),
            site_usd=_times(limits.site_usd_per_day, 1_000_000),
            reserve=_times(limits.reserve_usd, 1_000_000) or 0,
        )


NO_BOUNDS = Bounds()


def _times(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)


@dataclass(slots=True, kw_only=True)
class Claim:
    """One conversation of one worker, as it stands.

    `usd` and `ms` are totals of the conversation, over all workers that had it. `day`, `usd_base` and `ms_base` are
    the day that is charged now and what the totals were when it began; the store's answers set them.
    """

    id: str
    generation: int
    owner: str
    bounds: Bounds = NO_BOUNDS
    usd: int = 0
    ms: int = 0
    day: int = 0
    usd_base: int = 0
    ms_base: int = 0
    pool: str | None = None
    """Where it has a lease."""
    extra: bool = False
    """Whether it has a second one there: its next stream opens beside the present one."""
    lent: bool = False
    """Whether it was lent out: nobody beats for it, and it ends by itself."""
    seconds: float = LEASE_SECONDS
    """How long its leases outlive the last beat."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Whether a conversation may be held at all.

    `usd_left` and `ms_left` are what the tightest budget has left for it, its own reserve included.
    """

    refused: Reason | Literal["lost"] | None
    usd_left: int | None = None
    ms_left: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the wish for a lease. ``settling``: ask again soon; ``lost``: a newer generation has it."""

    state: Literal["granted", "queued", "full", "settling", "lost"]
    position: int = 0
    ticket: int = 0
    """The place in line, to be shown again with the next wish."""


@dataclass(frozen=True, slots=True)
class News:
    """What a beat tells of one conversation. ``usd`` and ``minutes``: its budget is used up."""

    state: Literal["held", "lost", "usd", "minutes"]


@dataclass(frozen=True, slots=True)
class PoolCount:
    """Leases and places in line of one pool, all processes together."""

    leases: int = 0
    waiting: int = 0


class Store(Protocol):
    """Counts conversations, money, time and leases.

    Everything is keyed by the conversation and may be asked twice. A higher generation takes over what a lower one of
    the same conversation holds, without counting it twice; the lower one is told ``lost`` from then on.

    Raises:
        StoreLost: By each of its methods; only by a store outside the process.
    """

    async def enter(self, claim: Claim) -> Entry:
        """Count the conversation and set its reserve aside, all or nothing; completes the claim."""

    async def take(self, claim: Claim, pool: str, size: int, *, wait: bool, ticket: int = 0) -> Taken:
        """Take one of `size` leases of `pool`, or stand in line for it."""

    async def take_extra(self, claim: Claim, size: int) -> bool:
        """Take a second lease beside the first; never one that somebody waits for."""

    async def drop_extra(self, claim: Claim) -> None:
        """Give the second lease back."""

    async def beat(self, claims: Sequence[Claim], pools: Sequence[str]) -> tuple[list[News], dict[str, PoolCount]]:
        """Renew what the process holds, charge what was used, and count; re-registers what is not known."""

    async def leave(self, claim: Claim, *, keep: bool = False) -> bool:
        """Settle by what was used, and give everything back; False: a newer generation has it.

        Args:
            claim: As it was in the end.
            keep: Leave the lease to expire: the conversation is about to go on elsewhere.
        """

    async def leave_line(self, claim: Claim, pool: str) -> None:
        """Stand in this line no more."""

    async def aclose(self) -> None:
        """Free what is open; the store can be used again."""
