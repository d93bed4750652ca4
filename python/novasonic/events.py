"""What a session tells its reader.

Events are frozen. Their reprs show sizes instead of what was said, so that they may be logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from novasonic.exceptions import NovaSonicError

__all__ = [
    "AudioOutput",
    "Event",
    "Interrupted",
    "Renewed",
    "Renewing",
    "SessionEnded",
    "Timings",
    "TokenCounts",
    "ToolCall",
    "ToolFinished",
    "Transcript",
    "TurnEnded",
    "TurnStarted",
    "UnknownEvent",
    "Usage",
]

# Twin of src/conversation/event.rs, carried by src/bindings/event.rs; tests/test_twins.py compares the fields.


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        at: Seconds since the conversation opened, stamped when the event was received.
        turn: Number of the turn, from 1 (``connect(first_turn=)``) over the conversation; None outside a turn.
        raw_type: Name of the service's event behind it, or ``novasonic`` where it is our own.
    """

    at: float
    turn: int | None
    raw_type: str


@dataclass(frozen=True, slots=True)
class AudioOutput(Event):
    """A piece of the assistant's voice. Comes faster than real time.

    Attributes:
        pcm: PCM16LE mono.
        rate: Samples a second (Hz).
    """

    pcm: bytes = field(repr=False)
    rate: int

    @property
    def seconds(self) -> float:
        """How long the piece plays."""
        return len(self.pcm) / (2 * self.rate)


@dataclass(frozen=True, slots=True)
class Transcript(Event):
    """One sentence of either side.

    A final text replaces the planned one of the same turn, role and segment. It may come after ``TurnEnded``, even
    after the next ``TurnStarted``, and now and then not at all.

    Attributes:
        role: Who said it.
        text: What was said.
        final: False: what the assistant plans to say. True: what was said; after a barge-in only as far as it was.
        segment: Number of the sentence within its turn and role.
    """

    role: Literal["user", "assistant"]
    text: str = field(repr=False)
    final: bool
    segment: int


@dataclass(frozen=True, slots=True)
class TurnStarted(Event):
    """A turn began; precedes all audio of that turn."""


@dataclass(frozen=True, slots=True)
class Timings:
    """When what happened in a turn, in seconds since the conversation opened.

    Attributes:
        started: The turn began: the user's words were understood, a text was sent, or the assistant began.
        user_ended: The user's last word: by the service's own word where it tells (``userSpeechEnd``), else when the
            user's text came. None where the assistant began.
        first_audio: The first piece of the answer came; None where none came.
        ended: The turn was over; None while it runs.
    """

    started: float
    user_ended: float | None
    first_audio: float | None
    ended: float | None

    @property
    def response_seconds(self) -> float | None:
        """From the user's last word to the first sound of the answer; None where one of them is missing."""
        if self.user_ended is None or self.first_audio is None:
            return None
        return self.first_audio - self.user_ended


@dataclass(frozen=True, slots=True)
class TurnEnded(Event):
    """The turn is over: its audio is complete, or was cut short.

    Attributes:
        interrupted: Whether the user or the program spoke into it.
        timings: When what happened.
    """

    interrupted: bool
    timings: Timings


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """Stop playing this turn now: no audio of it follows.

    Attributes:
        source: ``model`` where the user spoke into the answer, ``client`` after ``Session.interrupt()``.
    """

    source: Literal["model", "client"]


@dataclass(frozen=True, slots=True)
class ToolCall(Event):
    """The model calls a tool. The session runs it, unless it is manual or waits for an approval.

    Attributes:
        id: The service's id of the call.
        name: Name of the tool, as declared.
        arguments: What the model wants it called with; empty where it wrote no JSON object (its result then says so).
        needs_approval: Whether it waits for ``Session.approve``.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(repr=False)
    needs_approval: bool


@dataclass(frozen=True, slots=True)
class ToolFinished(Event):
    """The one result of a call was sent to the model.

    Attributes:
        id: The service's id of the call.
        ok: False: the result tells the model of an error, a refusal or a denial.
        seconds: Since the call came.
    """

    id: str
    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by kind and direction."""

    speech_in: int
    text_in: int
    speech_out: int
    text_out: int


@dataclass(frozen=True, slots=True)
class Usage(Event):
    """What the conversation cost.

    Attributes:
        delta: Since the last ``Usage``.
        total: Of the whole conversation.
        usd: Of the whole conversation, at the prices given to ``connect``, else at the model's list price.
    """

    delta: TokenCounts
    total: TokenCounts
    usd: float


@dataclass(frozen=True, slots=True)
class Renewing(Event):
    """The conversation is about to go on with another stream. Nothing is to be done about it.

    Attributes:
        reason: ``age``, ``idle`` or ``credentials``: the stream is replaced before it ends; ``lost``: it broke;
            ``reconfigured``: `Session.reconfigure` asked for it.
    """

    reason: Literal["age", "idle", "credentials", "lost", "reconfigured"]


@dataclass(frozen=True, slots=True)
class Renewed(Event):
    """The conversation goes on with another stream.

    The old one may still be open, to finish its reply and its final texts: until 15 s after its last word at most. Who
    counts streams is told of its end by ``connect(overlap_ended=)``.

    A turn that was not answered to its end is answered anew, under its number: after a loss its planned sentences and
    their audio may come twice.

    Attributes:
        seconds: Since ``Renewing``.
        replayed_seconds: How much of what the user said was given to both streams. Beyond zero, the words that the
            service was still listening to may be transcribed twice.
    """

    seconds: float
    replayed_seconds: float


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The last event of every session.

    Attributes:
        reason: ``closed`` by us, ``limit`` of the service reached, ended by the ``server``, or an ``error``.
        error: What iteration raises next, or None where it just stops.
    """

    reason: Literal["closed", "limit", "server", "error"]
    error: NovaSonicError | None


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event of the service that this version does not know.

    Attributes:
        name: Its name on the wire.
        raw: Its whole JSON.
    """

    name: str
    raw: str = field(repr=False)
