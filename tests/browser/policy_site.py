"""The demo's addresses as nginx would show them: collected static files, a Content-Security-Policy on each answer."""

from django.conf import settings
from django.urls import include, re_path
from django.utils.decorators import sync_and_async_middleware
from django.views.static import serve


@sync_and_async_middleware
def policy(get_response):
    async def answer(request):
        response = await get_response(request)
        response["Content-Security-Policy"] = settings.POLICY
        # What worklets import, the browser's own tools do not tell.
        with settings.ASKED.open("a") as asked:
            asked.write(f"{request.path}\n")
        return response

    return answer


urlpatterns = [
    re_path(r"^static/(?P<path>.*)$", serve, {"document_root": settings.STATIC_ROOT}),
    re_path(r"", include("novasonic.contrib.django.demo.urls")),
]
