"""From the session to the page: each event told in order, after those who must know it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novasonic import events

from . import wire

if TYPE_CHECKING:
    import novasonic

    from .handler import VoiceHandler


class Relay:
    """Relays one session's events; `sent_seconds` is how much of each turn's answer the page was sent."""

    def __init__(self, handler: VoiceHandler) -> None:
        self.sent_seconds: dict[int | None, float] = {}
        self._handler = handler
        self._tools: dict[str, str] = {}  # names of those at work, by id of the call
        # Whether the site keeps a sentence from the page; the last one's sound is still to come.
        self._verdicts: dict[tuple[int | None, int], bool] = {}
        self._silenced = False

    async def run(self, session: novasonic.Session) -> str:
        """Relay until the session ends in order or the page has gone, and return the reason."""
        async for event in session:
            if isinstance(event, events.AudioOutput):
                if not self._silenced:
                    self._accompany(event)
                    await self._send_audio(event)
            elif not (isinstance(event, events.Transcript) and await self._is_vetoed(event)):
                self._accompany(event)
                if isinstance(event, events.SessionEnded):
                    if event.error is None:
                        return event.reason
                else:
                    await self._tell(event)
            if self._handler.outlet.gone:
                # No disconnect message follows where a page only stopped reading.
                return "gone"
        return "closed"

    def _accompany(self, event: events.Event) -> None:
        for companion in self._handler.companions:
            companion.event(event)

    async def _is_vetoed(self, event: events.Transcript) -> bool:
        sentence = (event.turn, event.segment)
        if event.role != "assistant":
            return False
        if event.final and sentence in self._verdicts:
            return self._verdicts[sentence]
        vetoed = self._verdicts[sentence] = await self._handler.on_planned_text(event) is False
        if not event.final:
            self._silenced = vetoed
        return vetoed

    async def _send_audio(self, event: events.AudioOutput) -> None:
        self.sent_seconds[event.turn] = self.sent_seconds.get(event.turn, 0.0) + event.seconds
        if self._handler.chosen.base64_audio:
            await self._handler.tell(wire.audio_chunk(event))
        else:
            await self._handler.send_audio(event.pcm)

    async def _tell(self, event: events.Event) -> None:
        handler = self._handler
        match event:
            case events.ToolCall():
                self._tools[event.id] = event.name
                await handler.on_tool_call(event)
                await handler.tell(wire.tool_called(event, arguments=handler.show_tool_arguments))
                if event.needs_approval:
                    await handler.tell(wire.tool_approval(event))
                return
            case events.ToolFinished():
                await handler.tell(wire.tool_finished(event, self._tools.pop(event.id, "")))
                return
            case events.Transcript():
                await handler.on_transcript(event)
            case events.TurnStarted():
                self._silenced = False
            case events.TurnEnded():
                self._silenced = False
                for companion in handler.companions:
                    await companion.turn_ended(event)
                await handler.on_turn(event)
        if (message := wire.from_event(event)) is not None:
            await handler.tell(message)
        if isinstance(event, events.Interrupted):
            await handler.on_interrupted(event)
