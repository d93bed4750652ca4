"""What goes with a page's conversation without being on its audio path: limits, records, supervision."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import novasonic
    from novasonic import events

    from .handler import VoiceHandler
    from .wire import CloseCode

__all__ = ["Companion", "Conversation", "Refused"]


class Refused(Exception):  # noqa: N818 - it says what became of the request, as Django's Http404 does
    """A conversation is not to be opened, or not to go on; the page is told `code` and `message`."""

    def __init__(self, close: CloseCode, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.close = close
        self.code = code
        self.message = message
        self.retryable = retryable


@dataclass(slots=True, kw_only=True)
class Conversation:
    """What one page's conversation is, across workers; companions complete it before it opens."""

    id: uuid.UUID = field(default_factory=uuid.uuid4)
    owner: str | None = None
    """Who pays and may go on with it; limits and records are kept by this key. None: nobody known."""
    generation: int = 1
    """Raised by each worker that takes the conversation over; whoever holds a lower one has lost it."""
    first_turn: int = 1
    """Number of its next turn: 1 unless it is resumed."""
    history: tuple[novasonic.Message, ...] = ()
    """What was said before, where it is resumed; the site's own ``get_history`` otherwise."""
    region: str | None = None
    """Another region than the site's."""
    usd_before: float = 0.0
    """What it has cost before this worker took it over."""
    resume_token: str | None = field(default=None, repr=False)
    """What the page is told to come back with; None: it cannot."""


class Companion:
    """Accompanies one conversation; one object for each. The base does nothing.

    `begin` of all companions runs in order when the page says what it wants, before it is told `initialized`: no
    stream, no lease and no cost yet. `admit` runs in order before the stream opens, which is at the first audio or
    text. `ended` of all that began runs in reverse order, exactly once each, however the conversation ends, a failed
    opening and a cancelled task included.
    """

    def __init__(self, handler: VoiceHandler) -> None:
        self.handler = handler

    @property
    def conversation(self) -> Conversation:
        """The conversation it belongs to."""
        return self.handler.conversation

    async def begin(self) -> None:
        """Complete `conversation`: the page has said `initialize`, or sent its first audio or text.

        Raises:
            Refused: It may not have this conversation.
        """

    async def admit(self) -> None:
        """Let the conversation open, after waiting if need be.

        Raises:
            Refused: It may not.
        """

    def settings(self) -> dict[str, Any]:
        """Return arguments of `novasonic.NovaSonic.connect` that replace the handler's own."""
        return {}

    def tools(self, tools: Sequence[novasonic.Tool]) -> Sequence[novasonic.Tool]:
        """Return the handler's tools in the form in which they may run."""
        return tools

    async def opened(self, session: novasonic.Session) -> None:
        """The stream is open; the page is told after this."""

    def heard(self, pcm: bytes) -> None:
        """The page's audio, in order, as the session takes it. On the audio path: must neither wait nor fail."""

    def event(self, event: events.Event) -> None:
        """An event of the session, before the page is told. On the audio path: must neither wait nor fail."""

    def played(self, turn: int, ms: int) -> None:
        """The page has played `ms` of this turn. On the audio path."""

    async def turn_ended(self, event: events.TurnEnded) -> None:
        """Complete what must be safe before the page is told that the turn is over."""

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """The conversation is over on this worker.

        Args:
            reason: ``closed``, ``limit``, ``server`` or ``error`` as in `novasonic.SessionEnded`; ``gone`` where the
                page went away; ``reconnect`` where it goes on elsewhere; ``refused`` where it never opened.
            error: What it ended with.
        """
