"""What an emulator saw of its streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from novasonic.config import Message

__all__ = ["Recording", "StreamReport"]


# Twin of `StreamReport` in src/emulator/settings.rs.
@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream, live or ended.

    Attributes:
        stream_id: Counted from 1 over the emulator.
        connection_id: The connection that carried it, counted from 1.
        model_id: The model asked for.
        region: The region of the signature.
        access_key_id: Who signed; None where nothing was signed.
        events: Names of all input events in order; a run of ``audioInput`` is one entry.
        audio_bytes: The user's audio received, as PCM.
        output_audio_bytes: The assistant's audio sent, as PCM.
        ended: None while it lives; then ``clean``, or what broke: a rule's text, a signature, a reset, a fault.
        account: The account that signed (see `Emulator.account`); empty: the emulator's own key.
        number: Counts the account's streams, from 1.
        inputs: How often each event came, by name.
        outputs: How often each event was sent, by name.
        faults: Those committed on it, in order, as ``"tcp_reset after output 12"``.
        opened_at: Unix time in seconds, comparable with `time.time`.
        fault_at: When the last of the faults was committed.
        ended_at: When it ended.
        websocket: It came as a browser's WebSocket, not over HTTP/2.
    """

    stream_id: int
    connection_id: int
    model_id: str
    region: str
    access_key_id: str | None
    events: tuple[str, ...]
    audio_bytes: int
    output_audio_bytes: int
    ended: str | None
    account: str = ""
    number: int = 1
    inputs: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    opened_at: float = 0.0
    fault_at: float | None = None
    ended_at: float | None = None
    websocket: bool = False


# Twin of `Recording` in src/emulator/recording.rs.
@dataclass(frozen=True, slots=True)
class Recording:
    """What a client sent on one stream, as far as the emulator understood it.

    Attributes:
        pcm: The user's audio, PCM16LE mono, its blocks one after the other.
        system: The system prompt.
        history: The history replayed.
        typed: What the user typed.
        tool_results: ``(toolUseId, content)`` of each result.
        truncated: The rest was left out: more than eight minutes of 48 kHz, more than 4 MiB of text, or more than 1 GiB
            in the emulator's recordings together.
    """

    # Neither sounds nor words belong into logs.
    pcm: bytes = field(repr=False)
    system: str = field(repr=False)
    history: tuple[Message, ...] = field(repr=False)
    typed: tuple[str, ...] = field(repr=False)
    tool_results: tuple[tuple[str, str], ...] = field(repr=False)
    truncated: bool
