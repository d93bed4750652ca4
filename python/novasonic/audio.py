"""PCM16 and WAV: what callers may hand over as audio, checked and cut into chunks.

Only the shape is judged here (type, item size, layout); length and parity are the core's to refuse.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TYPE_CHECKING

from novasonic.exceptions import AudioFormatError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from typing_extensions import Buffer

    PcmLike: TypeAlias = Buffer

SAMPLE_BYTES = 2
CHUNK_SECONDS = 0.032
"""The frame length of AWS's own samples: 1,024 bytes at 16 kHz (protocol reference, section 1.4)."""

_INT16_FORMATS = frozenset({"h", "<h", "=h", "@h"})
_BYTE_FORMATS = frozenset({"B", "b", "c"})


def pcm_bytes(pcm: PcmLike) -> bytes:
    """Return `pcm` as bytes of PCM16LE.

    Takes bytes, bytearray, memoryview and anything else with a contiguous, one-dimensional buffer of bytes or native
    16-bit integers: ``array.array("h")``, an ``int16`` NumPy array of shape (n,) or (n, 1).

    Raises:
        AudioFormatError: ``code="audio_type"``: any other object, item type or layout.
    """
    if type(pcm) is bytes:
        return pcm
    try:
        view = memoryview(pcm)
    except TypeError:
        raise AudioFormatError(
            f"Audio was given as {type(pcm).__name__}.",
            code="audio_type",
            cure="Give PCM16LE mono as bytes, bytearray, memoryview or an array of 16-bit integers.",
        ) from None
    with view:
        mono = view.ndim == 1 or (view.ndim == 2 and view.shape is not None and view.shape[1] == 1)
        if view.format not in _INT16_FORMATS | _BYTE_FORMATS or not view.c_contiguous or not mono:
            raise AudioFormatError(
                f"Audio was given as a buffer of format {view.format!r} and shape {view.shape}.",
                code="audio_type",
                cure="Give contiguous mono bytes or 16-bit integers; for float samples: "
                "(samples * 32767).astype('<i2').",
            )
        return view.tobytes()


def chunk_bytes(rate: int) -> int:
    """Return the bytes of one chunk of `CHUNK_SECONDS` at `rate`."""
    return int(rate * CHUNK_SECONDS) * SAMPLE_BYTES


def pieces(pcm: bytes, size: int) -> Iterator[bytes]:
    """Cut `pcm` into pieces of `size` bytes, the last one shorter."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def read_wav(path: str | Path, rate: int) -> bytes:
    """Return the samples of a PCM16 mono WAV file of `rate`.

    Raises:
        AudioFormatError: ``code="wav"``: not a WAV file, or not 16-bit mono PCM.
        ConfigError: ``code="sample_rate"``: recorded at another rate.
        OSError: The file cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, recorded = file.getsampwidth(), file.getnchannels(), file.getframerate()
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise AudioFormatError(
            f"{Path(path).name} is not a PCM WAV file ({error}).", code="wav", cure="Convert it to 16-bit mono PCM."
        ) from error
    if width != SAMPLE_BYTES or channels != 1:
        raise AudioFormatError(
            f"{Path(path).name} has {channels} channels of {8 * width} bits.",
            code="wav",
            cure="Convert it to 16-bit mono PCM.",
        )
    if recorded != rate:
        raise ConfigError(
            f"{Path(path).name} was recorded at {recorded} Hz, the session takes {rate} Hz.",
            code="sample_rate",
            cure=f"Open the session with input_rate={recorded} (8000, 16000 or 24000) or resample the file.",
        )
    return samples
