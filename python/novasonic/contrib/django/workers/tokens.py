"""Resume tokens: what lets a page that lost its worker go on with its conversation on any other.

A token is signed and names a conversation and the generation it was issued under. Who claims the conversation raises
its generation, so a token is spent by its first use, on whichever worker that was, without a list of spent ones. It
holds only for the same owner with the same password: what it is bound to goes in as a digest, since its payload can be
read by the page. It travels in messages only, never in a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.core import signing

__all__ = ["ResumeToken", "TokenError", "binding", "bindings", "issue", "verify"]

_SALT: Final = "novasonic.contrib.django.workers.resume"
# Ours are some 200; a signature over megabytes is work that anybody could ask for.
_MAX_CHARS: Final = 1_024


class TokenError(Exception):
    """A token is forged, expired, somebody else's or no token at all; deliberately not said which."""


@dataclass(frozen=True, slots=True)
class ResumeToken:
    """What a token that holds says."""

    conversation_id: uuid.UUID
    generation: int


def binding(owner: str | None, user: Any) -> str:
    """Return a digest of who may use a token: the owner, and the user's present password."""
    return _digest(owner, _auth_hash(user))


def bindings(owner: str | None, user: Any) -> list[str]:
    """Return the present digest, then those under rotated keys, as Django's own sessions accept them."""
    of_old_keys = getattr(user, "get_session_auth_fallback_hash", None)
    hashes = [_auth_hash(user), *(of_old_keys() if of_old_keys is not None else ())]
    return [_digest(owner, known) for known in hashes]


def issue(conversation_id: uuid.UUID, generation: int, *, owner: str | None, user: Any) -> str:
    """Return a token for the present generation of a conversation."""
    payload = {"c": conversation_id.hex, "g": generation, "b": binding(owner, user)}
    return signing.dumps(payload, salt=_SALT)


def verify(token: str, *, owner: str | None, user: Any, seconds: float) -> ResumeToken:
    """Return what `token` says, if it was issued here, for this owner and user, in the last `seconds`.

    Raises:
        TokenError: It does not hold.
    """
    if len(token) > _MAX_CHARS:
        raise TokenError
    try:
        payload = signing.loads(token, salt=_SALT, max_age=timedelta(seconds=seconds))
        said = ResumeToken(uuid.UUID(hex=payload["c"]), int(payload["g"]))
        bound = str(payload["b"])
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        raise TokenError from None
    if not any(hmac.compare_digest(bound, known) for known in bindings(owner, user)):
        raise TokenError
    return said


def _digest(owner: str | None, auth_hash: str) -> str:
    # The lengths keep "a" + "bc" apart from "ab" + "c", and nobody apart from the owner "".
    parts = ["-" if owner is None else f"{len(owner)}:{owner}", auth_hash]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def _auth_hash(user: Any) -> str:
    of_session = getattr(user, "get_session_auth_hash", None)
    return "" if of_session is None else str(of_session())
