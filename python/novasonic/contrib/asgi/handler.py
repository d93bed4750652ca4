"""One page's socket, from its opening to its end, on whatever server and framework."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import novasonic

from . import wire
from .companion import Companion, Conversation
from .door import Doorkeeper, scope_address
from .guard import PageGuard
from .hooks import Hooks
from .life import Life, to_its_end
from .outlet import Outlet
from .relay import Relay
from .waiting import Waiting
from .wire import CloseCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["VoiceHandler", "open_handlers"]

logger = logging.getLogger(__name__)

doorkeeper = Doorkeeper()
"""Of this process."""

open_handlers: WeakSet[VoiceHandler] = WeakSet()
"""Those of this process whose page is there."""

# A page that reads nothing takes no farewell either: its server waits for room in the socket, and may wait for ever.
FAREWELL_SECONDS = 5.0

_C = TypeVar("_C", bound=Companion)


class VoiceHandler(Hooks):
    """Join one page to one conversation over the browser wire (``docs/reference/browser-wire.md``).

    Whoever has the socket (a Channels consumer, an ASGI application) calls `arrive` before it accepts the socket and
    `enter` after it, `take` with each frame, `leave` when the page has gone, and gives `send_frame` and `close_socket`.

    One task, `Life`, owns the conversation from the page's first message to the end; nothing else opens, reads or
    closes the session. A binary frame goes from the socket into the session without a wait.
    """

    async def send_frame(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Send one frame; OSError or RuntimeError: the page has gone."""
        raise NotImplementedError

    async def close_socket(self, code: int) -> None:
        """Close the socket."""
        raise NotImplementedError

    def origin_allowed(self) -> bool:
        """Say whether the page comes from this site, or from one that is as good."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.session: novasonic.Session | None = None
        self.conversation = Conversation()
        self.companions: Sequence[Companion] = ()
        self.chosen = wire.Initialize()
        self.page_rules = self.get_page_rules()
        self.guard = PageGuard(self.input_rate, self.caps)
        self.outlet = Outlet(self)
        self.waiting = Waiting(self.input_rate)
        self.successions = 0
        """How many handlers had this socket before."""
        self.relay = Relay(self)
        self.wanted = asyncio.Event()
        """Set by the page's first audio or text: the stream may open, and cost."""
        self._conversing: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None
        self._spoke = asyncio.Event()  # the page's first message
        self._ticket_due = False
        self._outside: str | None = None  # the address that waits outside: nobody known
        self._finished = False
        self.end_reason: str | None = None
        """Why it was hung up."""
        self._successor: VoiceHandler | None = None

    def companion(self, kind: type[_C]) -> _C | None:
        """Return the companion of this kind, if one goes with the conversation."""
        return next((one for one in self.companions if isinstance(one, kind)), None)

    async def arrive(self) -> bool:
        """Look at who comes, before the socket is accepted; False: refuse it without.

        What is counted by address is refused here, where refusing costs least; whoever is refused for who they are is
        accepted first and told why.
        """
        rules = self.get_rules()
        address = scope_address(self.scope, rules.trusted_proxies)
        if not doorkeeper.knock(address, asyncio.get_running_loop().time(), rules.handshakes_per_minute):
            return False
        self.user = await self.authenticate()
        if self.user is None:
            if not doorkeeper.wait_outside(address):
                return False
            self._outside = address
        return True

    async def enter(self) -> None:
        """Let in, or tell why not, who has arrived: the socket is accepted."""
        open_handlers.add(self)
        self._ticket_due = self.tickets and self.user is None
        # WebSockets carry cookies across sites and no CSRF token: the Origin check is the defence. Who brings a ticket
        # brings no cookie.
        if not self._ticket_due and not self._comes_from_here():
            await self.finish(CloseCode.NOT_ALLOWED, "origin_not_allowed", "This site does not talk to that page.")
        elif self._ticket_due or await self._admit_user():
            self._clock = asyncio.create_task(self._keep_time(), name="novasonic-clock")

    def _comes_from_here(self) -> bool:
        try:
            return self.origin_allowed()
        except ValueError:  # urlsplit's, of an Origin that is no address
            return False

    async def _admit_user(self) -> bool:
        allowed = await self.is_allowed()
        if not allowed and self.user is None:
            await self.finish(CloseCode.NOT_SIGNED_IN, "not_signed_in", "Sign in to talk.")
        elif not allowed:
            await self.finish(CloseCode.NOT_ALLOWED, "not_allowed", "You may not talk here.")
        else:
            self._settle()
        return allowed

    def _settle(self) -> None:
        if self._outside is not None:
            doorkeeper.settle(self._outside)
            self._outside = None

    async def _keep_time(self) -> None:
        rules = self.get_rules()
        try:
            async with asyncio.timeout(rules.first_message_seconds):
                await self._spoke.wait()
        except TimeoutError:
            await self.finish(CloseCode.IDLE, "first_message_timeout", "The page said nothing.")
            return
        while True:
            await asyncio.sleep(rules.heartbeat_seconds)
            await self.tell(wire.heartbeat())
            await self._report()

    async def leave(self) -> None:
        """End everything that belongs to this socket; the page has gone, or the server goes."""
        self.outlet.gone = True
        self._settle()
        open_handlers.discard(self)
        # A server that shuts down may cancel this a second time: that must not cut short how the session closes.
        await to_its_end(self._end_tasks())

    async def _end_tasks(self) -> None:
        for task in (self._clock, self._conversing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._successor is not None:
            await self._successor.leave()

    async def take(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Take one frame of the page."""
        if self._successor is not None:
            await self._successor.take(text=text, pcm=pcm)
            return
        if self._finished:
            return
        try:
            if pcm is not None:
                message: bytes | wire.ClientMessage = wire.parse_binary(pcm, self.input_rate)
            elif text is not None:
                message = wire.parse_text(text, self.input_rate, self.page_rules)
            else:
                return
            if self._ticket_due and not await self._take_ticket(message):
                return
            self._spoke.set()  # nonsense is no first message: nobody known holds a socket by it
            if self.guard.takes(message, asyncio.get_running_loop().time()):
                await self._take(message)
            else:
                await self._report()
        except wire.WireError as error:
            await self._refuse(error)

    async def _take_ticket(self, message: bytes | wire.ClientMessage) -> bool:
        ticket = message.ticket if isinstance(message, wire.Initialize) else None
        self.user = await self.redeem_ticket(ticket) if ticket else None
        self._ticket_due = False
        # Meanwhile the time for it may have run out.
        return await self._admit_user() and not self._finished

    async def _take(self, message: bytes | wire.ClientMessage) -> None:
        match message:
            case wire.Initialize():
                if self._conversing is not None:
                    raise wire.WireError("already_initialized", "The conversation is already open.")
                self._begin(message)
            case wire.Close():
                await self._close_politely()
            case wire.Played():
                self._heard(message)
            case wire.ToolApproval():
                self._approve(message)
            case _:
                if self._conversing is None:
                    self._begin(self.chosen)
                if isinstance(message, bytes | wire.AudioChunk | wire.TextMessage):
                    self.wanted.set()
                if self.session is not None:
                    await self._pass_on(self.session, message)
                elif not self.waiting.keep(message):
                    await self._refuse_audio()

    def _begin(self, chosen: wire.Initialize) -> None:
        self.chosen = chosen
        if self.prewarm:
            self.wanted.set()
        self._conversing = asyncio.create_task(Life(self).run(), name="novasonic-conversation")

    def _heard(self, message: wire.Played) -> None:
        if self.session is not None:
            seconds = min(message.ms / 1000, self.relay.sent_seconds.get(message.turn, 0.0))
            self.session.played(message.turn, seconds)
            for companion in self.companions:
                companion.played(message.turn, round(seconds * 1000))

    def _approve(self, message: wire.ToolApproval) -> None:
        # Only the user's own click on this page comes here: what the model says or reads cannot.
        try:
            if self.session is None:
                raise wire.WireError("unknown_approval", "No call waits for an answer.")
            self.session.approve(message.id, message.approve)
        except novasonic.ConfigError as error:
            raise wire.WireError("unknown_approval", "No such call waits for an answer (any more).") from error

    async def _pass_on(self, session: novasonic.Session, message: bytes | wire.ClientMessage) -> None:
        try:
            match message:
                case bytes():
                    if session.try_send_audio(message):
                        for companion in self.companions:
                            companion.heard(message)
                    else:
                        await self._refuse_audio()
                case wire.AudioChunk():
                    # `is_complete` needs nothing: where no frame comes, the session sends silence by itself.
                    if message.pcm:
                        await self._pass_on(session, message.pcm)
                case wire.TextMessage():
                    await session.send_text(message.text)
                case wire.Interrupt():
                    await session.interrupt()
                case wire.Mute():
                    session.mute(message.muted)
        except novasonic.SessionClosedError:
            pass  # the relay tells the page how it ended
        except novasonic.NovaSonicError as error:
            if session.error is None:
                logger.warning("A page's message was refused by its session: %s", error.code)
                message_id = message.message_id if isinstance(message, wire.TextMessage) else None
                raise wire.WireError(
                    "refused", "The conversation could not take this.", message_id=message_id
                ) from error

    async def _refuse_audio(self) -> None:
        self.guard.session_refused()
        await self._report()

    async def _report(self) -> None:
        for report in self.guard.report(asyncio.get_running_loop().time()):
            await self.tell(report)

    async def _refuse(self, error: wire.WireError) -> None:
        error = self.guard.mistake(error, asyncio.get_running_loop().time())
        if error.close is not None:
            await self.hang_up(error.close, error.code, error.message)
        else:
            await self.tell(wire.error(error.code, error.message, message_id=error.message_id))

    def succeed(self, predecessor: VoiceHandler) -> None:
        """Go on with the socket of a handler that could not open its conversation, and with what its page sent."""
        self.scope, self.user, self.outlet = predecessor.scope, predecessor.user, predecessor.outlet
        self.successions = predecessor.successions + 1
        for message in predecessor.waiting.drain():
            self.waiting.keep(message)
        self.wanted.set()
        chosen = predecessor.chosen
        if chosen.resume_token is not None and predecessor.conversation.resume_token is not None:
            # The page's own was spent there.
            chosen = replace(chosen, resume_token=predecessor.conversation.resume_token)
        self._begin(chosen)

    async def open(self, session: novasonic.Session) -> None:
        """Take the session, after all that the page has sent meanwhile."""
        for message in self.waiting.drain():
            try:
                await self._pass_on(session, message)
            except wire.WireError as error:
                await self._refuse(error)
        self.session = session

    def give_way(self, kind: type[VoiceHandler]) -> None:
        """Let another handler have the socket from now on, unless it has been closed."""
        if not self._finished:
            self._successor = kind()
            self._successor.succeed(self)

    async def tell(self, message: dict[str, Any]) -> None:
        """Send the page one message; a page that has gone takes nothing and is no error."""
        await self.outlet.send(text=wire.encode(message))

    async def send_audio(self, pcm: bytes) -> None:
        """Send the page PCM16LE at `output_rate`."""
        await self.outlet.send(pcm=pcm)

    async def hang_up(
        self,
        close: CloseCode,
        code: str | None = None,
        message: str = "",
        *,
        reason: str = "error",
        retryable: bool = False,
    ) -> None:
        """Tell the page why, close its socket and end the conversation; from any task of this loop, once.

        Args:
            close: What the socket is closed with.
            code: Of the `error` that the page gets; None: it gets none.
            message: For people.
            reason: Of `closed`, and what companions are told.
            retryable: Whether the page may try again.
        """
        if self._successor is not None:
            await self._successor.hang_up(close, code, message, reason=reason, retryable=retryable)
            return
        self.end_reason = self.end_reason or reason
        await self.finish(close, code, message, reason=reason, retryable=retryable)
        if self._conversing is not None:
            self._conversing.cancel()

    async def finish(
        self,
        close: CloseCode,
        code: str | None = None,
        message: str = "",
        *,
        reason: str = "error",
        retryable: bool = False,
    ) -> None:
        """Tell the page why and close its socket; only the first call counts. The conversation is not ended by it."""
        if self._finished:
            return
        self._finished = True
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                if code is not None:
                    await self.tell(wire.error(code, message, retryable=retryable, fatal=True))
                await self.tell(wire.closed(reason))
                await self.outlet.shut(int(close))
        except TimeoutError:
            self.outlet.gone = True

    async def _close_politely(self) -> None:
        if self.session is not None:
            await self.session.aclose()  # the relay finishes with its SessionEnded
        else:
            await self.hang_up(CloseCode.NORMAL, reason="closed")
