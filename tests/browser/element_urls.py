"""Pages around the element, by what stands in their address; the site's application."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "element_site"

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

http_application = ASGIStaticFilesHandler(get_asgi_application())

# After the applications are loaded.
from django.http import HttpResponse  # noqa: E402
from django.template import Context, Template  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.translation import get_language_bidi, override  # noqa: E402

import novasonic  # noqa: E402
from novasonic.contrib.django.consumers import NovaSonicConsumer  # noqa: E402
from novasonic.contrib.django.demo.urls import urlpatterns as demo  # noqa: E402

PAGE = """<!doctype html><html lang="{{ language }}" dir="{{ direction }}"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A page of its own</title>
<link rel="icon" href="data:,"><style>
  :root { color-scheme: light dark; }
  body { margin: 0; background: light-dark(#f6f5fb, #14121f); color: light-dark(#1d1b2e, #eceaf6); }
  body { font-family: sans-serif; }
  main { max-width: 44rem; margin: auto; padding: 1rem; }
</style></head><body><main><h1>A page of its own</h1>{% load novasonic %}BODY</main></body></html>"""
BODIES = {
    "one": "{% novasonic_talk figures=True sample=True %}",
    "plain": "{% novasonic_talk captions='off' %}",
    "two": "<div id=first>{% novasonic_talk %}</div><div id=second>{% novasonic_talk voice='matthew' %}</div>",
    "held": "<label>Name <input></label>{% novasonic_talk push_to_talk=True %}<p tabindex=0>Text</p>",
    "filled": "{% novasonic_client %}<nova-sonic-talk voice=matthew><h2 slot=header>Ask away</h2>"
    "<span slot=empty>Nothing yet.</span><button data-say='Say this'>Ask this</button></nova-sonic-talk>",
}


def page(request, name):
    with override(request.GET.get("language", "en")):
        context = {
            "language": request.GET.get("language", "en"),
            "direction": "rtl" if get_language_bidi() else "ltr",
        }
        return HttpResponse(Template(PAGE.replace("BODY", BODIES[name])).render(Context(context)))


urlpatterns = [path("element/<name>/", page), *demo]


@novasonic.tool(approval=True)
def pay(to: str, euros: int, why: str) -> str:
    """Pay somebody."""
    return f"Paid {to} {euros} for {why}."


class Talker(NovaSonicConsumer):
    """Lets pages choose between two voices."""

    tools = (pay,)
    voices = ("tiffany", "matthew")


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(URLRouter([path("novasonic/ws/", Talker.as_asgi())])),
    }
)
