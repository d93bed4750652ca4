"""Who may talk: permissions that a consumer names, and that combine by ``&``, ``|`` and ``~``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .conf import get_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AllowAny", "HasPermission", "IsStaff", "Permission", "SignedIn", "get_permission"]


class Permission:
    """Says whether somebody may talk; asked for each socket, resumed ones included."""

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:
        """Say whether `user` (None: nobody is signed in) may talk.

        Args:
            user: Who is signed in, active, or was shown by a ticket.
            scope: The ASGI scope of the socket, or of the request for a view.
        """
        raise NotImplementedError

    def __and__(self, other: Permission) -> Permission:
        return _Both(self, other)

    def __or__(self, other: Permission) -> Permission:
        return _Either(self, other)

    def __invert__(self) -> Permission:
        return _Not(self)


class SignedIn(Permission):
    """Whoever is signed in with an active account; the default."""

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:  # noqa: D102
        return user is not None and user.is_active


class AllowAny(Permission):
    """Anybody whose page comes from an allowed origin, at your expense."""

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:  # noqa: D102
        return True


class IsStaff(SignedIn):
    """Staff of the site."""

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:  # noqa: D102
        return await super().allows(user=user, scope=scope) and user.is_staff


@dataclass(frozen=True, slots=True)
class HasPermission(Permission):
    """Whoever has a permission of Django's, ``app_label.codename``."""

    name: str

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:  # noqa: D102
        return user is not None and user.is_active and await sync_to_async(user.has_perm)(self.name)


@dataclass(frozen=True, slots=True)
class _Both(Permission):
    one: Permission
    other: Permission

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:
        return await self.one.allows(user=user, scope=scope) and await self.other.allows(user=user, scope=scope)


@dataclass(frozen=True, slots=True)
class _Either(Permission):
    one: Permission
    other: Permission

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:
        return await self.one.allows(user=user, scope=scope) or await self.other.allows(user=user, scope=scope)


@dataclass(frozen=True, slots=True)
class _Not(Permission):
    one: Permission

    async def allows(self, *, user: Any, scope: Mapping[str, Any]) -> bool:
        return not await self.one.allows(user=user, scope=scope)


def get_permission() -> Permission:
    """Return ``NOVASONIC["PERMISSION"]``.

    Raises:
        ImproperlyConfigured: It cannot be imported, or is no permission.
    """
    path = get_settings().permission
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f'NOVASONIC["PERMISSION"] cannot be imported: {path}.') from error
    permission = found() if isinstance(found, type) else found
    if not isinstance(permission, Permission):
        raise ImproperlyConfigured(f'NOVASONIC["PERMISSION"] is no permission: {path}.')
    return permission
