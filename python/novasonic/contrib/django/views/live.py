"""What goes on now: where views meet limits, records and the other workers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError

from novasonic.contrib.asgi.companion import Refused
from novasonic.contrib.asgi.handler import open_handlers
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.limits.office import lease_for_page, snapshots
from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.records import reported
from novasonic.contrib.django.workers.drain import is_draining
from novasonic.contrib.django.workers.shared import worker_id
from novasonic.contrib.django.workers.supervision import conversations

from .api import Refusal

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

    from novasonic.contrib.django.limits.office import PageLease

__all__ = [
    "RETRY_SECONDS",
    "AccessNotWritten",
    "Live",
    "is_draining",
    "lend",
    "look",
    "open_reported",
    "snapshots",
    "write_access",
]

RETRY_SECONDS: Final = 30

# Where workers know each other by the layer alone, asking them all takes a second: not for each who asks.
_KEPT_SECONDS: Final = 2.0
_elsewhere: tuple[float, frozenset[str]] = (float("-inf"), frozenset())


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
    """Conversations that hold a stream, and those of other workers."""
    session_ids: tuple[str, ...] = ()
    draining: bool = False
    """Whether this worker takes no new ones."""


async def look(*, here_only: bool = False) -> Live:
    """Count pages and conversations, of all workers unless `here_only`."""
    here = {str(handler.conversation.id): handler.session is not None for handler in list(open_handlers)}
    elsewhere = frozenset[str]() if here_only else await _known_elsewhere() - here.keys()
    sessions = elsewhere | {name for name, talks in here.items() if talks}
    return Live(len(here) + len(elsewhere), len(sessions), tuple(sorted(sessions)), is_draining())


async def _known_elsewhere() -> frozenset[str]:
    global _elsewhere
    asked_at, known = _elsewhere
    if time.monotonic() - asked_at > _KEPT_SECONDS:
        # What is kept must not hold our own: they are known by the moment.
        known = frozenset(one.id for one in await conversations() if one.worker != worker_id())
        _elsewhere = (time.monotonic(), known)
    return known


async def lend(user: Any, *, seconds: float, region: str | None) -> PageLease:
    """Count one stream of the service as taken for `seconds`, since nobody tells when a page's own stream ends.

    Raises:
        Refusal: The user, the site, a budget or the service's quota has none left.
    """
    try:
        return await lease_for_page(owner=str(user.pk), seconds=seconds, region=region)
    except Refused as refused:
        status = 503 if refused.close is CloseCode.NO_CAPACITY else 429
        retry_after = RETRY_SECONDS if refused.retryable else None
        raise Refusal(status, refused.code, refused.message, retry_after=retry_after) from None


async def write_access(user: Any, *, name: str, expires_at: datetime, conversation: uuid.UUID | None = None) -> None:
    """Write down who was given keys, until when, and under which name AWS's own log knows them.

    `conversation` is what their page may report to.

    Raises:
        AccessNotWritten: Nobody will know.
    """
    try:
        await AccessRecord.objects.acreate(
            action=AccessRecord.Action.CREDENTIALS,
            user_id=user.pk,
            username=user.get_username()[:150],
            owner=str(user.pk),
            conversation=conversation,
            detail=f"{name} until {expires_at.isoformat(timespec='seconds')}",
        )
    except DatabaseError as error:
        raise AccessNotWritten(type(error).__name__) from None


async def open_reported(grant_id: uuid.UUID, user: Any, *, model: str, region: str) -> None:
    """Make the conversation that the page will report to.

    Raises:
        AccessNotWritten: There is none, and so no keys may be given.
    """
    try:
        await reported.open_row(grant_id, user, model=model, region=region)
    except DatabaseError as error:
        raise AccessNotWritten(type(error).__name__) from None
