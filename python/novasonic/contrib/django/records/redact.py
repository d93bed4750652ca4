"""What of a text may be written."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .rows import clean

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from novasonic.contrib.django.conf import Settings

__all__ = ["Redactor", "Withheld"]

logger = logging.getLogger(__name__)

# A turn waits for it before the page is told that it is over.
REDACT_SECONDS = 2.0


class Withheld(Exception):  # noqa: N818 - it says what became of the text
    """The text could not be redacted, and must not be written."""


class Redactor:
    """Turns what was said into what is kept of it, by ``NOVASONIC["TRANSCRIPTS"]``."""

    def __init__(self, settings: Settings) -> None:
        self._mode = settings.transcripts
        self._path = settings.redact

    @property
    def keeps_arguments(self) -> bool:
        """Whether tools' arguments and results are kept: a hook for texts cannot redact them."""
        return self._mode == "full"

    async def kept(self, text: str, role: Literal["user", "assistant"]) -> str:
        """Return what is kept of `text`.

        Raises:
            Withheld: The hook is missing, failed, or took longer than two seconds.
        """
        if self._mode == "off" or not text:
            return ""
        if self._mode == "full":
            return clean(text)
        try:
            async with asyncio.timeout(REDACT_SECONDS):
                return clean(await _hook(self._path)(text, role=role))
        except Exception as error:
            # No traceback: its last lines, and what they were called with, may hold the text.
            logger.error("A text was withheld, since it could not be redacted: %s", type(error).__name__)  # noqa: TRY400
            raise Withheld from None


def _hook(path: str | None) -> Callable[..., Awaitable[str]]:
    if path is None:
        raise ImproperlyConfigured('NOVASONIC["TRANSCRIPTS"] is "redacted", but NOVASONIC["REDACT"] names no hook.')
    hook: Callable[..., Awaitable[str]] = import_string(path)
    return hook
