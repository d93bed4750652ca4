"""What stands between this site and a conversation: looked at one after the other, each with its cure.

``manage.py novasonic_doctor`` prints it. Nothing here opens a conversation but `live`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from novasonic.contrib.django.conf import get_settings

from . import aws, live, server, site
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "examine"]


def examine(*, handshake: bool = False) -> Iterator[Finding]:
    """Yield findings as they are made.

    Args:
        handshake: Open a real stream too and send it 100 ms of silence, which costs a fraction of a cent.
    """
    try:
        settings = get_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as problem:
        cure = "docs/reference/settings.md lists every key; `manage.py check` says more."
        yield Finding("settings", "failed", f"NOVASONIC cannot be read: {problem}", cure)
        return
    yield from site.checks()
    yield from aws.examine(settings)
    yield from server.examine()
    yield site.layer()
    yield site.redis(settings)
    yield site.database(settings)
    yield site.static_files()
    if handshake:
        yield live.handshake(settings)
