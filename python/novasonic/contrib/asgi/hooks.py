"""What a site may set and override of a voice handler; `handler` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import novasonic

from .choices import PageRules
from .guard import PageCaps

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from novasonic import events

    from .companion import Companion, Conversation, Refused
    from .handler import VoiceHandler
    from .wire import Initialize

__all__ = ["Hooks", "SiteRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """What holds for all conversations of a site."""

    allowed_origins: tuple[str, ...] = ()
    """Origins (``https://app.example.org``) whose pages may talk, beside the site's own."""
    first_message_seconds: float = 5.0
    """How long a page may say nothing after its socket opened."""
    heartbeat_seconds: float = 25.0
    """So often a page is sent something, for proxies that close what is silent."""
    handshakes_per_minute: int = 60
    """From one address, signed in or not."""
    trusted_proxies: int = 0
    """How many proxies stand before the server: so many of ``X-Forwarded-For``, from its end, are believed."""
    accept_client_credentials: bool = False
    """Lets pages bring their own AWS keys, and their own prompt with them."""


class Hooks:
    """The conversation's settings, as `novasonic.NovaSonic.connect` names them, and what a site is asked and told.

    Hooks run in the conversation's own task: what one waits for delays this conversation and no other.
    """

    model: ClassVar[str | None] = None
    """None: the site's, `novasonic.NOVA_2_SONIC` by default."""
    system: ClassVar[str | None] = None
    voice: ClassVar[str] = "tiffany"
    input_rate: ClassVar[int] = 16_000
    """Hz of the page's audio, 8000 to 192000; the core resamples what is not 8000, 16000 or 24000."""
    output_rate: ClassVar[int] = 24_000
    """Hz of the model's audio as the page gets it, 8000 to 192000."""
    turn_taking: ClassVar[Literal["high", "medium", "low"] | None] = None
    max_tokens: ClassVar[int | None] = None
    top_p: ClassVar[float | None] = None
    temperature: ClassVar[float | None] = None
    tools: ClassVar[Sequence[novasonic.Tool]] = ()
    """What the model may call; ``get_tools`` gives others to others."""
    tool_choice: ClassVar[novasonic.Tool | str | None] = None
    tool_limits: ClassVar[novasonic.ToolLimits | None] = None
    show_tool_arguments: ClassVar[bool] = False
    """True: the page is sent the arguments of every call, not only of those that it has to approve."""
    continuation: ClassVar[novasonic.Continuation | None] = novasonic.Continuation()
    """How a conversation outlives its streams; None: it ends with the first."""
    limits: ClassVar[novasonic.Limits | None] = None
    realtime: ClassVar[bool] = True
    """False: the page sends audio at all times, as a microphone does; nothing is paced and no silence is added."""
    voices: ClassVar[Collection[str]] = ()
    """Voices that a page may choose by `initialize`; so with the others."""
    models: ClassVar[Collection[str]] = ()
    regions: ClassVar[Collection[str]] = ()
    languages: ClassVar[Collection[str]] = ()
    """What a page chose is ``self.chosen.language``, for ``get_system_prompt`` to heed."""
    prewarm: ClassVar[bool] = False
    """True: the stream opens, and costs, at `initialize` and not only at the first audio or text."""
    caps: ClassVar[PageCaps] = PageCaps()
    """How much a page may send."""
    tickets: ClassVar[bool] = False
    """True: whoever is not signed in may show a one-time ticket in `initialize`, and needs no Origin header."""

    scope: Any
    """The ASGI scope of the socket."""
    user: Any = None
    """Who talks: what `authenticate` said, or the ticket."""
    conversation: Conversation
    session: novasonic.Session | None
    chosen: Initialize
    """What the page asked for."""

    def get_rules(self) -> SiteRules:
        """Return what holds for all conversations of the site."""
        return SiteRules()

    def get_page_rules(self) -> PageRules:
        """Return what a page may choose and send."""
        return PageRules(
            voices=self.voices,
            models=self.models,
            regions=self.regions,
            languages=self.languages,
            accept_client_credentials=self.get_rules().accept_client_credentials,
        )

    def get_client(self) -> novasonic.NovaSonic:
        """Return the client that opens this conversation.

        In ``self.conversation.region`` where that is set, and by ``self.chosen.credentials`` where the page may bring
        them.
        """
        raise NotImplementedError

    def get_companions(self) -> Sequence[Companion]:
        """Return what goes with this conversation, in the order in which it is asked."""
        return ()

    async def authenticate(self) -> Any | None:
        """Return who opened this socket, by its cookies or headers; None: nobody known."""
        return None

    async def redeem_ticket(self, ticket: str) -> Any | None:
        """Return whose one-time ticket this is; None: nobody's, or used before."""
        return None

    async def is_allowed(self) -> bool:
        """Say whether ``self.user`` may talk; False closes with 4403, or 4401 where nobody is signed in."""
        return self.user is not None

    async def prepare(self) -> None:
        """Make ready what other hooks need; the first of a conversation's own work."""

    def get_model(self) -> str:
        """Return the model to talk to."""
        return self.chosen.model or self.model or novasonic.NOVA_2_SONIC

    async def get_owner(self) -> str | None:
        """Return who pays: limits and records are kept by this key."""
        return None

    async def get_system_prompt(self) -> str | None:
        """Return the system prompt of this conversation."""
        return self.system

    async def get_history(self) -> Sequence[novasonic.Message]:
        """Return earlier messages that the conversation goes on from; not asked where it is resumed."""
        return ()

    async def get_tools(self) -> Sequence[novasonic.Tool]:
        """Return what the model may call in this conversation."""
        return self.tools

    def get_context(self) -> Any:
        """Return what tools get as ``ToolContext.state``: the scope, whose ``["user"]`` is who signed in.

        Who a tool works for is read there and nowhere else: arguments are the model's, and say what anybody told it.
        """
        return self.scope

    async def has_consent(self) -> bool:
        """Say whether who talks has agreed to be recorded; without it nothing is, whatever the settings say."""
        return False

    async def on_planned_text(self, event: events.Transcript) -> bool | None:
        """Look at a sentence before it is heard; False keeps its words and its sound from the page.

        One that the service never announced is asked about when it has been said (``event.final``), for its words.
        The model does not know: its own history holds the sentence.
        """

    async def on_transcript(self, event: events.Transcript) -> None:
        """Do what the site wants with a transcript; it reaches the page only after this returns."""

    async def on_tool_call(self, event: events.ToolCall) -> None:
        """Do what the site wants with a call; manual tools are answered by ``self.session.send_tool_result``.

        The tool itself does not wait for this; the page is told after it returns.
        """

    async def on_turn(self, event: events.TurnEnded) -> None:
        """Do what the site wants with a turn that is over; the page is told after this returns."""

    async def on_interrupted(self, event: events.Interrupted) -> None:
        """Do what the site wants where an answer was cut short; the page is told before."""

    async def on_unavailable(self, error: Refused | novasonic.NovaSonicError) -> str | type[VoiceHandler] | None:
        """Answer for a conversation that cannot open: no capacity, a limit, a service that fails.

        Returns:
            None: the page is told what it may know. A text: it is shown as the assistant's, and then the same. Another
            handler: this socket goes on with that one.
        """

    async def on_error(self, error: Exception) -> None:
        """Do what the site wants with a failure; the page has been told what it may know."""

    async def on_end(self, reason: str, error: BaseException | None) -> None:
        """Do what the site wants after the conversation, once for each that began.

        Args:
            reason: As `Companion.ended` says.
            error: What it ended with.
        """
