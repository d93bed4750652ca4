"""Keys that pages hold, counted in this process where nothing is shared."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from .api import Refusal

if TYPE_CHECKING:
    from novasonic.contrib.django.conf import LimitSettings

RETRY_SECONDS = 30


class Lease(Protocol):
    """A stream of the service that counts as taken."""

    async def give_back(self) -> None:
        """End it before its time: no keys were given."""


class _Grant:
    __slots__ = ("_grants", "ends_at", "owner")

    def __init__(self, grants: Grants, owner: str, ends_at: float) -> None:
        self._grants = grants
        self.owner = owner
        self.ends_at = ends_at

    async def give_back(self) -> None:
        with suppress(ValueError):  # it ended meanwhile
            self._grants.live.remove(self)


class Grants:
    """Each lives its whole time, since nobody tells when a page has stopped talking."""

    def __init__(self) -> None:
        self.live: deque[_Grant] = deque()

    def take(self, owner: str, limits: LimitSettings, seconds: float, now: float | None = None) -> Lease:
        """Count one more for `owner`.

        Raises:
            Refusal: As many are out as one owner, one process or the account may have.
        """
        now = time.monotonic() if now is None else now
        self.live = deque(grant for grant in self.live if grant.ends_at > now)
        theirs = [grant for grant in self.live if grant.owner == owner]
        if limits.conversations_per_owner is not None and len(theirs) >= limits.conversations_per_owner:
            raise _too_many("You hold as many keys as you may. Wait until they end.", min(theirs, key=_end), now)
        if len(self.live) >= min(limits.streams, limits.per_process):
            raise _too_many("Too many people are talking right now. Try again soon.", min(self.live, key=_end), now)
        self.live.append(_Grant(self, owner, now + seconds))
        return self.live[-1]


def _end(grant: _Grant) -> float:
    return grant.ends_at


def _too_many(message: str, first: _Grant, now: float) -> Refusal:
    return Refusal(429, "too_many", message, retry_after=max(1, round(first.ends_at - now)))


grants = Grants()
"""Those of this process."""
