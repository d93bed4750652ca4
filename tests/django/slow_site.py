"""The demo's site with neighbours: one consumer that keeps the database's thread busy, and one that is measured."""

import os
import time

os.environ["DJANGO_SETTINGS_MODULE"] = "novasonic.contrib.django.demo.settings"

from novasonic.contrib.django.demo.asgi import http_application  # isort: skip  - sets Django up

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from novasonic.contrib.django.consumers import NovaSonicConsumer


class SlowNeighbour(AsyncWebsocketConsumer):
    """Answers each message after 300 ms in the one thread that all database calls share."""

    async def receive(self, text_data=None, bytes_data=None):
        await database_sync_to_async(time.sleep)(0.3)
        await self.send(text_data=text_data)


class Voice(NovaSonicConsumer):
    """Ten at once are one user's, who may hold three."""

    async def get_owner(self):
        return str(self.conversation.id)


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(
            URLRouter([path("voice/", Voice.as_asgi()), path("slow/", SlowNeighbour.as_asgi())])
        ),
    }
)
