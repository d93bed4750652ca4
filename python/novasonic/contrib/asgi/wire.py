"""The browser wire, version 1, without I/O: what the page sends becomes messages, or is refused.

`messages.py` builds what the page is told, `choices.py` reads `initialize`, `guard.py` bounds how much of all this a
page may send. `docs/reference/browser-wire.md` describes every message; `static/novasonic/wire.js` is the twin in the
page.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .choices import MAX_TEXT_CHARS, ClientCredentials, Initialize, PageRules, is_region, is_unicode, read_initialize
from .errors import CloseCode, WireError
from .messages import (
    PROTOCOL,
    audio_chunk,
    closed,
    encode,
    error,
    from_event,
    heartbeat,
    initialized,
    queued,
    reconnect,
    resume_token,
    resumed,
    spoken,
    tool_approval,
    tool_called,
    tool_finished,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BYTES_PER_SAMPLE",
    "MAX_TEXT_CHARS",
    "MAX_TEXT_FRAME_CHARS",
    "PROTOCOL",
    "AudioChunk",
    "ClientCredentials",
    "ClientMessage",
    "Close",
    "CloseCode",
    "Initialize",
    "Interrupt",
    "Mute",
    "PageRules",
    "Played",
    "TextMessage",
    "ToolApproval",
    "WireError",
    "audio_chunk",
    "closed",
    "encode",
    "error",
    "from_event",
    "heartbeat",
    "initialized",
    "is_region",
    "parse_binary",
    "parse_text",
    "queued",
    "reconnect",
    "resume_token",
    "resumed",
    "spoken",
    "tool_approval",
    "tool_called",
    "tool_finished",
]

BYTES_PER_SAMPLE: Final = 2
# A second of 24 kHz audio is 64,000 characters of base64; pages that record at a higher rate send shorter pieces.
MAX_TEXT_FRAME_CHARS: Final = 65_536
MAX_DEPTH: Final = 16
MAX_ID_CHARS: Final = 128
MAX_COUNT: Final = 2**32 - 1

# Strings are skipped whole, closed or not, and possessively: a frame of quotes is read once, not once for each quote.
_BRACKETS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The text form of a binary frame; `is_complete` says that the speaker paused."""

    pcm: bytes
    is_complete: bool


@dataclass(frozen=True, slots=True)
class TextMessage:
    """Typed input of the user."""

    text: str
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Played:
    """The page has played `ms` of the turn's audio so far."""

    turn: int
    ms: int


@dataclass(frozen=True, slots=True)
class ToolApproval:
    """The user lets a tool call run that waits for it, or denies it."""

    id: str
    approve: bool


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Drop the rest of the answer."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Send silence in place of the user's audio, or stop doing so."""

    muted: bool


@dataclass(frozen=True, slots=True)
class Close:
    """End the conversation."""


ClientMessage = Initialize | AudioChunk | TextMessage | Played | ToolApproval | Interrupt | Mute | Close


def parse_binary(frame: bytes, rate: int) -> bytes:
    """Check a binary frame: whole samples of PCM16LE mono, one second of `rate` Hz at most.

    Raises:
        WireError: `audio_format` for half a sample; `audio_too_long` (closes with 4413).
    """
    if len(frame) > rate * BYTES_PER_SAMPLE:
        raise WireError(
            "audio_too_long", f"An audio frame holds at most one second ({rate} samples).", close=CloseCode.TOO_LARGE
        )
    if len(frame) % BYTES_PER_SAMPLE:
        raise WireError("audio_format", "Audio is 16-bit PCM: a frame has an even number of bytes.")
    return frame


