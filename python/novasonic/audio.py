"""Audio in any shape: what callers may hand over, other rates, telephone codings, levels, WAV.

Everything here gives PCM16LE mono, as the service takes it. The work is done in Rust, without the interpreter's lock
where it is long; NumPy arrays are understood (through the buffer protocol) and not needed.

::

    from novasonic import audio

    audio.resample(pcm, 44_100, 16_000)         # a whole recording
    resampler = audio.Resampler(48_000, 16_000) # a stream, cut anywhere
    audio.mulaw_to_pcm(payload)                 # a telephone line
    audio.level(pcm).rms_dbfs                   # a meter
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from novasonic import _core
from novasonic._wav import WavReader
from novasonic.exceptions import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, TypeAlias

    from typing_extensions import Buffer

    PcmLike: TypeAlias = Buffer

__all__ = [
    "Level",
    "Resampler",
    "alaw_to_pcm",
    "level",
    "mulaw_to_pcm",
    "pcm_bytes",
    "pcm_to_alaw",
    "pcm_to_mulaw",
    "read_wav",
    "resample",
]

SAMPLE_BYTES = 2
CHUNK_SECONDS = 0.032
"""The frame length of AWS's own samples: 1,024 bytes at 16 kHz (protocol reference, section 1.4)."""

_BYTE_FORMATS = frozenset("Bbc")
# Of the machine's own byte order, which is little-endian wherever this library runs.
_SAMPLE_FORMATS = {"h": "i16", "f": "f32", "d": "f64"}
# An array of shape (channels, n), as some libraries have it, would otherwise become a few samples of noise.
_MAX_CHANNELS = 32
# A read ahead of this length hides the hop to a thread, and costs nobody memory.
_BLOCK_SECONDS = 2.0


def pcm_bytes(pcm: PcmLike) -> bytes:
    """Give `pcm` as bytes of PCM16LE mono.

    Args:
        pcm: bytes, bytearray or memoryview of PCM16LE mono; or samples: ``array.array("h")`` or ``("f")``, a NumPy
            array of ``int16``, ``float32`` or ``float64``, of shape (n,) or (n, channels). Floats are -1 to 1: what
            lies beyond is clipped, and what is no number is silence. Several channels are folded into their mean.
            Bytes are taken as they are, whatever their number.

    Raises:
        AudioFormatError: ``code="audio_type"``: any other object, item type or layout.
    """
    if type(pcm) is bytes:
        return pcm
    with _view(pcm) as view:
        item, shape = view.format.lstrip("<=@"), view.shape or ()
        channels = shape[1] if len(shape) == 2 else 1
        if item in _BYTE_FORMATS and channels == 1 and len(shape) in (1, 2) and view.c_contiguous:
            return view.tobytes()
        form = _SAMPLE_FORMATS.get(item)
        if form is None or len(shape) not in (1, 2) or not 1 <= channels <= _MAX_CHANNELS:
            raise AudioFormatError(
                f"Audio was given as a buffer of format {view.format!r} and shape {view.shape}.",
                code="audio_type",
                cure="Give int16 or float32 (-1 to 1) of shape (n,) or (n, channels); transpose (channels, n).",
            )
        samples = view.tobytes()
    return samples if (form, channels) == ("i16", 1) else _core.to_mono(samples, form, channels)


def _view(audio: PcmLike) -> memoryview:
    try:
        return memoryview(audio)
    except TypeError:
        raise AudioFormatError(
            f"Audio was given as {type(audio).__name__}.",
            code="audio_type",
            cure="Give PCM16LE mono as bytes, bytearray or memoryview, or an array of int16 or float32.",
        ) from None


class Resampler:
    """Brings a stream of audio from one rate to another, piece by piece.

    However the stream is cut, the output is the same: phase is kept from piece to piece, and no sample is lost or
    added. Speech comes out as it went in: flat to a thousandth of a decibel up to 450 Hz below half the lower rate,
    anything that cannot be held more than 100 dB down. What comes out is less than 10 ms behind what went in.

    Between equal rates audio passes untouched. Not for two threads at once.

    Args:
        from_rate: Rate of what is pushed, 1,000 to 384,000 Hz.
        to_rate: Rate of what is wanted, likewise.

    Raises:
        ConfigError: ``code="sample_rate"``: a rate beyond those.
    """

    __slots__ = ("_core", "_from_rate", "_to_rate")

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._core = _core.Resampler(from_rate, to_rate)
        self._from_rate = from_rate
        self._to_rate = to_rate

    def __repr__(self) -> str:
        return f"<novasonic.audio.Resampler {self._from_rate} to {self._to_rate} Hz>"

    @property
    def from_rate(self) -> int:
        """Rate of what is pushed, in Hz."""
        return self._from_rate

    @property
    def to_rate(self) -> int:
        """Rate of what comes out, in Hz."""
        return self._to_rate

    def push(self, pcm: PcmLike) -> bytes:
        """Take a piece of any length, and give what can be said so far, which may be nothing.

        Args:
            pcm: As for `pcm_bytes`, whole samples.

        Raises:
            AudioFormatError: Not whole samples, or another type.
            ConcurrencyError: ``code="resampler_in_use"``: another thread is in it.
        """
        return self._core.push(pcm_bytes(pcm))

    def flush(self) -> bytes:
        """End the stream, and give what was held back. The next `push` begins another stream.

        Raises:
            ConcurrencyError: ``code="resampler_in_use"``: another thread is in it.
        """
        return self._core.flush()


