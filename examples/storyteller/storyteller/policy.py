"""What browsers may load for this site's pages: its own files and nothing else, no script or style within a page."""

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from django.utils.decorators import sync_and_async_middleware

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = (
    "default-src 'self'; connect-src 'self'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@sync_and_async_middleware
def content_security_policy(get_response: "Callable[[Any], Any]") -> "Callable[[Any], Any]":
    """Add the header. Django 6.0 has a middleware for it; 5.2 has not."""

    async def answer(request: Any) -> Any:
        response = await get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    def answer_sync(request: Any) -> Any:
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return answer if iscoroutinefunction(get_response) else answer_sync
