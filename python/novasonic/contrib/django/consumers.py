"""The Channels consumer that joins one page to one conversation."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from urllib.parse import urlparse

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator

import novasonic
from novasonic import events
from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.wire import CloseCode

from .conf import get_settings
from .lifecycle import get_client

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

logger = logging.getLogger(__name__)

# What a page may send while its conversation still opens.
MAX_WAITING_AUDIO_MS = 5_000
MAX_WAITING_MESSAGES = 64
# An honest page sends none; beyond this many the socket is closed.
MAX_BAD_MESSAGES = 20
REFUSAL_REPORT_SECONDS = 1.0


class NovaSonicConsumer(AsyncWebsocketConsumer):
    """Relay one page's voice conversation over the browser wire (``docs/reference/browser-wire.md``).

    Subclass it and set what `novasonic.NovaSonic.connect` takes, or override ``get_system`` and ``get_history`` for
    values that depend on the user; both run before the conversation opens and may use the asynchronous ORM.

    A binary frame goes from the socket into the session without a thread hop; Channels' stock dispatcher makes one
    before every message to tidy database connections, which lets one slow query delay every conversation of the
    process. Hence `dispatch` and `websocket_receive` for binary frames must never touch the ORM. Everything else
    keeps the stock path.
    """

    model: ClassVar[str | None] = None
    """None: ``NOVASONIC["MODEL"]``."""
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
    """Voices that a page may choose by `initialize`."""
    login_required: ClassVar[bool] = True
    """False: anybody whose page comes from an allowed host may talk, at your expense."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session: novasonic.Session | None = None
        self.refused_frames = 0
        self._conversation: asyncio.Task[None] | None = None
        self._waiting: deque[bytes | wire.ClientMessage] = deque()
        self._waiting_bytes = 0
        self._chosen = wire.Initialize()
        # How much of each turn's answer the page was sent: it cannot have played more.
        self._sent_seconds: dict[int | None, float] = {}
        # Names of the tools at work, by id of the call.
        self._calls: dict[str, str] = {}
        self._bad_messages = 0
        self._reported_at = float("-inf")
        self._finished = False
        self._page_gone = False

    async def get_system(self) -> str | None:
        """Return the system prompt of this conversation."""
        return self.system

    async def get_history(self) -> Sequence[novasonic.Message]:
        """Return earlier messages that the conversation goes on from."""
        return ()

    async def get_tools(self) -> Sequence[novasonic.Tool]:
        """Return what the model may call in this conversation."""
        return self.tools

    def get_context(self) -> Any:
        """Return what tools get as ``ToolContext.state``: the scope, whose ``["user"]`` is who signed in.

        Who a tool works for is read there and nowhere else: arguments are the model's, and say what anybody told it.
        """
        return self.scope

    async def is_allowed(self) -> bool:
        """Say whether this user (``self.scope["user"]``) may talk; False closes with 4403."""
        return True

    async def on_transcript(self, event: events.Transcript) -> None:
        """Do what the site wants with a transcript; it reaches the page only after this returns."""

    async def on_tool_call(self, event: events.ToolCall) -> None:
        """Do what the site wants with a call; manual tools are answered by ``self.session.send_tool_result``.

        The tool itself does not wait for this; the page is told after it returns.
        """

    async def on_turn(self, event: events.TurnEnded) -> None:
        """Do what the site wants with a turn that is over; the page is told after this returns."""

    async def connect(self) -> None:
        """Accept first, so that a page that is refused learns why from the close code."""
        await self.accept()
        if not self._origin_allowed():
            await self._finish(CloseCode.NOT_ALLOWED, "origin_not_allowed", "This site does not talk to that page.")
        elif self.login_required and not self._signed_in():
            await self._finish(CloseCode.NOT_SIGNED_IN, "not_signed_in", "Sign in to talk.")
        elif not await self.is_allowed():
            await self._finish(CloseCode.NOT_ALLOWED, "not_allowed", "You may not talk here.")

    def _origin_allowed(self) -> bool:
        # WebSockets carry cookies across sites and no CSRF token: the Origin check is the defence. It is made here
        # too, since a router that lacks AllowedHostsOriginValidator looks just as well-behaved.
        for name, value in self.scope["headers"]:
            if name == b"origin":
                validator = AllowedHostsOriginValidator(cast("Any", None))  # asked, never called
                return validator.valid_origin(urlparse(value.decode("latin-1")))
        return False

    def _signed_in(self) -> bool:
        user = self.scope.get("user")
        return user is not None and user.is_authenticated and user.is_active

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket, and leave no task behind however that ends: disconnect, failure or cancellation."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._page_gone = True
            await self._end_conversation()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Route binary frames past the stock dispatcher's thread hop."""
        if message["type"] == "websocket.receive" and message.get("bytes") is not None:
            await self.receive(bytes_data=message["bytes"])
        else:
            await super().dispatch(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one frame of the page."""
        if self._finished:
            return
        try:
            if bytes_data:
                await self._take(wire.parse_binary(bytes_data, self.input_rate))
            elif text_data is not None:
                await self._take(wire.parse_text(text_data, self.input_rate, self.voices))
        except wire.WireError as error:
            await self._refuse(error)

    async def _take(self, message: bytes | wire.ClientMessage) -> None:
        match message:
            case wire.Initialize():
                if self._conversation is not None:
                    raise wire.WireError("already_initialized", "The conversation is already open.")
                self._chosen = message
                self._open()
            case wire.Close():
                await self._close_politely()
            case wire.Played():
                self._heard(message)
            case wire.ToolApproval():
                self._approve(message)
            case _:
                if self._conversation is None:
                    self._open()
                if self.session is None:
                    await self._keep(message)
                else:
                    await self._pass_on(self.session, message)

    def _heard(self, message: wire.Played) -> None:
        if self.session is not None:
            self.session.played(message.turn, min(message.ms / 1000, self._sent_seconds.get(message.turn, 0.0)))

    def _approve(self, message: wire.ToolApproval) -> None:
        # Only the user's own click on this page comes here: what the model says or reads cannot.
        try:
            if self.session is None:
                raise wire.WireError("unknown_approval", "No call waits for an answer.")
            self.session.approve(message.id, message.approve)
        except novasonic.ConfigError as error:
            raise wire.WireError("unknown_approval", "No such call waits for an answer (any more).") from error

    def _open(self) -> None:
        self._conversation = asyncio.create_task(self._converse(), name="novasonic-conversation")

    async def _keep(self, message: bytes | wire.ClientMessage) -> None:
        match message:
            case bytes():
                size = len(message)
            case wire.AudioChunk():
                size = len(message.pcm)
            case _:
                size = 0
        if size and self._waiting_bytes + size > self._bytes(MAX_WAITING_AUDIO_MS):
            await self._count_refused()
        elif not size and len(self._waiting) >= MAX_WAITING_MESSAGES:
            raise wire.WireError("too_many_messages", "Wait for 'initialized' before sending more.")
        else:
            self._waiting.append(message)
            self._waiting_bytes += size

    def _bytes(self, ms: int) -> int:
        return self.input_rate * ms // 1000 * wire.BYTES_PER_SAMPLE

    async def _pass_on(self, session: novasonic.Session, message: bytes | wire.ClientMessage) -> None:
        try:
            match message:
                case bytes():
                    if message and not session.try_send_audio(message):
                        await self._count_refused()
                case wire.AudioChunk():
                    # `is_complete` needs nothing: where no frame comes, the session sends silence by itself.
                    await self._pass_on(session, message.pcm)
                case wire.TextMessage():
                    await session.send_text(message.text)
                case wire.Interrupt():
                    await session.interrupt()
                case wire.Mute():
                    session.mute(message.muted)
        except novasonic.SessionClosedError:
            pass  # the reader tells the page how it ended
        except novasonic.NovaSonicError as error:
            if session.error is None:
                logger.warning("A page's message was refused by its session: %s", error.code)
                message_id = message.message_id if isinstance(message, wire.TextMessage) else None
                raise wire.WireError(
                    "refused", "The conversation could not take this.", message_id=message_id
                ) from error

    async def _count_refused(self) -> None:
        self.refused_frames += 1
        now = asyncio.get_running_loop().time()
        if now - self._reported_at >= REFUSAL_REPORT_SECONDS:
            self._reported_at = now
            report = wire.error("audio_refused", "Audio comes faster than it is taken; some was lost.", retryable=True)
            await self._tell(report | {"refusedFrames": self.refused_frames})

    async def _refuse(self, error: wire.WireError) -> None:
        self._bad_messages += 1
        if error.close is not None:
            await self._finish(error.close, error.code, error.message)
        elif self._bad_messages > MAX_BAD_MESSAGES:
            await self._finish(CloseCode.BAD_MESSAGE, "too_many_bad_messages", "Too many messages made no sense.")
        else:
            await self._tell(wire.error(error.code, error.message, message_id=error.message_id))

    async def _converse(self) -> None:
        """Open the session and relay its events until it ends: the one task that owns the session."""
        try:
            client = get_client()
            async with client.connect(
                model=self.model or get_settings().model,
                system=await self.get_system(),
                voice=self._chosen.voice or self.voice,
                input_rate=self.input_rate,
                output_rate=self.output_rate,
                turn_taking=self.turn_taking,
                max_tokens=self.max_tokens,
                top_p=self.top_p,
                temperature=self.temperature,
                tools=await self.get_tools(),
                tool_choice=self.tool_choice,
                tool_limits=self.tool_limits,
                context=self.get_context(),
                history=await self.get_history(),
                continuation=self.continuation,
                limits=self.limits,
                realtime=self.realtime,
            ) as session:
                await self._tell(wire.initialized(session.id, self.input_rate, self.output_rate))
                await self._hand_over(session)
                await self._relay(session)
        except novasonic.NovaSonicError as error:
            logger.warning("The conversation failed (%s, request %s): %s", error.code, error.request_id, error)
            await self._finish(*_words(error), retryable=error.retryable)
        except Exception:
            logger.exception("A hook of %s or the relay failed", type(self).__name__)
            await self._finish(CloseCode.SERVICE_FAILED, "server_error", "Something went wrong on this server.")
        finally:
            self.session = None

    async def _hand_over(self, session: novasonic.Session) -> None:
        while self._waiting:
            try:
                await self._pass_on(session, self._waiting.popleft())
            except wire.WireError as error:
                await self._refuse(error)
        self.session = session

    async def _relay(self, session: novasonic.Session) -> None:
        async for event in session:
            match event:
                case events.AudioOutput():
                    await self._send_audio(event)
                case events.ToolCall():
                    self._calls[event.id] = event.name
                    await self.on_tool_call(event)
                    await self._tell(wire.tool_called(event, arguments=self.show_tool_arguments))
                    if event.needs_approval:
                        await self._tell(wire.tool_approval(event))
                case events.ToolFinished():
                    await self._tell(wire.tool_finished(event, self._calls.pop(event.id, "")))
                case events.SessionEnded(error=None):
                    await self._finish(CloseCode.NORMAL, reason=event.reason)
                case _:
                    if isinstance(event, events.Transcript):
                        await self.on_transcript(event)
                    if isinstance(event, events.TurnEnded):
                        await self.on_turn(event)
                    if (message := wire.from_event(event)) is not None:
                        await self._tell(message)

    async def _send_audio(self, event: events.AudioOutput) -> None:
        self._sent_seconds[event.turn] = self._sent_seconds.get(event.turn, 0.0) + event.seconds
        if self._chosen.base64_audio:
            await self._tell(wire.audio_chunk(event))
        else:
            await self.send(bytes_data=event.pcm)

    async def _tell(self, message: dict[str, Any]) -> None:
        await self.send(text_data=wire.encode(message))

    async def send(  # type: ignore[override]  # as Channels' own WebSocket consumer
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        """Send one frame; a page that has gone takes nothing and is no error."""
        if not self._page_gone:
            try:
                await super().send(text_data=text_data, bytes_data=bytes_data, close=close)
            except (OSError, RuntimeError):
                # uvicorn: ClientDisconnected, or RuntimeError once it has closed the socket itself at shutdown. Its
                # disconnect message follows.
                self._page_gone = True

    async def _finish(
        self,
        close: CloseCode,
        code: str | None = None,
        message: str = "",
        *,
        reason: str = "error",
        retryable: bool = False,
    ) -> None:
        """Tell the page why and close the socket; only the first call counts."""
        if self._finished:
            return
        self._finished = True
        if code is not None:
            await self._tell(wire.error(code, message, retryable=retryable, fatal=True))
        await self._tell(wire.closed(reason))
        if not self._page_gone:
            self._page_gone = True  # a server raises on what another task sends after close
            await self.close(code=int(close))

    async def _close_politely(self) -> None:
        if self.session is not None:
            await self.session.aclose()  # the relay finishes with its SessionEnded
        else:
            await self._end_conversation()
            await self._finish(CloseCode.NORMAL, reason="closed")

    async def _end_conversation(self) -> None:
        if self._conversation is not None:
            self._conversation.cancel()
            await asyncio.gather(self._conversation, return_exceptions=True)


def _words(error: novasonic.NovaSonicError) -> tuple[CloseCode, str, str]:
    """Choose what a page may know: whether to try again, never what is wrong with this server's account."""
    match error:
        case novasonic.ThrottledError():
            return CloseCode.NO_CAPACITY, "no_capacity", "Too many people are talking right now. Try again soon."
        case _ if error.retryable:
            return CloseCode.SERVICE_FAILED, "service_failed", "The voice service failed. Try again."
        case _:
            return CloseCode.SERVICE_FAILED, "service_refused", "The voice service cannot be used at the moment."
