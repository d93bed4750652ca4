"""Figures of one session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from novasonic.events import TokenCounts

__all__ = ["Cost", "Stats"]


# Twin of `Stats` in src/session/mod.rs; tests/test_twins.py compares the fields.
@dataclass(frozen=True, slots=True)
class Stats:
    """One snapshot of a session; all counts since the conversation opened.

    Attributes:
        queued_input_ms: The user's audio that waits to be sent.
        queued_output_ms: The assistant's audio that nobody read yet.
        sent_audio_ms: The user's audio on the wire, silence in its place included.
        filled_silence_ms: Silence sent in the place of audio that did not come.
        received_audio_ms: The assistant's audio received.
        refused_chunks: Chunks for which ``try_send_audio`` returned False because the buffer was full.
        refused_audio_ms: Their audio.
        purged_audio_ms: The assistant's audio dropped by an interruption before anybody read it.
        events: Events received.
        wakeups: Wake-ups of the event loop.
        unknown_events: Events that this version does not know.
        tool_calls: Calls of tools.
        streams_opened: Streams to the service.
    """

    queued_input_ms: int
    queued_output_ms: int
    sent_audio_ms: int
    filled_silence_ms: int
    received_audio_ms: int
    refused_chunks: int
    refused_audio_ms: int
    purged_audio_ms: int
    events: int
    wakeups: int
    unknown_events: int
    tool_calls: int
    streams_opened: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a conversation cost so far.

    Attributes:
        tokens: All tokens, by kind and direction.
        usd: Their price.
        as_of: The day of the prices.
    """

    tokens: TokenCounts
    usd: float
    as_of: date
