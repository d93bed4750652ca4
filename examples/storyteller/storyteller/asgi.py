"""HTTP for the pages, WebSocket for the voice."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storyteller.settings")
# Serves static files itself, so that one process is the whole site; a web server does that in production.
http_application = ASGIStaticFilesHandler(get_asgi_application())

from .routing import websocket_urlpatterns  # noqa: E402  - needs the applications loaded

application = ProtocolTypeRouter(
    {
        "http": http_application,
        # The origin check is what keeps other sites' pages from talking with our users' cookies.
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
