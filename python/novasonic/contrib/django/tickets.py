"""One-time tickets: how a client without cookies says who it is, in its first message.

A view of the site that knows the user gives out ``issue_ticket(request.user)``; the client sends it as `ticket` in
`initialize` within half a minute. It never stands in a URL, which servers and proxies log.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.cache import cache

from .workers import tokens
from .workers.shared import open_redis

__all__ = ["issue_ticket", "redeem_ticket"]

logger = logging.getLogger(__name__)

_SALT: Final = "novasonic.contrib.django.tickets"
_MAX_CHARS: Final = 1_024
_MAX_SECONDS: Final = 3_600
# Clocks of the site's servers may differ; a mark that went before its ticket would let it in twice.
_SLACK_SECONDS: Final = 60


def issue_ticket(user: Any, seconds: float = 30) -> str:
    """Return a ticket by which whoever shows it first, within `seconds`, talks as `user`.

    Give it out over HTTPS, to the user themselves, with ``Cache-Control: no-store``.

    Raises:
        ValueError: The user is not signed in, or `seconds` is not above 0 and at most 3600.
    """
    if not isinstance(user, get_user_model()) or user.pk is None:
        raise ValueError("issue_ticket() needs a user who is signed in and saved.")
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"issue_ticket() takes above 0 and at most {_MAX_SECONDS} seconds, not {seconds!r}.")
    payload = {
        "u": str(user.pk),
        "b": tokens.binding(None, user),
        "n": secrets.token_urlsafe(12),
        "e": time.time() + seconds,
    }
    return signing.dumps(payload, salt=_SALT)


async def redeem_ticket(ticket: str) -> Any | None:
    """Return the user whom `ticket` names, once.

    Spent tickets are remembered on Redis (``NOVASONIC["REDIS_URL"]``), else in Django's default cache, which must then
    be one that all workers share.

    Returns:
        None for a ticket that is forged, expired or spent, and for users who were deactivated or have another password.
    """
    if len(ticket) > _MAX_CHARS:
        return None
    try:
        payload = signing.loads(ticket, salt=_SALT, max_age=_MAX_SECONDS)
        pk, bound, nonce, expires = payload["u"], payload["b"], str(payload["n"]), float(payload["e"])
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None
    if time.time() > expires or not await _spend(nonce, int(expires - time.time()) + _SLACK_SECONDS):
        return None
    user_model = get_user_model()
    try:
        user = await user_model._default_manager.aget(pk=pk)
    except user_model.DoesNotExist:
        return None
    known = any(hmac.compare_digest(bound, present) for present in tokens.bindings(None, user))
    return user if known and getattr(user, "is_active", True) else None


async def _spend(nonce: str, seconds: int) -> bool:
    name = f"novasonic:ticket:{nonce}"
    try:
        async with open_redis() as redis:
            if redis is not None:
                return bool(await redis.set(name, 1, nx=True, ex=seconds))
        return bool(await cache.aadd(name, 1, timeout=seconds))
    except Exception as error:
        logger.warning("A ticket could not be marked as spent and is refused: %s", type(error).__name__)
        return False
