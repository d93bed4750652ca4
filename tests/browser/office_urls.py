"""The addresses of the site with an admin, and its application."""

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib import admin
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.urls import path

http_application = ASGIStaticFilesHandler(get_asgi_application())

# After the applications are loaded.
from novasonic.contrib.django.consumers import NovaSonicConsumer  # noqa: E402
from novasonic.contrib.django.demo.urls import urlpatterns as demo  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls), *demo]


class Recorded(NovaSonicConsumer):
    """Talks to whoever has agreed to be recorded: everybody here."""

    async def has_consent(self):
        return True


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(URLRouter([path("novasonic/ws/", Recorded.as_asgi())])),
    }
)
