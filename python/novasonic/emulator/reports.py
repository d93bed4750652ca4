"""What an emulator saw of its streams."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamReport"]


# Twin of `StreamReport` in src/emulator/settings.rs, in the order of `Report` in src/bindings/emulator.rs.
@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream, live or ended.

    Attributes:
        stream_id: Counted from 1 over the emulator.
        connection_id: The HTTP/2 connection that carried it, counted from 1.
        model_id: The model asked for.
        region: The region of the signature.
        access_key_id: Who signed; None where nothing was signed.
        events: Names of all input events in order; a run of ``audioInput`` is one entry.
        audio_bytes: The user's audio received, as PCM.
        output_audio_bytes: The assistant's audio sent, as PCM.
        ended: None while it lives; then ``clean``, or what broke: a rule's text, a signature, a reset.
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
