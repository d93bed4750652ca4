"""What the views for pages with keys of their own share: a token against forged requests, and somebody signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_protect

from .api import ApiView, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase


class DirectView(ApiView):
    """GET gives the CSRF token that POST wants."""

    http_method_names = ("get", "post", "options")
    strict_origin = True

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """Protect it even where the site's middleware does not."""
        return csrf_protect(super().as_view(**initkwargs))

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Give the token to those who may POST; a page of another origin cannot read the cookie."""
        await self.require_allowed(request)
        return JsonResponse({"csrfToken": get_token(request)})

    async def require_signed_in(self, request: HttpRequest) -> Any:
        """Return who asks.

        A permission may let anybody talk through this server, which can hang up. Keys are out of its reach.

        Raises:
            Refusal: Nobody is signed in, or they may not talk here.
        """
        user = await self.require_allowed(request)
        if user is None:
            raise Refusal(401, "not_signed_in", "Sign in first.")
        return user