def resample(pcm: PcmLike, from_rate: int, to_rate: int) -> bytes:
    """Give a whole recording at another rate, of the same duration.

    Raises:
        AudioFormatError: Not whole samples, or another type.
        ConfigError: ``code="sample_rate"``: a rate outside 1,000 to 384,000 Hz.
    """
    return _core.resample(pcm_bytes(pcm), from_rate, to_rate)


def mulaw_to_pcm(data: PcmLike) -> bytes:
    """Decode G.711 mu-law (PCMU), one byte a sample; usually of 8,000 Hz, the rate does not change.

    Raises:
        AudioFormatError: ``code="audio_type"``: not bytes.
    """
    return _core.decode_g711(_codes(data), "mu")


def pcm_to_mulaw(pcm: PcmLike) -> bytes:
    """Encode as G.711 mu-law (PCMU), one byte a sample; `resample` to 8,000 Hz first where a telephone listens.

    Raises:
        AudioFormatError: Not whole samples, or another type.
    """
    return _core.encode_g711(pcm_bytes(pcm), "mu")


def alaw_to_pcm(data: PcmLike) -> bytes:
    """Decode G.711 A-law (PCMA), one byte a sample; usually of 8,000 Hz, the rate does not change.

    Raises:
        AudioFormatError: ``code="audio_type"``: not bytes.
    """
    return _core.decode_g711(_codes(data), "a")


def pcm_to_alaw(pcm: PcmLike) -> bytes:
    """Encode as G.711 A-law (PCMA), one byte a sample; `resample` to 8,000 Hz first where a telephone listens.

    Raises:
        AudioFormatError: Not whole samples, or another type.
    """
    return _core.encode_g711(pcm_bytes(pcm), "a")


def _codes(data: PcmLike) -> bytes:
    with _view(data) as view:
        if view.itemsize != 1:
            raise AudioFormatError(
                f"G.711 was given as items of {view.itemsize} bytes.", code="audio_type", cure="Give bytes."
            )
        return view.tobytes()


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a piece of audio is.

    Attributes:
        rms: Root mean square, 0 to 1 of full scale. A full-scale sine has 0.707.
        peak: The loudest sample, 0 to 1 of full scale.
    """

    rms: float
    peak: float

    @property
    def rms_dbfs(self) -> float:
        """`rms` in decibels of full scale: 0 at most, ``-inf`` for silence."""
        return _decibels(self.rms)

    @property
    def peak_dbfs(self) -> float:
        """`peak` in decibels of full scale: 0 at most, ``-inf`` for silence."""
        return _decibels(self.peak)


def level(pcm: PcmLike) -> Level:
    """Measure a piece of audio, as for a meter.

    Raises:
        AudioFormatError: Not whole samples, or another type.
    """
    return Level(*_core.level(pcm_bytes(pcm)))


def _decibels(part: float) -> float:
    return 20 * math.log10(part) if part > 0 else -math.inf


def chunk_bytes(rate: int) -> int:
    """Return the bytes of one chunk of `CHUNK_SECONDS` at `rate`."""
    return int(rate * CHUNK_SECONDS) * SAMPLE_BYTES


def pieces(pcm: bytes, size: int) -> Iterator[bytes]:
    """Cut `pcm` into pieces of `size` bytes, the last one shorter."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def read_wav(path: str | Path, rate: int) -> bytes:
    """Give a WAV file as PCM16LE mono at `rate`.

    Takes 8, 16, 24 and 32-bit PCM, 32 and 64-bit float and G.711, any number of channels (folded into their mean)
    and any rate from 1,000 to 384,000 Hz. Blocks; 16-bit mono of the wanted rate comes as it is in the file.

    Raises:
        AudioFormatError: ``code="wav"``: not a WAV file, or samples of another kind.
        OSError: The file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        return b"".join(wav_blocks(file, path.name, rate))


def wav_blocks(file: BinaryIO, name: str, rate: int, *, start: bytes = b"") -> Iterator[bytes]:
    """Do as `read_wav`, a block at a time. `start` is what was read of `file` already."""
    wav = WavReader(file, name, start=start)
    resampler = Resampler(wav.rate, rate)
    while block := wav.read(_BLOCK_SECONDS):
        yield resampler.push(block)
    yield resampler.flush()
