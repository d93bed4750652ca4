"""The browser wire, version 1, without I/O: frames of the page become messages, events become frames for the page.

`docs/reference/browser-wire.md` describes every message; `static/novasonic/wire.js` is this module's twin in the page.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from novasonic import events

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PROTOCOL: Final = 1
BYTES_PER_SAMPLE: Final = 2
# A second of 24 kHz audio is 64,000 characters of base64; pages that record at a higher rate send shorter pieces.
MAX_TEXT_FRAME_CHARS: Final = 65_536
MAX_TEXT_CHARS: Final = 4_000
MAX_ID_CHARS: Final = 128
MAX_TOKEN_CHARS: Final = 1_024
MAX_COUNT: Final = 2**32 - 1


class CloseCode(IntEnum):
    """How the WebSocket ends; 44xx and 45xx are ours."""

    NORMAL = 1000
    RESTART = 1012
    BAD_MESSAGE = 4400
    NOT_SIGNED_IN = 4401
    NOT_ALLOWED = 4403
    IDLE = 4408
    TAKEN_OVER = 4409
    TOO_LARGE = 4413
    TOO_MANY = 4429
    SERVICE_FAILED = 4500
    NO_CAPACITY = 4503


class WireError(Exception):
    """What the page sent cannot be taken.

    `close` is None where the conversation goes on: the page is told and the message is dropped.
    """

    def __init__(
        self, code: str, message: str, *, close: CloseCode | None = None, message_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.close = close
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Initialize:
    """Open the conversation; None and False leave a choice to the site."""

    voice: str | None = None
    base64_audio: bool = False
    resume_token: str | None = field(default=None, repr=False)
    """Of the conversation to go on with."""
    ticket: str | None = field(default=None, repr=False)
    """Who talks, where no cookie says so."""


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


def parse_text(frame: str, rate: int, voices: Collection[str] = ()) -> ClientMessage:
    """Read one text frame.

    Args:
        frame: What the page sent.
        rate: The conversation's input rate in Hz, which bounds an `audio_chunk`.
        voices: What the site lets a page choose as `voice`.

    Raises:
        WireError: With a code of its own for each kind of bad input; never quotes values the page sent.
    """
    if len(frame) > MAX_TEXT_FRAME_CHARS:
        raise WireError(
            "message_too_long", f"A message has at most {MAX_TEXT_FRAME_CHARS} characters.", close=CloseCode.TOO_LARGE
        )
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        raise WireError("bad_json", "A text frame must be JSON.", close=CloseCode.BAD_MESSAGE) from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise WireError("bad_message", 'A message is a JSON object with a "type".', close=CloseCode.BAD_MESSAGE)
    match message["type"]:
        case "initialize":
            return _initialize(message, voices)
        case "audio_chunk":
            return _audio_chunk(message, rate)
        case "text_message":
            return _text_message(message)
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


def _initialize(message: Mapping[str, Any], voices: Collection[str]) -> Initialize:
    for key in message:
        if _names_credentials(key):
            raise WireError(
                "credentials_not_accepted",
                "AWS keys stay on the server; this site does not take them from a page.",
                close=CloseCode.NOT_ALLOWED,
            )
    if refused := sorted(message.keys() - {"type", "voice", "audioFormat", "resumeToken", "ticket"}):
        raise WireError("not_allowed", f"A page may not choose {refused[0][:40]!r} here.")
    voice = message.get("voice")
    if voice is not None and not (isinstance(voice, str) and voice in voices):
        raise WireError("not_allowed", "A page may not choose this 'voice' here.")
    audio_format = message.get("audioFormat", "binary")
    if audio_format not in ("binary", "base64"):
        raise WireError("not_allowed", '\'audioFormat\' is "binary" or "base64".')
    return Initialize(
        voice=voice,
        base64_audio=audio_format == "base64",
        resume_token=_token(message, "resumeToken"),
        ticket=_token(message, "ticket"),
    )


def _token(message: Mapping[str, Any], key: str) -> str | None:
    token = message.get(key)
    if token is None or (isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_CHARS and token.isascii()):
        return token
    raise WireError("bad_field", f"'{key}' is a string of at most {MAX_TOKEN_CHARS} characters.")


def _names_credentials(key: str) -> bool:
    plain = "".join(filter(str.isalnum, key)).lower()
    return plain.startswith("aws") or any(
        word in plain for word in ("accesskey", "secret", "sessiontoken", "credential")
    )


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


def _text_message(message: Mapping[str, Any]) -> TextMessage:
    message_id = message.get("messageId")
    if message_id is not None and not (isinstance(message_id, str) and len(message_id) <= MAX_ID_CHARS):
        raise WireError("bad_field", f"'messageId' is a string of at most {MAX_ID_CHARS} characters.")
    text = message.get("text")
    if not isinstance(text, str) or not text.strip() or not _is_unicode(text):
        raise WireError("bad_field", "'text' is a string that says something.", message_id=message_id)
    if len(text) > MAX_TEXT_CHARS:
        raise WireError("text_too_long", f"'text' has at most {MAX_TEXT_CHARS} characters.", message_id=message_id)
    return TextMessage(text, message_id)


def _tool_approval(message: Mapping[str, Any]) -> ToolApproval:
    call_id, approve = message.get("id"), message.get("approve")
    if not isinstance(call_id, str) or not 0 < len(call_id) <= MAX_ID_CHARS:
        raise WireError("bad_field", f"'id' is a string of 1 to {MAX_ID_CHARS} characters.")
    # Nothing but true is a yes: "false" and 1 are not.
    if not isinstance(approve, bool):
        raise WireError("bad_field", "'approve' is true or false.")
    return ToolApproval(call_id, approve)


def _is_unicode(text: str) -> bool:
    # JSON can spell half a surrogate pair, which no UTF-8 encoder takes.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(message: Mapping[str, Any], key: str, *, least: int = 0) -> int:
    value = message.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT:
        return value
    raise WireError("bad_field", f"'{key}' is a whole number from {least} to {MAX_COUNT}.")


def encode(message: dict[str, Any]) -> str:
    """Write a message as a text frame."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    # A page's id or a model's arguments may hold half a surrogate pair: escaped it is ASCII again.
    return text if _is_unicode(text) else json.dumps(message, separators=(",", ":"))


