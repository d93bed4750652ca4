"""What a page must be told by the server, for a template of one's own: ``{% load novasonic %}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template
from django.templatetags.static import static
from django.utils.html import format_html_join

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.views import SOCKET_PATH

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def novasonic_attributes(socket_path: str = SOCKET_PATH) -> SafeString:
    """Write the ``data-`` attributes that ``talk.js`` reads.

    The worklets' addresses are among them because static file storage may put a hash into their names, which a
    script cannot guess. Data attributes need no inline script, so ``script-src 'self'`` is enough.
    """
    attributes = {
        "socket": "/" + socket_path.lstrip("/"),
        "capture-worklet": static("novasonic/capture-worklet.js"),
        "playback-worklet": static("novasonic/playback-worklet.js"),
        "sample": static("novasonic/sample.wav"),
    }
    return format_html_join(" ", 'data-{}="{}"', attributes.items())


@register.simple_tag
def novasonic_emulated() -> bool:
    """Say whether conversations go to an emulator on this machine instead of Amazon Nova Sonic."""
    return get_settings().emulated


@register.simple_tag
def novasonic_phrases() -> list[str]:
    """List what the emulator's offline voice understands, in the order of its story."""
    from novasonic.emulator.voice import phrases

    return list(phrases())
