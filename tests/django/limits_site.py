"""The demo's site with limits on Redis; each page is an owner of its own."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "novasonic.contrib.django.demo.settings"

from novasonic.contrib.django.demo.asgi import http_application  # isort: skip  - sets Django up

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.limits.companion import Admission

settings.NOVASONIC = {
    "REDIS_URL": os.environ["NOVASONIC_TEST_REDIS"],
    "OVERFLOW": "wait",
    "WAIT_SECONDS": 100,
    "LIMITS": {"STREAMS": 20},
}


class Consumer(NovaSonicConsumer):
    async def is_allowed(self):
        return True

    async def get_owner(self):
        return str(id(self))

    def get_companions(self):
        return (Admission(self),)


application = ProtocolTypeRouter(
    {"http": http_application, "websocket": URLRouter([path("voice/", Consumer.as_asgi())])}
)