def initialized(session_id: str, input_rate: int, output_rate: int, resume_token: str | None = None) -> dict[str, Any]:
    """Build the message that says that the page may talk; rates are Hz."""
    return {
        "type": "initialized",
        "protocol": PROTOCOL,
        "sessionId": session_id,
        "message": "You may talk.",
        "timestamp": datetime.now(UTC).isoformat(),
        "inputRate": input_rate,
        "outputRate": output_rate,
        "resumeToken": resume_token,
    }


def resumed(session_id: str, turn: int) -> dict[str, Any]:
    """Build the message that an earlier conversation goes on; `turn` is its last complete one."""
    return {"type": "resumed", "sessionId": session_id, "turn": turn}


def heartbeat() -> dict[str, Any]:
    """Build what a page is sent so that no proxy takes it for dead."""
    return {"type": "heartbeat"}


def spoken(text: str, turn: int) -> dict[str, Any]:
    """Build the transcript of what the site itself says in the assistant's place."""
    return {"type": "transcript", "role": "assistant", "text": text, "final": True, "turn": turn, "segment": 0}


def error(
    code: str, message: str, *, retryable: bool = False, fatal: bool = False, message_id: str | None = None
) -> dict[str, Any]:
    """Build an `error`; a fatal one is followed by `closed`."""
    return {
        "type": "error",
        "code": code,
        "message": message,
        "retryable": retryable,
        "fatal": fatal,
        "messageId": message_id,
    }


def closed(reason: str) -> dict[str, Any]:
    """Build the last message of a conversation; the WebSocket's close code follows."""
    return {"type": "closed", "reason": reason}


def audio_chunk(event: events.AudioOutput) -> dict[str, Any]:
    """Build the base64 form of the model's audio, for pages that asked for it."""
    return {"type": "audio_chunk", "turn": event.turn, "audio": base64.b64encode(event.pcm).decode("ascii")}


def tool_called(event: events.ToolCall, *, arguments: bool = False) -> dict[str, Any]:
    """Build the message that a tool is called; its arguments are the site's business unless it says otherwise."""
    message = _tool(event.turn, event.id, event.name, "called", ok=None, seconds=None)
    return message | {"arguments": dict(event.arguments)} if arguments else message


def tool_finished(event: events.ToolFinished, name: str) -> dict[str, Any]:
    """Build the message that a call got its result; `name` is the tool's, which the event does not carry."""
    return _tool(event.turn, event.id, name, "finished", ok=event.ok, seconds=round(event.seconds, 3))


def _tool(
    turn: int | None, call_id: str, name: str, state: str, *, ok: bool | None, seconds: float | None
) -> dict[str, Any]:
    return {"type": "tool", "turn": turn, "id": call_id, "name": name, "state": state, "ok": ok, "seconds": seconds}


def tool_approval(event: events.ToolCall) -> dict[str, Any]:
    """Build the question whether a call may run, with its arguments: nobody approves what they cannot see."""
    return {
        "type": "tool_approval",
        "turn": event.turn,
        "id": event.id,
        "name": event.name,
        "arguments": dict(event.arguments),
    }


def from_event(event: events.Event) -> dict[str, Any] | None:
    """Build the message that tells the page of `event`; None where there is none.

    Audio and tool calls have builders of their own above.
    """
    match event:
        case events.Transcript():
            return {
                "type": "transcript",
                "role": event.role,
                "text": event.text,
                "final": event.final,
                "turn": event.turn,
                "segment": event.segment,
            }
        case events.TurnStarted():
            return {"type": "turn_started", "turn": event.turn}
        case events.TurnEnded():
            seconds = event.timings.response_seconds
            response_ms = None if seconds is None else round(seconds * 1000)
            return {
                "type": "turn_ended",
                "turn": event.turn,
                "interrupted": event.interrupted,
                "responseMs": response_ms,
            }
        case events.Interrupted():
            return {"type": "interrupted", "turn": event.turn, "source": event.source}
        case events.Usage():
            tokens = event.total
            total = {
                "speechIn": tokens.speech_in,
                "textIn": tokens.text_in,
                "speechOut": tokens.speech_out,
                "textOut": tokens.text_out,
            }
            return {"type": "usage", "turn": event.turn, "total": total, "usd": event.usd}
        case events.Renewing():
            return {"type": "renewing", "turn": event.turn, "reason": event.reason}
        case events.Renewed():
            return {
                "type": "renewed",
                "turn": event.turn,
                "ms": round(event.seconds * 1000),
                "replayedMs": round(event.replayed_seconds * 1000),
            }
        case _:
            return None
