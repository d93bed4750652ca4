"""Who has looked at what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from novasonic.contrib.django.models import AccessRecord

if TYPE_CHECKING:
    import uuid

__all__ = ["write_access"]


def write_access(
    action: AccessRecord.Action,
    *,
    user: Any = None,
    conversation: uuid.UUID | None = None,
    owner: str = "",
    detail: str = "",
) -> AccessRecord:
    """Write down what is about to be done; blocks.

    Args:
        action: What it is.
        user: Who does it; None: a command of the site.
        conversation: Which conversation it is done to.
        owner: Whose records they are.
        detail: In a few words, and none of what was said.

    Raises:
        django.db.Error: It could not be written; then it must not be done.
    """
    known = isinstance(user, get_user_model())
    written: AccessRecord = AccessRecord.objects.create(
        action=action,
        user_id=user.pk if known else None,
        username=user.get_username()[:150] if known else "",
        conversation=conversation,
        owner=owner[:255],
        detail=detail[:200],
    )
    return written
