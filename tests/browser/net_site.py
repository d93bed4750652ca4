"""The site of net_settings; how its conversations outlive their streams is told by the environment."""

import json
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "net_settings"

from novasonic.contrib.django.demo.asgi import http_application  # isort: skip  - sets Django up

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

import novasonic
from novasonic.contrib.django.consumers import NovaSonicConsumer


class Talker(NovaSonicConsumer):
    turn_taking = "high"
    continuation = novasonic.Continuation(**json.loads(os.environ["NOVASONIC_NET_CONTINUATION"]))


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter([path("novasonic/ws/", Talker.as_asgi())]))
        ),
    }
)
