"""What goes on now, and the places where views meet limits, records and the other workers.

The one module of the views that knows where these live. Imported on use: a site may run without any of them, and
none is needed to show a page.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from novasonic.contrib.asgi.companion import Refused

from .api import Refusal
from .grants import RETRY_SECONDS, grants

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from novasonic.contrib.django.conf import Settings

    from .grants import Lease

logger = logging.getLogger(__name__)

_HOME = "novasonic.contrib"


class AccessNotWritten(Exception):  # noqa: N818 - says what became of it
    """The audit row could not be written."""


@dataclass(frozen=True, slots=True)
class Live:
    """A moment of the site, or of this process where workers share nothing."""

    connections: int = 0
    """Open sockets."""
    sessions: int = 0
    """Conversations that hold a stream of the service."""
    session_ids: tuple[str, ...] = ()
    draining: bool = False
    """Whether this worker takes no new ones."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """What the limits count: streams in use, owners in line."""


async def look() -> Live:
    """Ask everybody who knows."""
    here = _here()
    counts = _known("django.limits.office", "snapshot")
    return Live(
        connections=here.connections,
        sessions=here.sessions,
        session_ids=here.session_ids,
        draining=is_draining(),
        counts=_numbers(await _answer(counts)) if counts is not None else {},
    )


def is_draining() -> bool:
    """Say whether this worker is about to leave."""
    ask = _known("django.workers.drain", "is_draining")
    return bool(ask()) if ask is not None else False


def _here() -> Live:
    handlers = _known("asgi.handler", "open_handlers") or ()
    sessions = [handler.session.id for handler in list(handlers) if handler.session is not None]
    return Live(connections=len(handlers), sessions=len(sessions), session_ids=tuple(sorted(sessions)))


def _known(module: str, name: str) -> Any | None:
    try:
        return getattr(importlib.import_module(f"{_HOME}.{module}"), name, None)
    except ModuleNotFoundError:
        return None


async def _answer(ask: Any) -> Any:
    answer = ask()
    return await answer if inspect.isawaitable(answer) else answer


def _numbers(snapshot: Any) -> dict[str, float]:
    return {name: value for name, value in dict(snapshot).items() if isinstance(value, int | float)}


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
    write = _known("django.records.access", "write_access")
    if write is None:
        logger.info("Keys for a page: %s until %s", name, expires_at.isoformat())
        return
    try:
        await _answer(lambda: write(user=user, action="credentials", detail=f"{name} until {expires_at.isoformat()}"))
    except DatabaseError as error:
        raise AccessNotWritten(type(error).__name__) from None
