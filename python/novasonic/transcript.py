"""What both sides said, in order, as far as it is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from novasonic.events import Timings

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TranscriptEntry", "TranscriptView"]

Role = Literal["user", "assistant"]

# (number, interrupted, user final, assistant final, user, planned, heard, timings): `TurnRow` in
# src/bindings/session.rs.
TurnRow: TypeAlias = tuple[int, bool, bool, bool, str, str, str, tuple[float, float | None, float | None, float | None]]


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """What one side said in one turn.

    Attributes:
        turn: Number of the turn.
        role: Who said it.
        text: All of its sentences; of an interrupted answer what was heard of it: as far as ``Session.played`` tells,
            else as far as the service says that it spoke, else in proportion to the time that passed.
        planned: What the assistant meant to say; the user's text for the user.
        final: Whether every sentence is final; until then the rest is what the assistant plans to say.
        interrupted: Whether the turn was interrupted.
    """

    turn: int
    role: Role
    text: str = field(repr=False)
    planned: str = field(repr=False)
    final: bool
    interrupted: bool


class TranscriptView(Sequence[TranscriptEntry]):
    """The conversation so far: a sequence that does not change under you.

    ``str()`` gives one line for each entry (``user: ...``, ``assistant: ...``); the repr shows no text.
    """

    __slots__ = ("_entries", "_timings")

    def __init__(self, entries: tuple[TranscriptEntry, ...], timings: dict[int, Timings] | None = None) -> None:
        self._entries = entries
        self._timings = timings or {}

    @overload
    def __getitem__(self, index: int) -> TranscriptEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TranscriptEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> TranscriptEntry | tuple[TranscriptEntry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return self._entries == other._entries if isinstance(other, TranscriptView) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._entries)

    def __str__(self) -> str:
        return "\n".join(f"{entry.role}: {entry.text}" for entry in self._entries)

    def __repr__(self) -> str:
        return f"<TranscriptView: {len(self._entries)} entries>"

    def json(self) -> str:
        """Return the conversation as JSON: an array of turns, times in seconds since it opened.

        Each turn has ``turn``, ``user`` and ``assistant`` (null where that side said nothing), ``planned``,
        ``interrupted``, ``final`` and ``timings``.
        """
        turns: dict[int, dict[str, Any]] = {}
        for entry in self._entries:
            turn = turns.setdefault(
                entry.turn,
                {
                    "turn": entry.turn,
                    "user": None,
                    "assistant": None,
                    "planned": None,
                    "interrupted": entry.interrupted,
                    "final": True,
                    "timings": None,
                },
            )
            turn[entry.role] = entry.text
            turn["final"] = turn["final"] and entry.final
            if entry.role == "assistant":
                turn["planned"] = entry.planned
            if (timings := self._timings.get(entry.turn)) is not None:
                turn["timings"] = {name: getattr(timings, name) for name in Timings.__slots__} | {
                    "response_seconds": timings.response_seconds
                }
        return json.dumps(list(turns.values()), ensure_ascii=False)


def view(rows: Iterable[TurnRow]) -> TranscriptView:
    """Return the conversation that the core remembers."""
    entries = []
    timings = {}
    for number, interrupted, user_final, assistant_final, user, planned, heard, times in rows:
        timings[number] = Timings(*times)
        if user:
            entries.append(TranscriptEntry(number, "user", user, user, user_final, interrupted))
        if heard or planned:
            entries.append(TranscriptEntry(number, "assistant", heard, planned, assistant_final, interrupted))
    return TranscriptView(tuple(entries), timings)
