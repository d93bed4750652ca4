"""What our JSON views share: the allow-list of origins, answers that nobody stores, errors of one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse, JsonResponse
from django.views.generic import View

from novasonic.contrib.django.conf import get_settings

from . import cors
from .access import is_allowed, user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from django.http import HttpRequest

    from novasonic.contrib.django.conf import Settings
    from novasonic.contrib.django.permissions import Permission


class Refusal(Exception):  # noqa: N818 - an answer, as Django's Http404 is
    """The answer is this status, `code` and words; they never say what is wrong inside."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def answer(self) -> HttpResponse:
        """Return what the asker is sent."""
        response = JsonResponse({"code": self.code, "message": self.message}, status=self.status)
        if self.retry_after is not None:
            response["Retry-After"] = str(self.retry_after)
        return response


class ApiView(View):
    """A view for programs. Subclasses have ``async def get(...)`` or ``post``, which may raise `Refusal`."""

    http_method_names = ("get", "head", "options")
    strict_origin: ClassVar[bool] = False
    """True: a page of an origin that is not listed is refused, beside being kept from reading the answer."""
    permission: Permission | None = None
    """Who may ask, as of a consumer; None: ``NOVASONIC["PERMISSION"]``. ``as_view(permission=...)`` sets it too."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, HttpResponse]:  # type: ignore[override]
        """Answer, and say who may read the answer."""
        return self._answer(request, *args, **kwargs)

    async def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        settings = get_settings()
        try:
            response = await self._handle(request, settings, *args, **kwargs)
        except Refusal as refusal:
            response = refusal.answer()
        cors.add_headers(request, response, settings.allowed_origins, self._methods())
        response.setdefault("Cache-Control", "no-store")
        return response

    async def _handle(self, request: HttpRequest, settings: Settings, *args: Any, **kwargs: Any) -> HttpResponse:
        self.check_enabled(settings)
        if self.strict_origin and not cors.admits(request, settings.allowed_origins):
            raise Refusal(403, "origin_not_allowed", "This site does not serve that page.")
        if request.method == "OPTIONS":
            return HttpResponse(status=204, headers={"Allow": self._methods()})
        name = (request.method or "").lower()
        handler: Callable[..., Coroutine[Any, Any, HttpResponse]] | None = getattr(self, name, None)
        if name not in self.http_method_names or handler is None:
            refused = Refusal(405, "method_not_allowed", "This address has no such method.").answer()
            refused["Allow"] = self._methods()
            return refused
        return await handler(request, *args, **kwargs)

    def _methods(self) -> str:
        return ", ".join(name.upper() for name in self.http_method_names if name == "options" or hasattr(self, name))

    def check_enabled(self, settings: Settings) -> None:
        """Raise `Refusal` where the site does not serve this view."""

    async def require_allowed(self, request: HttpRequest) -> Any | None:
        """Return who asks.

        Raises:
            Refusal: They are not signed in, or may not talk here.
        """
        user = await user_of(request)
        if await is_allowed(request, user, self.permission):
            return user
        if user is None:
            raise Refusal(401, "not_signed_in", "Sign in first.")
        raise Refusal(403, "not_allowed", "You may not talk here.")
