"""Who may use a view: the same permission as the consumer's, asked in one place."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from novasonic.contrib.django.permissions import get_permission

if TYPE_CHECKING:
    from django.http import HttpRequest

    from novasonic.contrib.django.permissions import Permission

# A proxy that passes somebody else's request on adds one of these.
_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")


async def user_of(request: HttpRequest) -> Any | None:
    """Return who signed in and is active, or None."""
    # Absent where the site has no AuthenticationMiddleware: then nobody is signed in.
    ask = getattr(request, "auser", None)
    user = None if ask is None else await ask()
    return user if user is not None and user.is_authenticated and user.is_active else None


async def is_allowed(request: HttpRequest, user: Any | None, permission: Permission | None = None) -> bool:
    """Ask `permission`, or ``NOVASONIC["PERMISSION"]``, as a consumer does before it lets somebody talk."""
    scope = {**getattr(request, "scope", {"type": "http", "path": request.path}), "user": user}
    return await (permission or get_permission()).allows(user=user, scope=scope)


def is_from_here(request: HttpRequest) -> bool:
    """Say whether a program on this machine asks for itself.

    Behind a proxy on the same machine every request comes from loopback: so whatever bears a proxy's mark, or asks
    for a public name, counts as somebody else's.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    return is_loopback(request.META.get("REMOTE_ADDR", "")) and (host == "localhost" or is_loopback(host))


def is_loopback(address: str) -> bool:
    """Say whether an IP address is this machine's own; False for names."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    # ::ffff:127.0.0.1, as a dual-stack socket shows it.
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
