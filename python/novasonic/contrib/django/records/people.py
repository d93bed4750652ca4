"""Users of the site, by their names."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

__all__ = ["find_user", "users_named_like"]

MAX_FOUND = 200


def find_user(name: str) -> Any | None:
    """Return the user who signs in by this name; blocks."""
    users: Any = get_user_model()
    return users._default_manager.filter(Q((users.USERNAME_FIELD, name))).first()


def users_named_like(part: str) -> list[Any]:
    """Return primary keys of users whose names have `part` in them, 200 at most; blocks."""
    users: Any = get_user_model()
    found = users._default_manager.filter(Q((f"{users.USERNAME_FIELD}__icontains", part)))
    return list(found.values_list("pk", flat=True)[:MAX_FOUND])
