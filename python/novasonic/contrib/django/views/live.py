"""What goes on now, and the places where views meet limits, records and the other workers.

The one module of the views that knows where these live. Imported on use: a site may run without any of them, and
none is needed to show a page.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from novasonic.contrib.asgi.companion import Refused

from .api import Refusal
from .grants import RETRY_SECONDS, grants

if TYPE_CHECKING:
    from datetime import datetime

    from novasonic.contrib.django.conf import Settings

    from .grants import Lease

logger = logging.getLogger(__name__)

_HOME = "novasonic.contrib"


class AccessNotWritten(Exception):  # noqa: N818 - says what became of it
    """The audit row could not be written."""


@dataclass(frozen=True, slots=True)
class Live:
    """A moment of the site, or of this process where workers share nothing.

    Of other workers those pages count that have a conversation: who has said nothing yet is known to its own alone.
    """

    connections: int = 0
    """Open sockets."""
    sessions: int = 0
    """Conversations."""
    session_ids: tuple[str, ...] = ()
    draining: bool = False
    """Whether this worker takes no new ones."""


async def look() -> Live:
    """Ask everybody who knows."""
    handlers = list(_known("asgi.handler", "open_handlers") or ())
    here = {str(handler.conversation.id): handler.session is not None for handler in handlers}
    # Those of this process are known without asking; the others by Redis or the layer, where there are others.
    ask = _known("django.workers.supervision", "conversations")
    elsewhere = {one.id for one in await ask()} - here.keys() if ask is not None else set()
    sessions = elsewhere | {name for name, talks in here.items() if talks}
    return Live(
        connections=len(here) + len(elsewhere),
        sessions=len(sessions),
        session_ids=tuple(sorted(sessions)),
        draining=is_draining(),
    )


def is_draining() -> bool:
    """Say whether this worker is about to leave."""
    ask = _known("django.workers.drain", "is_draining")
    return bool(ask()) if ask is not None else False


def limits() -> list[Any]:
    """Return what this process knows of the limits, without asking anybody: `novasonic.contrib.django.limits`."""
    ask = _known("django.limits.office", "snapshots")
    return [] if ask is None else list(ask())


def _known(module: str, name: str) -> Any | None:
    try:
        return getattr(importlib.import_module(f"{_HOME}.{module}"), name, None)
    except ModuleNotFoundError:
        return None


async def lease_for_page(user: Any, settings: Settings, *, seconds: float) -> Lease:
    """Count one stream of the service as taken for `seconds`, since nobody tells when a page's own stream ends.

    Raises:
        Refusal: The user, the site or the service's quota has none left.
    """
    take = _known("django.limits.office", "lease_for_page")
    if take is None:
        return grants.take(str(user.pk), settings.limits, seconds)
    try:
        lease: Lease = await take(owner=str(user.pk), seconds=seconds, region=settings.region)
    except Refused as refused:
        raise Refusal(429, refused.code, refused.message, retry_after=RETRY_SECONDS) from None
    return lease


async def write_access(user: Any, *, name: str, expires_at: datetime) -> None:
    """Write down who was given keys, until when, and under which name AWS's own log knows them.

    Raises:
        AccessNotWritten: Nobody will know.
    """
    row = _known("django.models", "AccessRecord")
    if row is None:
        logger.info("Keys for a page: %s until %s", name, expires_at.isoformat())
        return
    detail = f"{name} until {expires_at.isoformat(timespec='seconds')}"
    try:
        await row.objects.acreate(
            action=row.Action.CREDENTIALS,
            user=user,
            username=user.get_username()[:150],
            owner=str(user.pk),
            detail=detail,
        )
    except DatabaseError as error:
        raise AccessNotWritten(type(error).__name__) from None
