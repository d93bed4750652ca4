"""Lets a conversation in where the limits allow it, and keeps count of it until its end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import novasonic
from novasonic import events
from novasonic.contrib.asgi.companion import Companion, Refused
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.conf import get_settings

from .office import Holder, get_office
from .store import Bounds, Claim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from novasonic.contrib.django.conf import Settings

    from .office import Loss, Office
    from .store import Taken

__all__ = ["Admission", "owner_key", "pool_of"]

logger = logging.getLogger(__name__)

_CAPACITY = "All lines are busy. Try again in a moment."
# What the page is told, by why; none says how many there are, or who else talks.
_REFUSALS: Final[dict[str, tuple[CloseCode, str, str, bool]]] = {
    "process": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "site": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "streams": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "waited": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "owner": (CloseCode.TOO_MANY, "too_many_conversations", "You are in as many conversations as you may be.", True),
    "owner_minutes": (CloseCode.TOO_MANY, "minutes_used_up", "You have talked as long as you may today.", False),
    "owner_usd": (CloseCode.TOO_MANY, "budget_used_up", "You have used up what you may today.", False),
    "site_minutes": (CloseCode.NO_CAPACITY, "site_used_up", "This site has used up its day.", False),
    "site_usd": (CloseCode.NO_CAPACITY, "site_used_up", "This site has used up its day.", False),
    "seconds": (CloseCode.TOO_MANY, "conversation_too_long", "This conversation has lasted as long as it may.", False),
    "lost": (CloseCode.TAKEN_OVER, "taken_over", "The conversation goes on elsewhere.", False),
}
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
        holder = self._holder = Holder(
            Claim(
                id=str(conversation.id),
                generation=conversation.generation,
                owner=owner_key(conversation.owner, self.handler.scope, settings.trusted_proxies),
                bounds=Bounds.of(settings.limits),
                usd=round(conversation.usd_before * 1_000_000),
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
        here = self.conversation.region or settings.region
        if settings.overflow == "wait":
            try:
                async with asyncio.timeout(settings.wait_seconds):
                    taken = await office.wait(holder, pool_of(settings, here), size, self._tell_position)
            except TimeoutError:
                raise self._refusal("waited") from None
            self._check(taken)
            return
        regions = [here]
        if settings.overflow == "region":
            regions += [region for region in (settings.region, *settings.regions) if region not in regions]
        for region in regions:
            taken = await office.wait(holder, pool_of(settings, region), size, None)
            if taken.state != "full":
                self._check(taken)
                if region != settings.region:
                    self.conversation.region = region
                return
        raise self._refusal("streams")

    def _check(self, taken: Taken) -> None:
        if taken.state != "granted":
            raise self._refusal("lost")

    async def _tell_position(self, position: int) -> None:
        await self.handler.tell({"type": "queued", "position": position})

    def _refusal(self, reason: str) -> Refused:
        if self._office is not None:
            self._office.refused(reason)
        close, code, message, retryable = _REFUSALS[reason]
        return Refused(close, code, message, retryable=retryable)

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
        return chosen

    async def may_overlap(self) -> bool:
        """Say whether the next stream may open beside the present one, which takes a second lease.

        False: the present one has to be closed first.
        """
        if self._office is None or self._holder is None or self._settings is None:
            return True
        return await self._office.take_extra(self._holder, self._settings.limits.streams)

    def event(self, event: events.Event) -> None:
        """Note what was used; the next beat charges it."""
        if self._holder is None or self._office is None:
            return
        if isinstance(event, events.Usage):
            self._holder.spent = round(event.usd * 1_000_000)
        elif isinstance(event, events.Renewed):
            self._office.drop_extra(self._holder)

    def _lose(self, why: Loss) -> None:
        if self._errand is None:
            self._errand = asyncio.create_task(self._hang_up(why), name="novasonic-limits-hang-up")

    async def _hang_up(self, why: Loss) -> None:
        reason = {"lost": "lost", "usd": "owner_usd", "minutes": "owner_minutes"}[why]
        close, code, message, _ = _REFUSALS[reason]
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


def owner_key(owner: str | None, scope: Mapping[str, Any], trusted_proxies: int = 0) -> str:
    """Return what an owner is counted by; where nobody is known, the client's address.

    A digest: neither user names nor addresses stand in Redis.
    """
    who = f"owner {owner}" if owner is not None else f"address {_address(scope, trusted_proxies)}"
    return hashlib.blake2s(who.encode(), digest_size=16).hexdigest()


def _address(scope: Mapping[str, Any], trusted_proxies: int) -> str:
    client = scope.get("client")
    address = client[0] if client else ""
    if trusted_proxies > 0:
        forwarded = [
            part.strip()
            for name, value in scope.get("headers", ())
            if name == b"x-forwarded-for"
            for part in value.decode("latin-1").split(",")
        ]
        if forwarded:
            address = forwarded[-min(trusted_proxies, len(forwarded))]
    try:
        parsed = ip_address(address)
    except ValueError:
        return str(address)
    if parsed.version == 6:
        # One subscriber has a whole /64.
        return str(int(parsed) >> 64)
    return str(parsed)


def pool_of(settings: Settings, region: str | None) -> str:
    """Return the name that streams are counted by: the account, as far as the settings tell it, and the region."""
    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "default"
    account = settings.profile or os.environ.get("AWS_PROFILE") or "default"
    if settings.endpoint_url:
        account += f"@{settings.endpoint_url}"
    return f"{account}/{where}"


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)
