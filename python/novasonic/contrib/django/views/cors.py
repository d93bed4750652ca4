"""Whose pages may read the answers of our views: the site's own, and those of ``NOVASONIC["ALLOWED_ORIGINS"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.cache import patch_vary_headers

from novasonic.contrib.asgi.origins import is_listed, normal_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest, HttpResponse

_PREFLIGHT_SECONDS = 600


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
