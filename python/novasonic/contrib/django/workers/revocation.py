"""Hanging up on those who may not talk any more: signed out, deactivated, with another password, or expired.

What Django tells by a signal reaches every worker at once, where there is a channel layer. The re-check finds out the
rest: what was changed past the signals, sessions that expired, and everything on sites without a layer.
"""

from __future__ import annotations

import importlib
import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import close_old_connections, transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from . import tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["Subject", "Verdict", "check", "connect_signals"]

logger = logging.getLogger(__name__)

_UID: Final = "novasonic.contrib.django.workers.revocation"
# After the moment a session ends, so that the store agrees that it has.
_AFTER_EXPIRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who talks, as it was when the conversation began."""

    user_pk: str | None
    """None: nobody whom Django's database knows."""
    auth: str
    """Digest of the session auth hash, which changes with the password."""
    session_key: str | None

    @classmethod
    def of(cls, user: Any, scope: Any) -> Subject:
        """Return who talks over a socket of `scope`."""
        known = isinstance(user, get_user_model())
        session = scope.get("session")
        return cls(
            user_pk=str(user.pk) if known else None,
            auth=tokens.binding(None, user),
            # A session that nobody is signed in to says nothing about who was let in by a ticket or a header.
            session_key=session.session_key if known and session is not None and SESSION_KEY in session else None,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a re-check found."""

    revoked: bool
    seconds_left: float = math.inf
    """Until the session ends by itself, where that is known."""


def connect_signals() -> None:
    """Listen to Django's signals; for ``AppConfig.ready``."""
    user_model = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid=_UID)
    post_save.connect(_saved, sender=user_model, dispatch_uid=_UID)
    post_delete.connect(_deleted, sender=user_model, dispatch_uid=_UID)


def check(subjects: Sequence[Subject]) -> list[Verdict]:
    """Look up who of `subjects` still may talk. Works on the database: for a thread of its own.

    A database that does not answer revokes nobody.
    """
    close_old_connections()
    try:
        user_model = get_user_model()
        wanted = {subject.user_pk for subject in subjects if subject.user_pk is not None}
        found = user_model._default_manager.filter(pk__in=wanted)
        users = {str(user.pk): user for user in found}
        return [_verdict(subject, users) for subject in subjects]
    except Exception as error:
        logger.warning("Whether users may still talk could not be looked up: %s", type(error).__name__)
        return [Verdict(revoked=False) for _ in subjects]
    finally:
        close_old_connections()


def _verdict(subject: Subject, users: dict[str, Any]) -> Verdict:
    if subject.user_pk is None:
        return Verdict(revoked=False)
    user = users.get(subject.user_pk)
    if user is None or not getattr(user, "is_active", True) or subject.auth not in _auths(user):
        return Verdict(revoked=True)
    if subject.session_key is None:
        return Verdict(revoked=False)
    store = importlib.import_module(settings.SESSION_ENGINE).SessionStore
    # Loaded, since `exists` says yes to what has expired.
    if str(store(subject.session_key).load().get(SESSION_KEY)) != subject.user_pk:
        return Verdict(revoked=True)
    return Verdict(revoked=False, seconds_left=_seconds_left(store, subject.session_key))


def _seconds_left(store: Any, session_key: str) -> float:
    # Sessions in the database know when they end; others are asked again and again.
    if not hasattr(store, "get_model_class"):
        return math.inf
    sessions = store.get_model_class()._default_manager
    expires = sessions.filter(session_key=session_key).values_list("expire_date", flat=True).first()
    if expires is None:
        return math.inf
    left: float = (expires - timezone.now()).total_seconds()
    return max(0.0, left) + _AFTER_EXPIRY_SECONDS


def _auths(user: Any) -> list[str]:
    return tokens.bindings(None, user)


def _logged_out(sender: Any, user: Any = None, **kwargs: Any) -> None:
    if user is not None:
        _tell({"do": "close_user", "user": str(user.pk)})


def _saved(
    sender: Any,
    instance: Any,
    created: bool,
    update_fields: Collection[str] | None = None,
    **kwargs: Any,
) -> None:
    if created or kwargs.get("raw") or (update_fields is not None and not {"password", "is_active"} & {*update_fields}):
        return
    order = {
        "do": "user_changed",
        "user": str(instance.pk),
        "active": bool(getattr(instance, "is_active", True)),
        "auth": _auths(instance),
    }
    # Not before it is true, and not at all where it is rolled back.
    transaction.on_commit(partial(_tell, order), using=kwargs.get("using"), robust=True)


def _deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
    order = {"do": "close_user", "user": str(instance.pk)}
    transaction.on_commit(partial(_tell, order), using=kwargs.get("using"), robust=True)


def _tell(order: dict[str, Any]) -> None:
    from .messages import broadcast_from_anywhere

    broadcast_from_anywhere(order)
