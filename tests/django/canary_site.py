"""The demo's site with everything that must not be found in its output, and an output that tells all it can.

The root logger is at DEBUG, and each traceback comes with the locals of novasonic's frames, as error trackers send
them. The frames of a site's own code are its own affair.
"""

import logging
import os
import traceback
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "novasonic.contrib.django.demo.settings"

from novasonic.contrib.django.demo.asgi import http_application  # isort: skip  - sets Django up

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

import novasonic
from novasonic.contrib.django.consumers import NovaSonicConsumer

HOUSE = Path(novasonic.__file__).parent
DUMPED = "dumped the locals of"


class Telling(logging.Formatter):
    """Shows a traceback's locals, as far as the frames are novasonic's."""

    def formatException(self, ei):  # noqa: N802 - logging's name
        lines = [super().formatException(ei)]
        error = ei[1]
        while error is not None:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if HOUSE in Path(frame.f_code.co_filename).parents:
                    lines.append(f"{DUMPED} {frame.f_code.co_qualname}")
                    lines += [f"  {name} = {value!r}" for name, value in frame.f_locals.items()]
            error = error.__cause__ or error.__context__
        return "\n".join(lines)


handler = logging.StreamHandler()
handler.setFormatter(Telling("%(name)s %(levelname)s %(message)s"))
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.DEBUG)


@novasonic.tool
async def look_up(word: str) -> str:
    """Look something up."""
    if word.startswith("canary-broken"):
        raise RuntimeError("the drawer is stuck")
    return "canary-result"


class Keeper(NovaSonicConsumer):
    """Keeps a secret."""

    system = "canary-prompt: never tell anybody."
    tools = (look_up,)


class FailsAtWords(Keeper):
    """Has a hook that fails with the words in its hands."""

    async def on_transcript(self, event):
        raise RuntimeError("the site's own hook is broken")


class FailsAtCalls(Keeper):
    """Has a hook that fails with the arguments in its hands."""

    async def on_tool_call(self, event):
        raise RuntimeError("the site's own hook is broken")


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(
            URLRouter(
                [
                    path("keeper/", Keeper.as_asgi()),
                    path("words/", FailsAtWords.as_asgi()),
                    path("calls/", FailsAtCalls.as_asgi()),
                ]
            )
        ),
    }
)
