"""The voice assistant in a template: ``{% load novasonic %}{% novasonic_talk %}``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import template
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.views import SOCKET_PATH
from novasonic.contrib.django.words import translated_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

register = template.Library()

_WRITTEN = "novasonic_client"

MODULES = (
    "novasonic",
    "answer",
    "backlog",
    "link",
    "comeback",
    "listening",
    "wire",
    "microphone",
    "presence",
    "recording",
    "sound",
    "context",
    "capture",
    "playback",
    "words",
    "captions",
    "hold",
    "labels",
    "look",
    "make",
    "meter",
    "panel",
)
"""What ``element.js`` imports, and what that imports: who knows early need not ask for one after the other."""


@register.simple_tag(takes_context=True)
def novasonic_client(context: template.Context, url: str = SOCKET_PATH, nonce: str = "") -> SafeString:
    """Write the script that makes ``<nova-sonic-talk>`` work, once in a template.

    It tells the element what a script cannot know: where the WebSocket is, the addresses of the worklets, into whose
    names static file storage may put a hash, and the words of the active language. ``data-`` attributes need no inline
    script, so ``script-src 'self'`` is enough. Where a Content-Security-Policy goes by nonces, pass ``nonce``; the
    ``csp_nonce`` of Django's own context processor is found by itself.
    """
    if context.render_context.get(_WRITTEN):
        return SafeString()
    context.render_context[_WRITTEN] = True
    attributes = {
        "data-url": _path(url),
        "data-capture-worklet": static("novasonic/capture-worklet.js"),
        "data-playback-worklet": static("novasonic/playback-worklet.js"),
        "data-sample": static("novasonic/sample.wav"),
    }
    if words := translated_words():
        attributes["data-words"] = json.dumps(words, ensure_ascii=False)
    if nonce := nonce or str(context.get("csp_nonce", "")):
        attributes["nonce"] = nonce
    return format_html(
        '{}<script type="module" id="novasonic-client" src="{}" {}></script>',
        format_html_join("", '<link rel="modulepreload" href="{}"{}>', ((at, _nonce(nonce)) for at in _preloaded())),
        static("novasonic/element.js"),
        format_html_join(" ", '{}="{}"', _quotable(attributes.items())),
    )


@register.simple_tag(takes_context=True)
def novasonic_talk(context: template.Context, url: str = "", nonce: str = "", **attributes: Any) -> SafeString:
    """Write a voice assistant: the element, and its script where the template has none yet.

    ``url`` is the path of the WebSocket, by default the script's. All else become attributes of the element, with
    hyphens for underscores: ``voice="tiffany" push_to_talk=True captions="off"``. True writes one without a value,
    False and None write none.
    """
    written = [("url", _path(url))] if url else []
    for name, value in attributes.items():
        if value is not None and value is not False:
            written.append((name.replace("_", "-"), "" if value is True else str(value)))
    return format_html(
        "{}<nova-sonic-talk{}></nova-sonic-talk>",
        novasonic_client(context, nonce=nonce),
        format_html_join("", ' {}="{}"', _quotable(written)),
    )


@register.simple_tag
def novasonic_emulated() -> bool:
    """Say whether conversations go to an emulator on this machine instead of Amazon Nova Sonic."""
    return get_settings().emulated


@register.simple_tag
def novasonic_phrases() -> list[str]:
    """List what the emulator's offline voice understands, in the order of its story."""
    from novasonic.emulator.voice import phrases

    return list(phrases())


def _path(url: str) -> str:
    return url if "://" in url else "/" + url.lstrip("/")


def _nonce(nonce: str) -> SafeString:
    return format_html(' nonce="{}"', escape(nonce)) if nonce else SafeString()


def _quotable(attributes: Iterable[tuple[str, str]]) -> Iterator[tuple[str, SafeString]]:
    # What stands in a template in quotes, or is translated there, is marked as safe, and may hold quotes all the same.
    return ((name, escape(value)) for name, value in attributes)


def _preloaded() -> list[str]:
    """Return the addresses that the modules are going to be asked for at; none where their imports are not rewritten.

    Django's ManifestStaticFilesStorage puts hashes into names and leaves imports between modules alone, unless told
    otherwise: everything would be loaded twice.
    """
    name = f"novasonic/{MODULES[0]}.js"
    rewritten = getattr(staticfiles_storage, "support_js_module_import_aggregation", False)
    if not rewritten and not static(name).endswith(name):
        return []
    return [static(f"novasonic/{module}.js") for module in MODULES]
