"""What the events of a conversation say, gathered until it is written. Synchronous and cheap: on the audio path."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .rows import COUNTS, bounded_json, clean

if TYPE_CHECKING:
    from novasonic import Session, TranscriptEntry, events

__all__ = ["Gathered", "Said"]


@dataclass(slots=True)
class Said:
    """One turn."""

    number: int
    user: dict[int, str] = field(default_factory=dict, repr=False)
    assistant: dict[int, str] = field(default_factory=dict, repr=False)
    final: set[tuple[str, int]] = field(default_factory=set)
    interrupted: bool = False
    ended: bool = False
    started: float = 0.0
    timings: events.Timings | None = None

    def add(self, event: events.Transcript) -> bool:
        """Take a sentence; False: it changes nothing."""
        sentences = self.user if event.role == "user" else self.assistant
        if not event.final and (event.role, event.segment) in self.final:
            return False
        if event.final:
            self.final.add((event.role, event.segment))
        changed = sentences.get(event.segment) != event.text
        sentences[event.segment] = event.text
        return changed

    def texts(self, heard: TranscriptEntry | None) -> tuple[str, str]:
        """Return what the user said, and what was heard of the answer.

        Args:
            heard: What the session says of an answer that was interrupted: it knows how much was played.
        """
        user, told = _joined(self.user), _joined(self.assistant)
        if not self.interrupted or heard is None or heard.text.startswith(told):
            return user, told
        if told.startswith(heard.text):
            return user, heard.text
        # The site kept a sentence from the page, and the session does not know: what it counts as heard has it.
        return user, " ".join(text for _, text in sorted(self.assistant.items()) if text in heard.text)


def _joined(sentences: dict[int, str]) -> str:
    return " ".join(text for _, text in sorted(sentences.items()) if text)


class Gathered:
    """What one conversation's session has told on this worker.

    Args:
        opened_at: When it opened; events are timed from there.
        keeps_arguments: Whether arguments of tools are kept.
    """

    def __init__(self, opened_at: datetime, *, keeps_arguments: bool) -> None:
        self.turns: dict[int, Said] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        """Columns of the calls at work."""
        self.spent: dict[str, int | Decimal] = dict.fromkeys(COUNTS, 0) | {"usd": Decimal(0)}
        """On this worker."""
        self._by_turn: dict[int, dict[str, Any]] = {}
        self._opened_at = opened_at
        self._keeps_arguments = keeps_arguments

    def turn(self, number: int, at: float) -> Said:
        """Return a turn, which begins at `at` if it is new."""
        said = self.turns.get(number)
        if said is None:
            said = self.turns[number] = Said(number, started=at)
        return said

    def moment(self, at: float) -> datetime:
        """Return when `at` seconds of the conversation were."""
        return self._opened_at + timedelta(seconds=at)

    def called(self, event: events.ToolCall) -> None:
        """A tool is called."""
        self.calls[event.id] = {
            "call_id": clean(event.id, 100),
            "turn": event.turn or 0,
            "name": clean(event.name, 100),
            "arguments": bounded_json(dict(event.arguments)) if self._keeps_arguments else None,
            "result": None,
            "ok": None,
            "seconds": None,
            "started_at": self.moment(event.at),
        }

    def spend(self, event: events.Usage, generation: int) -> dict[str, Any]:
        """Add what was spent, and return the columns of its turn's record."""
        usd = Decimal(str(round(event.usd, 6))) - self.spent["usd"]
        turn = event.turn or 0
        record = self._by_turn.setdefault(
            turn, {"generation": generation, "turn": turn} | dict.fromkeys(COUNTS, 0) | {"usd": Decimal(0)}
        )
        record["at"] = self.moment(event.at)
        record["usd"] += usd
        self.spent["usd"] += usd
        for name in COUNTS:
            record[name] += getattr(event.delta, name)
            self.spent[name] += getattr(event.delta, name)
        return dict(record)


def heard_of(session: Session, number: int) -> TranscriptEntry | None:
    """Return what the session says that was heard of this turn's answer."""
    for entry in reversed(session.transcript):
        if entry.turn == number and entry.role == "assistant":
            return entry
    return None
