"""What the page is told: each message as a dict, and the events of a session as messages.

`docs/reference/browser-wire.md` describes them; `static/novasonic/wire.js` reads them in the page.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final

from novasonic import events

from .choices import is_unicode

PROTOCOL: Final = 1


def encode(message: dict[str, Any]) -> str:
    """Write a message as a text frame."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    # A page's id or a model's arguments may hold half a surrogate pair: escaped it is ASCII again.
    return text if is_unicode(text) else json.dumps(message, separators=(",", ":"))


def initialized(session_id: str, input_rate: int, output_rate: int, resume_token: str | None = None) -> dict[str, Any]:
    """Build the message that says the page may talk; rates are Hz."""
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
    """Build the message, right after `initialized`, that an earlier conversation goes on after its turn `turn`."""
    return {"type": "resumed", "sessionId": session_id, "turn": turn}


def resume_token(token: str) -> dict[str, Any]:
    """Build the message that `token` takes the place of the one the page holds."""
    return {"type": "resume_token", "resumeToken": token}


def reconnect(after_ms: int, token: str | None) -> dict[str, Any]:
    """Build the message that this worker goes away: the page is to open another socket `after_ms` from now."""
    return {"type": "reconnect", "afterMs": after_ms, "resumeToken": token}


def queued(position: int) -> dict[str, Any]:
    """Build the message that the conversation waits for a free stream; `position` 1 is the next, 0 waits no longer."""
    return {"type": "queued", "position": position}


def heartbeat() -> dict[str, Any]:
    """Build what keeps proxies from closing a silent socket; it says nothing."""
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
            return {"type": "usage", "turn": event.turn, "total": total, "usd": round(event.usd, 9)}
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
