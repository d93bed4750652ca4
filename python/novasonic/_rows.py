"""What the core hands over, cheap tuples, as the objects of the API. Twins: src/bindings/event.rs, session.rs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novasonic._arguments import ArgumentsError, decoded
from novasonic.events import (
    AudioOutput,
    Event,
    Interrupted,
    Renewed,
    Renewing,
    SessionEnded,
    Timings,
    TokenCounts,
    ToolCall,
    ToolFinished,
    Transcript,
    TurnEnded,
    TurnStarted,
    UnknownEvent,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EVENT_CLASSES", "event_from_row"]

# By the kinds of EVENT_FIELDS in src/bindings/event.rs.
EVENT_CLASSES: tuple[Callable[..., Event], ...] = (
    AudioOutput,
    Transcript,
    TurnStarted,
    TurnEnded,
    Interrupted,
    Usage,
    SessionEnded,
    UnknownEvent,
    ToolCall,
    ToolFinished,
    Renewing,
    Renewed,
)
_TURN_ENDED = EVENT_CLASSES.index(TurnEnded)
_USAGE = EVENT_CLASSES.index(Usage)
_TOOL_CALL = EVENT_CLASSES.index(ToolCall)


def event_from_row(row: tuple[Any, ...], needs_approval: Callable[[str], bool]) -> Event:
    """Return the event for ``(kind, at, turn, raw_type, *fields)``; `needs_approval` knows tools by name."""
    kind: int
    kind, at, turn, raw_type, *fields = row
    if kind == _USAGE:
        delta, total, usd = fields
        return Usage(TokenCounts(*delta), TokenCounts(*total), usd, at=at, turn=turn, raw_type=raw_type)
    if kind == _TURN_ENDED:
        interrupted, timings = fields
        return TurnEnded(interrupted, Timings(*timings), at=at, turn=turn, raw_type=raw_type)
    if kind == _TOOL_CALL:
        call_id, name, arguments = fields
        return ToolCall(call_id, name, _object(arguments), needs_approval(name), at=at, turn=turn, raw_type=raw_type)
    return EVENT_CLASSES[kind](*fields, at=at, turn=turn, raw_type=raw_type)


def _object(text: str) -> dict[str, Any]:
    # As the toolbox reads them, layers of strings included: whoever approves a call must see what will run.
    try:
        return decoded(text)
    except ArgumentsError:
        return {}
