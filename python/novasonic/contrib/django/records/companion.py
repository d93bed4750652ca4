"""The companion that keeps a conversation's records."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from novasonic import events
from novasonic.contrib.asgi.companion import Companion
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django import signals
from novasonic.contrib.django.conf import get_settings

from .errands import Errands
from .gathered import Gathered, Said, heard_of
from .recording import Recording, recording_name
from .redact import Redactor, Withheld
from .rows import Ledger, Lost, Row, bounded_json, clean, owner_key
from .writer import get_writer

if TYPE_CHECKING:
    from django.dispatch import Signal

    import novasonic

__all__ = ["Records"]

logger = logging.getLogger(__name__)

# A FINAL text and a report of what was played rarely come alone.
LATE_SECONDS = 0.5


class Records(Companion):
    """Writes the conversation, its turns, calls and cost, and records its sound where that is wished and allowed."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self._errands = Errands()
        self._writing = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._late: set[int] = set()
        self._late_timer: asyncio.TimerHandle | None = None
        self._hanging_up: asyncio.Task[None] | None = None
        self._written: dict[int, dict[str, Any]] = {}

    async def opened(self, session: novasonic.Session) -> None:
        """Write the conversation's row: from here on it can be taken over."""
        settings = get_settings()
        conversation = self.conversation
        self._session = session
        self._redactor = Redactor(settings)
        self._gathered = Gathered(timezone.now(), keeps_arguments=self._redactor.keeps_arguments)
        consented = settings.record_audio and await self.handler.has_consent()
        recordings = []
        self._recording: Recording | None = None
        if consented:
            recordings.append(recording_name(conversation.id, conversation.generation))
            self._recording = Recording(recordings[0], conversation.id, self.handler.input_rate)
        columns = self._columns() | {"transcripts": settings.transcripts}
        self._ledger = Ledger(
            id=conversation.id,
            generation=conversation.generation,
            opening=columns | {"started_at": self._gathered.moment(0.0), "consented": consented},
            loop=asyncio.get_running_loop(),
            on_lost=self._lose,
            recordings=tuple(recordings),
        )
        going = columns | {"ended_at": None, "reason": "", "error_code": ""}
        if consented:
            going["consented"] = True
        await self._commit(Row(self._ledger, "conversation", None, going))
        self._send(signals.conversation_started, generation=conversation.generation)

    def heard(self, pcm: bytes) -> None:
        """Record it."""
        if self._ledger is not None and self._recording is not None:
            self._recording.heard(pcm)

    def event(self, event: events.Event) -> None:
        """Gather what is to be written."""
        if self._ledger is None:
            return
        match event:
            case events.AudioOutput():
                if self._recording is not None:
                    self._recording.spoken(event.turn, event.pcm, event.rate)
            case events.Transcript(turn=int(number)):
                said = self._gathered.turn(number, event.at)
                if said.add(event) and said.ended:
                    self._rewrite_later(number)
            case events.TurnStarted(turn=int(number)):
                self._gathered.turn(number, event.at)
            case events.Interrupted(turn=int(number)):
                self._gathered.turn(number, event.at).interrupted = True
                if self._recording is not None:
                    self._recording.interrupted(number)
            case events.ToolCall():
                self._gathered.called(event)
            case events.ToolFinished():
                if (call := self._gathered.calls.pop(event.id, None)) is not None:
                    self._write_call(self._ledger, call | {"ok": event.ok, "seconds": event.seconds})
            case events.Usage():
                record = self._gathered.spend(event, self._ledger.generation)
                get_writer().put(Row(self._ledger, "usage", record["turn"], record))
                get_writer().put(Row(self._ledger, "conversation", None, dict(self._gathered.spent)))

    def answered(self, call_id: str, result: Any) -> None:
        """Keep the result of a tool call with its arguments; sessions do not tell it, so whoever answers does.

        Args:
            call_id: `ToolContext.call_id`, or the id of a manual tool's `ToolCall`; one that is no longer at work is
                ignored.
            result: What the model is told: anything that JSON holds.
        """
        if self._ledger is not None and self._redactor.keeps_arguments and call_id in self._gathered.calls:
            self._gathered.calls[call_id]["result"] = bounded_json(result)

    def played(self, turn: int, ms: int) -> None:
        """Know how much of an answer was heard."""
        if self._ledger is None:
            return
        if self._recording is not None:
            self._recording.played(turn, ms)
        said = self._gathered.turns.get(turn)
        if said is not None and said.ended and said.interrupted:
            self._rewrite_later(turn)

    async def turn_ended(self, event: events.TurnEnded) -> None:
        """Commit the turn, or find that the database is down, or that the conversation is another worker's."""
        if self._ledger is None or event.turn is None:
            return
        said = self._gathered.turn(event.turn, event.timings.started)
        said.ended, said.interrupted, said.timings = True, event.interrupted, event.timings
        columns = await self._write_turn(self._ledger, said, wait=True)
        if self._ledger.lost is not None:
            await self._hang_up(self._ledger.lost)
        elif columns is not None:
            told = ("number", "user_text", "assistant_text", "interrupted", "started_at", "seconds")
            self._send(signals.turn_completed, **{name: columns[name] for name in told})

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """Write what is still missing, and how it ended."""
        if self._ledger is None:
            return
        if self._late_timer is not None:
            self._late_timer.cancel()
        if self._recording is not None:
            self._recording.finish()
        if self._ledger.lost is None:
            await self._complete(self._ledger, reason, error)
        usd = self.conversation.usd_before + float(self._gathered.spent["usd"])
        self._send(signals.conversation_ended, generation=self._ledger.generation, reason=reason, usd=usd)
        await self._errands.finish()

    async def _complete(self, ledger: Ledger, reason: str, error: BaseException | None) -> None:
        for said in list(self._gathered.turns.values()):
            if not said.ended or said.number in self._late:
                said.interrupted = said.interrupted or not said.ended
                await self._write_turn(ledger, said, wait=False)
        for call in self._gathered.calls.values():
            self._write_call(ledger, call)
        code = "" if error is None else str(getattr(error, "code", None) or type(error).__name__)
        how = {"ended_at": timezone.now(), "reason": reason[:20], "error_code": clean(code, 64)}
        await self._commit(Row(ledger, "conversation", None, self._gathered.spent | how))

    def _columns(self) -> dict[str, Any]:
        handler, settings = self.handler, get_settings()
        user = handler.user
        return {
            "owner": owner_key(self.conversation.owner),
            "user_id": user.pk if isinstance(user, get_user_model()) else None,
            "consumer": f"{type(handler).__module__}.{type(handler).__qualname__}"[-200:],
            "model": handler.get_model()[:200],
            "region": (self.conversation.region or settings.region or "")[:40],
            "voice": (handler.chosen.voice or handler.voice)[:40],
        }

    async def _write_turn(self, ledger: Ledger, said: Said, *, wait: bool) -> dict[str, Any] | None:
        """Write a turn as it stands now; None: it stands there like this already."""
        async with self._writing:
            self._late.discard(said.number)
            user, assistant = said.texts(heard_of(self._session, said.number) if said.interrupted else None)
            withheld = False
            try:
                user = await self._redactor.kept(user, "user")
                assistant = await self._redactor.kept(assistant, "assistant")
            except Withheld:
                user, assistant, withheld = "", "", True
            timings = said.timings
            columns = {
                "number": said.number,
                "user_text": user,
                "assistant_text": assistant,
                "withheld": withheld,
                "interrupted": said.interrupted,
                "started_at": self._gathered.moment(said.started if timings is None else timings.started),
                "seconds": None if timings is None or timings.ended is None else timings.ended - timings.started,
                "response_seconds": None if timings is None else timings.response_seconds,
                "generation": ledger.generation,
            }
            if self._written.get(said.number) == columns:
                return None
            self._written[said.number] = columns
            row = Row(ledger, "turn", said.number, columns)
            if wait:
                await self._commit(row)
            else:
                get_writer().put(row)
            return columns

    def _write_call(self, ledger: Ledger, call: dict[str, Any]) -> None:
        get_writer().put(Row(ledger, "tool_call", call["call_id"], call))
        self._send(signals.tool_called, **{name: call[name] for name in ("name", "ok", "seconds", "turn")})

    async def _commit(self, row: Row) -> bool:
        return await get_writer().commit(row)

    def _rewrite_later(self, number: int) -> None:
        if not self._late:
            self._late_timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self._errands.add, self._rewrite)
        self._late.add(number)

    async def _rewrite(self) -> None:
        if self._ledger is not None:
            for number in sorted(self._late):
                await self._write_turn(self._ledger, self._gathered.turns[number], wait=False)

    def _lose(self, lost: Lost) -> None:
        if self._hanging_up is None:
            self._hanging_up = asyncio.create_task(self._hang_up(lost), name="novasonic-records-lost")

    async def _hang_up(self, lost: Lost) -> None:
        if lost == "taken_over":
            await self.handler.hang_up(
                CloseCode.TAKEN_OVER, "taken_over", "This conversation goes on elsewhere.", reason="reconnect"
            )
        else:
            await self.handler.hang_up(
                CloseCode.NOT_ALLOWED, "records_deleted", "What was said here was deleted; begin anew.", reason="closed"
            )

    def _send(self, signal: Signal, **what: Any) -> None:
        conversation, sender = self.conversation, type(self.handler)

        async def send() -> None:
            # Django logs what a receiver raises.
            await signal.asend_robust(sender, conversation_id=conversation.id, owner=conversation.owner, **what)

        if signal.has_listeners(sender):
            self._errands.add(send)
