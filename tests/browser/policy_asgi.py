"""The site of policy_settings; its static files are collected when it starts."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "policy_settings"

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.core.management import call_command

http_application = get_asgi_application()
call_command("collectstatic", interactive=False, verbosity=0)

from novasonic.contrib.django.routing import websocket_urlpatterns  # noqa: E402  - needs the applications loaded

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
