"""Lets a conversation in where the limits allow it, and keeps count of it until its end."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import novasonic
from novasonic import events
from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.companion import Companion
from novasonic.contrib.asgi.door import scope_address
from novasonic.contrib.django.conf import get_settings

from .keeping import Holder
from .office import get_office
from .refusals import REFUSALS, refusal
from .store import Bounds, Claim
from .terms import owner_key, pool_of

if TYPE_CHECKING:
    from novasonic.contrib.asgi.companion import Refused
    from novasonic.contrib.django.conf import Settings

    from .keeping import Loss, Office
    from .store import Taken

__all__ = ["Admission"]

logger = logging.getLogger(__name__)

_MIN_USD: Final = 0.000_001
_MIN_SECONDS: Final = 0.001


class Admission(Companion):
    """Holds one conversation to the limits of ``NOVASONIC["LIMITS"]``.

    `admit` counts it, sets its reserve aside and takes a lease, or waits in line for one; `ended` gives all of that
    back, whatever happened between.
    """

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self._office: Office | None = None
        self._holder: Holder | None = None
        self._settings: Settings | None = None
        self._usd_left: int | None = None
        self._ms_left: int | None = None
        self._errand: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        """Count the conversation and take a lease, after waiting in line where the site says so."""
        settings = self._settings = get_settings()
        office = self._office = get_office(settings)
        conversation = self.conversation
        bounds = Bounds.of(settings.limits)
        if self._pays_itself:
            bounds = replace(bounds, owner_usd=None, site_usd=None, reserve=0)
        holder = self._holder = Holder(
            Claim(
                id=str(conversation.id),
                generation=conversation.generation,
                owner=owner_key(conversation.owner, scope_address(self.handler.scope, settings.trusted_proxies)),
                bounds=bounds,
                usd=0 if self._pays_itself else round(conversation.usd_before * 1_000_000),
            ),
            self._lose,
        )
        entry = await office.enter(holder, settings.limits.per_process)
        if entry is None:
            raise self._refusal("process")
        if entry.refused is not None:
            raise self._refusal(entry.refused)
        self._usd_left, self._ms_left = entry.usd_left, entry.ms_left
        if settings.limits.seconds is not None and holder.ms_before >= settings.limits.seconds * 1000:
            raise self._refusal("seconds")
        await self._take(office, holder, settings)
        holder.began = time.monotonic()

    async def _take(self, office: Office, holder: Holder, settings: Settings) -> None:
        """Take a lease by the site's policy; `conversation.region` says where it was found."""
        size = settings.limits.streams
        here, access_key_id = self.conversation.region or settings.region, None
        if (keys := self.handler.chosen.credentials) is not None:
            here, access_key_id = keys.region, keys.access_key_id
        if settings.overflow == "wait":
            pool = pool_of(settings, here, access_key_id=access_key_id)
            try:
                async with asyncio.timeout(settings.wait_seconds):
                    taken = await office.wait(holder, pool, size, self._tell_position)
            except TimeoutError:
                raise self._refusal("waited") from None
            self._check(taken)
            return
        regions = [here]
        if settings.overflow == "region" and keys is None:
            regions += [region for region in (settings.region, *settings.regions) if region not in regions]
        for region in regions:
            pool = pool_of(settings, region, access_key_id=access_key_id)
            taken = await office.wait(holder, pool, size, None)
            if taken.state != "full":
                self._check(taken)
                if region != settings.region and keys is None:
                    self.conversation.region = region
                return
        raise self._refusal("streams")

    def _check(self, taken: Taken) -> None:
        if taken.state != "granted":
            raise self._refusal("lost")

    async def _tell_position(self, position: int) -> None:
        await self.handler.tell(wire.queued(position))

    def _refusal(self, reason: str) -> Refused:
        if self._office is not None:
            self._office.refused(reason)
        return refusal(reason)

    def settings(self) -> dict[str, Any]:
        """Return the tighter of the site's limits and the handler's own."""
        if self._settings is None or self._holder is None:
            return {}
        limits = self._settings.limits
        own: novasonic.Limits = self.handler.limits or novasonic.Limits()
        before = self._holder.ms_before / 1000
        whole = None if limits.seconds is None else max(limits.seconds - before, _MIN_SECONDS)
        minutes = None if self._ms_left is None else max(self._ms_left / 1000, _MIN_SECONDS)
        usd = None if self._usd_left is None else max(self._usd_left / 1_000_000, _MIN_USD)
        chosen: dict[str, Any] = {
            "limits": replace(
                own,
                seconds=_least(own.seconds, whole, minutes),
                idle_seconds=_least(own.idle_seconds, limits.idle_seconds),
                usd=_least(own.usd, usd),
            )
        }
        continuation: novasonic.Continuation | None = self.handler.continuation
        if continuation is not None:
            restarts = min(continuation.restarts_per_hour, limits.restarts_per_hour)
            chosen["continuation"] = replace(continuation, restarts_per_hour=restarts)
        return chosen | {"may_overlap": self.may_overlap, "overlap_ended": self.overlap_ended}

    async def may_overlap(self) -> bool:
        """Say whether the next stream may open beside the present one, which takes a second lease.

        False: the present one has to be closed first.
        """
        if self._office is None or self._holder is None or self._settings is None:
            return True
        return await self._office.take_extra(self._holder, self._settings.limits.streams)

    def overlap_ended(self) -> None:
        """Give the second lease back: two streams are one again."""
        if self._office is not None and self._holder is not None:
            self._office.drop_extra(self._holder)

    def event(self, event: events.Event) -> None:
        """Note what was used; the next beat charges it."""
        if self._holder is not None and isinstance(event, events.Usage) and not self._pays_itself:
            self._holder.spent = round(event.usd * 1_000_000)

    @property
    def _pays_itself(self) -> bool:
        # By keys of the page, hence from another account.
        return self.handler.chosen.credentials is not None

    def _lose(self, why: Loss) -> None:
        if self._errand is None:
            self._errand = asyncio.create_task(self._hang_up(why), name="novasonic-limits-hang-up")

    async def _hang_up(self, why: Loss) -> None:
        reason = {"lost": "lost", "usd": "owner_usd", "minutes": "owner_minutes"}[why]
        close, code, message, _ = REFUSALS[reason]
        if self._office is not None:
            self._office.refused(f"{why}_later")
        await self.handler.hang_up(close, code, message, reason="reconnect" if why == "lost" else "limit")

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """Settle, and give back what was counted and taken."""
        if self._office is None or self._holder is None:
            return
        leaving = asyncio.create_task(self._office.leave(self._holder, keep=reason == "reconnect"))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)
        # Whoever is cancelled here goes; what was counted is given back all the same.
        await asyncio.shield(leaving)


# asyncio keeps no strong reference to a task.
_leaving: set[asyncio.Task[None]] = set()


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)
