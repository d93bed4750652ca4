"""What both sides said, in order, as far as it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

from novasonic.events import AudioOutput, Interrupted, Transcript, TurnEnded

if TYPE_CHECKING:
    from novasonic.events import Event

__all__ = ["TranscriptEntry", "TranscriptView"]

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """What one side said in one turn.

    Attributes:
        turn: Number of the turn.
        role: Who said it.
        text: All of its sentences.
        final: Whether every sentence is final; until then the rest is what the assistant plans to say.
        interrupted: Whether the turn was interrupted; the text then ends where the voice did.
    """

    turn: int
    role: Role
    text: str = field(repr=False)
    final: bool
    interrupted: bool


class TranscriptView(Sequence[TranscriptEntry]):
    """The conversation so far: a sequence that does not change under you.

    ``str()`` gives one line for each entry (``user: ...``, ``assistant: ...``); the repr shows no text.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: tuple[TranscriptEntry, ...]) -> None:
        self._entries = entries

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


@dataclass(slots=True)
class _Sentence:
    text: str
    final: bool
    voiced: bool = False


class TranscriptLog:
    """Gathers sentences from events and renders them on demand."""

    __slots__ = ("_interrupted", "_latest_plan", "_sentences", "_view")

    def __init__(self) -> None:
        self._sentences: dict[tuple[int, Role], dict[int, _Sentence]] = {}
        self._interrupted: set[int] = set()
        # The planned sentence of a turn that its next audio voices.
        self._latest_plan: dict[int, _Sentence] = {}
        self._view: TranscriptView | None = None

    def add(self, event: Event) -> None:
        """Take what `event` says about the conversation."""
        turn = event.turn
        if turn is None:
            return
        if isinstance(event, AudioOutput):
            plan = self._latest_plan.get(turn)
            if plan is not None:
                plan.voiced = True
        elif isinstance(event, Transcript):
            self._add_sentence(turn, event)
        elif isinstance(event, Interrupted) or (isinstance(event, TurnEnded) and event.interrupted):
            self._interrupted.add(turn)
            self._view = None
        if isinstance(event, TurnEnded):
            self._latest_plan.pop(turn, None)

    def _add_sentence(self, turn: int, event: Transcript) -> None:
        sentences = self._sentences.setdefault((turn, event.role), {})
        known = sentences.get(event.segment)
        if known is None:
            known = sentences[event.segment] = _Sentence(event.text, event.final)
            if event.role == "assistant" and not event.final:
                self._latest_plan[turn] = known
        elif event.final or not known.final:
            known.text, known.final = event.text, event.final
        self._view = None

    def view(self) -> TranscriptView:
        """Return the conversation as it is now."""
        if self._view is None:
            # The user speaks first in every turn.
            order = sorted(self._sentences, key=lambda key: (key[0], key[1] == "assistant"))
            entries = (self._entry(turn, role) for turn, role in order)
            self._view = TranscriptView(tuple(entry for entry in entries if entry.text))
        return self._view

    def _entry(self, turn: int, role: Role) -> TranscriptEntry:
        interrupted = turn in self._interrupted
        numbered = sorted(self._sentences[turn, role].items())
        if interrupted and role == "assistant":
            numbered = _spoken(numbered)
        sentences = [sentence for _segment, sentence in numbered]
        return TranscriptEntry(
            turn,
            role,
            " ".join(text for sentence in sentences if (text := sentence.text.strip())),
            final=all(sentence.final for sentence in sentences),
            interrupted=interrupted,
        )


def _spoken(numbered: list[tuple[int, _Sentence]]) -> list[tuple[int, _Sentence]]:
    """Return the sentences of a cut turn that were spoken.

    Final texts end where the voice did, so nothing planned after the last of them was said. They may never come
    (protocol reference, section 2.4); then a sentence counts if any audio of it came.
    """
    last_final = max((segment for segment, sentence in numbered if sentence.final), default=None)
    if last_final is not None:
        return [(segment, sentence) for segment, sentence in numbered if segment <= last_final]
    return [(segment, sentence) for segment, sentence in numbered if sentence.voiced]
