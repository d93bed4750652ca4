"""This process's offices, and the leases that it lends to pages which talk to the service themselves."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import TYPE_CHECKING

from novasonic.contrib.django.conf import get_settings

from .keeping import Office
from .memory import MemoryStore
from .refusals import refusal
from .store import Bounds, Claim
from .terms import owner_key, pool_of

if TYPE_CHECKING:
    from novasonic.contrib.django.conf import Settings

    from .keeping import Holder, Snapshot

__all__ = ["PageLease", "get_office", "lease_for_page", "snapshots"]

# By process too: a fork counts for itself. What an event loop has may not serve another; what is counted within the
# process serves all of its loops, since a view that runs outside the server's own loop has one for each request.
_offices: dict[tuple[int, asyncio.AbstractEventLoop, str | None], Office] = {}
_locals: dict[tuple[int, str | None], MemoryStore] = {}


def get_office(settings: Settings | None = None) -> Office:
    """Return the office of this process, event loop and Redis; made on first use.

    Raises:
        ImproperlyConfigured: ``NOVASONIC`` is not usable, or redis-py is missing.
    """
    chosen = settings or get_settings()
    key = (os.getpid(), asyncio.get_running_loop(), chosen.redis_url)
    office = _offices.get(key)
    if office is None:
        for old in [old for old in list(_offices) if old[1].is_closed()]:
            _offices.pop(old, None)
        local = _locals.setdefault((os.getpid(), chosen.redis_url), MemoryStore())
        office = _offices.setdefault(key, Office(chosen.redis_url, local))
    return office


def snapshots() -> list[Snapshot]:
    """Return what this process's offices know, whatever thread or loop asks."""
    return [office.snapshot() for (pid, _, _), office in list(_offices.items()) if pid == os.getpid()]


class PageLease:
    """A lease that ends by itself, for a page that holds AWS keys of its own."""

    def __init__(self, office: Office, holder: Holder) -> None:
        self._office = office
        self._holder = holder

    async def give_back(self) -> None:
        """End it before its time: no keys were given."""
        await self._office.leave(self._holder)


async def lease_for_page(*, owner: str, seconds: float, region: str | None = None) -> PageLease:
    """Count one conversation and stream as taken for `seconds`: nobody tells when a page's own stream ends.

    Its reserve is charged whole, since nobody tells either what it used.

    Raises:
        Refused: The owner, the site, a budget or the service's quota has none left.
    """
    settings = get_settings()
    office = get_office(settings)
    claim = Claim(
        id=f"page-{uuid.uuid4().hex}",
        generation=1,
        owner=owner_key(owner),
        bounds=Bounds.of(settings.limits),
        lent=True,
        seconds=seconds,
    )
    lent = await office.lend(claim, pool_of(settings, region or settings.region), settings.limits.streams)
    if isinstance(lent, str):
        office.refused(lent)
        raise refusal(lent)
    return PageLease(office, lent)
