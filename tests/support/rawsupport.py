"""The service's input events, written out from the protocol reference (§1), for those who speak it by hand."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

PROMPT = "prompt-1"
AUDIO = "audio-1"
LPCM = {
    "mediaType": "audio/lpcm",
    "sampleSizeBits": 16,
    "channelCount": 1,
    "audioType": "SPEECH",
    "encoding": "base64",
}


def event(name: str, **body: Any) -> dict[str, Any]:
    return {"event": {name: body}}


def block(start: dict[str, Any], name: str, content: str) -> list[dict[str, Any]]:
    names = {"promptName": PROMPT, "contentName": str(uuid.uuid4())}
    return [
        event("contentStart", **names, **start),
        event(name, **names, content=content),
        event("contentEnd", **names),
    ]


def text(role: str, content: str, *, interactive: bool = False) -> list[dict[str, Any]]:
    start = {
        "type": "TEXT",
        "interactive": interactive,
        "role": role,
        "textInputConfiguration": {"mediaType": "text/plain"},
    }
    return block(start, "textInput", content)


def tool_result(tool_use_id: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    start = {
        "interactive": False,
        "type": "TOOL",
        "role": "TOOL",
        "toolResultInputConfiguration": {
            "toolUseId": tool_use_id,
            "type": "TEXT",
            "textInputConfiguration": {"mediaType": "text/plain"},
        },
    }
    return block(start, "toolResult", json.dumps(result))


def opening(*, tools: tuple[str, ...] = (), rate: int = 16_000) -> list[dict[str, Any]]:
    specs = [
        {"toolSpec": {"name": name, "description": name, "inputSchema": {"json": '{"type":"object"}'}}}
        for name in tools
    ]
    return [
        event("sessionStart", inferenceConfiguration={"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}),
        event(
            "promptStart",
            promptName=PROMPT,
            textOutputConfiguration={"mediaType": "text/plain"},
            audioOutputConfiguration={**LPCM, "sampleRateHertz": rate, "voiceId": "tiffany"},
            toolUseOutputConfiguration={"mediaType": "application/json"},
            toolConfiguration={"tools": specs},
        ),
        *text("SYSTEM", "You are a parrot."),
        event(
            "contentStart",
            promptName=PROMPT,
            contentName=AUDIO,
            type="AUDIO",
            interactive=True,
            role="USER",
            audioInputConfiguration={**LPCM, "sampleRateHertz": rate},
        ),
    ]


def audio(pcm: bytes) -> dict[str, Any]:
    return event("audioInput", promptName=PROMPT, contentName=AUDIO, content=base64.b64encode(pcm).decode())


def closing() -> list[dict[str, Any]]:
    return [
        event("contentEnd", promptName=PROMPT, contentName=AUDIO),
        event("promptEnd", promptName=PROMPT),
        event("sessionEnd"),
    ]


def name_of(received: dict[str, Any]) -> str:
    """``contentStart AUDIO`` and the like."""
    ((name, body),) = received["event"].items()
    return f"{name} {body['type']}" if name in ("contentStart", "contentEnd") else name


def pcm_of(received: dict[str, Any]) -> bytes:
    return base64.b64decode(received["event"].get("audioOutput", {}).get("content", ""))
