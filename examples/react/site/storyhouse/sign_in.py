"""Who asks, by a token in a header: cookies of this site do not reach it from pages of another one.

A stand-in for the tokens that your site has already (Django REST framework's, a JWT, your identity provider's).
"""

from collections.abc import Awaitable, Callable

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]

_SALT = "storyhouse.sign_in"
_MAX_SECONDS = 8 * 60 * 60


def issue(user: AbstractBaseUser) -> str:
    """Return a token by which requests are `user`'s."""
    return signing.dumps(user.pk, salt=_SALT)


@async_only_middleware
def bearer(get_response: Answer) -> Answer:
    """Let ``request.auser()`` return whose token the request brings, and let pages of other origins bring one."""

    async def answer(request: HttpRequest) -> HttpResponse:
        async def auser() -> AbstractBaseUser | AnonymousUser:
            kind, _, token = request.headers.get("Authorization", "").partition(" ")
            if kind.lower() == "bearer":
                try:
                    pk = signing.loads(token, salt=_SALT, max_age=_MAX_SECONDS)
                    return await get_user_model().objects.aget(pk=pk)
                except (signing.BadSignature, get_user_model().DoesNotExist):
                    pass
            return AnonymousUser()

        request.auser = auser
        response = await get_response(request)
        if "Access-Control-Allow-Headers" in response:
            # What novasonic's views say to a preflight is for sites with cookies.
            response["Access-Control-Allow-Headers"] += ", authorization"
        return response

    return answer