def parse_text(frame: str, rate: int, rules: PageRules = PageRules()) -> ClientMessage:  # noqa: B008 - frozen
    """Read one text frame.

    Args:
        frame: What the page sent.
        rate: The conversation's input rate in Hz, which bounds an `audio_chunk`.
        rules: What the site lets a page choose and send.

    Raises:
        WireError: With a code of its own for each kind of bad input; never quotes values the page sent.
    """
    if len(frame) > MAX_TEXT_FRAME_CHARS:
        raise WireError(
            "message_too_long", f"A message has at most {MAX_TEXT_FRAME_CHARS} characters.", close=CloseCode.TOO_LARGE
        )
    message = _read_json(frame)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise WireError("bad_message", 'A message is a JSON object with a "type".', close=CloseCode.BAD_MESSAGE)
    match message["type"]:
        case "initialize":
            return read_initialize(message, rules)
        case "audio_chunk":
            return _audio_chunk(message, rate)
        case "text_message":
            return _text_message(message, rules.max_text_chars)
        case "played":
            return Played(_count(message, "turn", least=1), _count(message, "ms"))
        case "interrupt":
            return Interrupt()
        case "mute":
            return Mute(muted=True)
        case "unmute":
            return Mute(muted=False)
        case "close":
            return Close()
        case "tool_approval":
            return _tool_approval(message)
        case _:
            raise WireError("unknown_type", f"Protocol {PROTOCOL} has no message of this type.")


def _read_json(frame: str) -> Any:
    if _is_deep(frame):
        raise _bad_json(f"A message nests at most {MAX_DEPTH} deep.")
    try:
        return json.loads(frame, object_pairs_hook=_object, parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise _bad_json("A text frame must be JSON.") from None


def _bad_json(message: str) -> WireError:
    return WireError("bad_json", message, close=CloseCode.BAD_MESSAGE)


def _is_deep(frame: str) -> bool:
    # Before json.loads, which goes as deep as the interpreter's stack. Nearly every frame ends here.
    if frame.count("[") + frame.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.finditer(frame):
        if found[1]:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif found[2]:
            depth -= 1
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        # Readers differ in which of the two they take: what one checks, another might run.
        raise _bad_json("An object of JSON names a key twice.")
    return read


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are Python's, not JSON's


def _audio_chunk(message: Mapping[str, Any], rate: int) -> AudioChunk:
    audio = message.get("audio", "")
    is_complete = message.get("isComplete", False)
    if not isinstance(audio, str) or not isinstance(is_complete, bool):
        raise WireError("bad_field", "'audio' is a string of base64 and 'isComplete' is true or false.")
    try:
        pcm = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise WireError("audio_not_base64", "'audio' is not base64.") from None
    return AudioChunk(parse_binary(pcm, rate), is_complete)


def _text_message(message: Mapping[str, Any], max_chars: int) -> TextMessage:
    message_id = message.get("messageId")
    if message_id is not None and not (isinstance(message_id, str) and len(message_id) <= MAX_ID_CHARS):
        raise WireError("bad_field", f"'messageId' is a string of at most {MAX_ID_CHARS} characters.")
    text = message.get("text")
    if not isinstance(text, str) or not text.strip() or not is_unicode(text):
        raise WireError("bad_field", "'text' is a string that says something.", message_id=message_id)
    if len(text) > max_chars:
        raise WireError("text_too_long", f"'text' has at most {max_chars} characters.", message_id=message_id)
    return TextMessage(text, message_id)


def _tool_approval(message: Mapping[str, Any]) -> ToolApproval:
    call_id, approve = message.get("id"), message.get("approve")
    if not isinstance(call_id, str) or not 0 < len(call_id) <= MAX_ID_CHARS:
        raise WireError("bad_field", f"'id' is a string of 1 to {MAX_ID_CHARS} characters.")
    # Nothing but true is a yes: "false" and 1 are not.
    if not isinstance(approve, bool):
        raise WireError("bad_field", "'approve' is true or false.")
    return ToolApproval(call_id, approve)


def _count(message: Mapping[str, Any], key: str, *, least: int = 0) -> int:
    value = message.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT:
        return value
    raise WireError("bad_field", f"'{key}' is a whole number from {least} to {MAX_COUNT}.")
