"""HTTP for what the application asks, WebSocket for the voice."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storyhouse.settings")
http_application = get_asgi_application()

from .consumers import Storyteller  # noqa: E402  - needs the applications loaded

application = ProtocolTypeRouter(
    {
        "http": http_application,
        # No AuthMiddlewareStack, since no cookie signs anybody in. Channels' AllowedHostsOriginValidator knows neither
        # tickets nor ALLOWED_ORIGINS; the consumer checks the origin itself.
        "websocket": URLRouter([path("stories/<slug:story>/ws/", Storyteller.as_asgi())]),
    }
)
