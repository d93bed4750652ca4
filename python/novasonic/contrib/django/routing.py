"""WebSocket routes of the stock consumer.

Put the validator and the sign-in round them in the site's ``asgi.py``::

    from channels.auth import AuthMiddlewareStack
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.core.asgi import get_asgi_application

    django_application = get_asgi_application()
    from novasonic.contrib.django.routing import websocket_urlpatterns

    application = ProtocolTypeRouter({
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    })
"""

from __future__ import annotations

from typing import Any, cast

from django.urls import path

from .consumers import NovaSonicConsumer
from .views import SOCKET_PATH

# Django's types know views only.
websocket_urlpatterns: list[Any] = [path(SOCKET_PATH, cast("Any", NovaSonicConsumer.as_asgi()))]
