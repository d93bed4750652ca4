"""Checks of the site around ``NOVASONIC``: server, layer, static files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings as site
from django.core.checks import register

from .base import TAG, error, warning

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

# What a page cannot do without.
STATIC_FILES = (
    "novasonic/element.js",
    "novasonic/novasonic.js",
    "novasonic/capture-worklet.js",
    "novasonic/playback-worklet.js",
)
_IN_MEMORY = "channels.layers.InMemoryChannelLayer"


@register(TAG)
def check_server(**_: Any) -> list[CheckMessage]:
    """Look whether anything will serve WebSockets."""
    found = []
    if not getattr(site, "ASGI_APPLICATION", None):
        hint = "Set ASGI_APPLICATION to the ProtocolTypeRouter of your asgi.py; runserver and doctor read it."
        found.append(warning(10, "ASGI_APPLICATION is not set.", hint))
    names = [config.name for config in apps.get_app_configs()]
    static = "django.contrib.staticfiles"
    if "daphne" in names and static in names and names.index("daphne") > names.index(static):
        hint = 'Put "daphne" first in INSTALLED_APPS.'
        found.append(error(20, "daphne comes after staticfiles, whose runserver serves no WebSockets.", hint))
    return found


@register(TAG)
def check_layer(**_: Any) -> list[CheckMessage]:
    """Look whether workers can reach each other."""
    if site.DEBUG:
        return []
    layers = getattr(site, "CHANNEL_LAYERS", {})
    hint = (
        "Use channels_redis.core.RedisChannelLayer where several workers serve. Without it the admin hangs up "
        "conversations of its own worker alone, and a sign-out ends others within RECHECK_SECONDS."
    )
    if "default" not in layers:
        return [warning(11, "CHANNEL_LAYERS has no default.", hint)]
    if layers["default"].get("BACKEND") == _IN_MEMORY:
        return [warning(11, "CHANNEL_LAYERS keeps messages in memory: workers do not reach each other.", hint)]
    return []


@register(TAG)
def check_static_files(**_: Any) -> list[CheckMessage]:
    """Look whether pages will find our scripts."""
    if not apps.is_installed("django.contrib.staticfiles"):
        hint = 'Add "django.contrib.staticfiles", or serve static/novasonic/ of this package at STATIC_URL yourself.'
        return [warning(12, "django.contrib.staticfiles is not installed: who serves our scripts?", hint)]
    from django.contrib.staticfiles import finders

    if missing := [name for name in STATIC_FILES if finders.find(name) is None]:
        hint = (
            "Add django.contrib.staticfiles.finders.AppDirectoriesFinder to STATICFILES_FINDERS, and novasonic.contrib."
            "django to INSTALLED_APPS."
        )
        return [error(21, f"Static files are not found: {', '.join(missing)}.", hint)]
    return []
