"""Whose pages may read the answers of our views: the site's own, and those of ``NOVASONIC["ALLOWED_ORIGINS"]``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.utils.cache import patch_vary_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest, HttpResponse

# scheme://host[:port] and nothing else: "*", "null" and addresses with a path are no origins.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT_SECONDS = 600


def normal_origin(text: str) -> str | None:
    """Return an origin as browsers write it, without the scheme's own port; None where `text` is no origin."""
    if not _ORIGIN.fullmatch(text):
        return None
    parts = urlsplit(text.lower())
    try:
        port = parts.port
    except ValueError:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def is_listed(origin: str | None, allowed: Iterable[str]) -> bool:
    """Say whether `origin` is one of `allowed`: the whole of it, since ``https://a.example.evil`` begins alike."""
    if origin is None:
        return False
    normal = normal_origin(origin)
    return normal is not None and normal in {normal_origin(each) for each in allowed}


def is_own(request: HttpRequest, origin: str) -> bool:
    """Say whether `origin` is the site's own, as this request reached it."""
    normal = normal_origin(origin)
    return normal is not None and normal == normal_origin(f"{request.scheme}://{request.get_host()}")


def admits(request: HttpRequest, allowed: Iterable[str]) -> bool:
    """Say whether the page that asks may: one of the site, one of the list, or no page at all."""
    origin = request.headers.get("Origin")
    # Without an Origin it is no page of another site: browsers send one with every request that crosses origins.
    return origin is None or is_own(request, origin) or is_listed(origin, allowed)


def add_headers(request: HttpRequest, response: HttpResponse, allowed: Iterable[str], methods: str) -> None:
    """Let the browser hand `response` to a page of the list; of others it keeps it back by itself."""
    # In every answer: a cache must not give one origin what was said to another.
    patch_vary_headers(response, ("Origin",))
    origin = request.headers.get("Origin")
    if origin is None or not is_listed(origin, allowed):
        return
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Allow-Credentials"] = "true"
    if is_preflight(request):
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = "content-type, x-csrftoken"
        response["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)


def is_preflight(request: HttpRequest) -> bool:
    """Say whether a browser asks first whether it may ask."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
