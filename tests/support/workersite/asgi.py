"""Its consumer, whose tool leaves a note of which process ran it."""
# ruff: noqa: E402 - Django is set up before anything of its applications is imported

import os
from pathlib import Path

from django.core.asgi import get_asgi_application

http_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

import novasonic
from novasonic.contrib.django.consumers import NovaSonicConsumer

NOTES = Path(os.environ["NOVASONIC_TEST_NOTES"])


@novasonic.tool
async def note() -> str:
    """Leave a note."""
    with NOTES.open("a") as notes:  # noqa: ASYNC230 - a line
        notes.write(f"{os.getpid()}\n")
    return "noted"


class Talker(NovaSonicConsumer):
    tools = (note,)


application = ProtocolTypeRouter(
    {"http": http_application, "websocket": AuthMiddlewareStack(URLRouter([path("", Talker.as_asgi())]))}
)
