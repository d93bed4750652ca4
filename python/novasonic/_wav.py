"""WAV files and streams, a block at a time.

The standard library's ``wave`` knows whole numbers only (no float, no G.711, before Python 3.12 no
WAVE_FORMAT_EXTENSIBLE, which many programs write for 24 bits or several channels) and wants a true length in the
header, which a program that writes into a pipe cannot give.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from novasonic import _core
from novasonic.exceptions import AudioFormatError

if TYPE_CHECKING:
    from typing import BinaryIO, Literal

MAGIC = frozenset({b"RIFF", b"RF64"})

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_FORMS = {
    (_PCM, 8): "u8",
    (_PCM, 16): "i16",
    (_PCM, 24): "i24",
    (_PCM, 32): "i32",
    (_FLOAT, 32): "f32",
    (_FLOAT, 64): "f64",
}
_LAWS: dict[tuple[int, int], Literal["a", "mu"]] = {(_A_LAW, 8): "a", (_MU_LAW, 8): "mu"}
# The format of WAVE_FORMAT_EXTENSIBLE is a GUID: the old tag, then this.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_FORMAT = struct.Struct("<HHIIHH")
_UNKNOWN_LENGTH = 0xFFFFFFFF
_MAX_FORMAT_BYTES = 1_024
_MAX_CHANNELS = 32
_RATES = range(1_000, 384_001)
_SKIP_BYTES = 65_536


class WavReader:
    """Samples as PCM16LE mono at the rate of the recording.

    Args:
        file: Open for reading bytes, at the beginning. It need not be seekable.
        name: For errors.
        start: What was read of it already.

    Raises:
        AudioFormatError: ``code="wav"``: not a WAV file, or samples of a kind it does not know.
    """

    __slots__ = ("_channels", "_file", "_form", "_frame_bytes", "_law", "_left", "_name", "rate")

    def __init__(self, file: BinaryIO, name: str, *, start: bytes = b"") -> None:
        self._file = file
        self._name = name
        header = start + read_fully(file, 12 - len(start))
        if header[:4] not in MAGIC or header[8:] != b"WAVE":
            raise self._refusal("is not a WAV file")
        found = False
        while len(head := read_fully(file, 8)) == 8:
            kind, length = head[:4], int.from_bytes(head[4:], "little")
            if kind == b"data":
                if not found:
                    break
                self._left = None if length == _UNKNOWN_LENGTH else length
                return
            if kind == b"fmt " and length <= _MAX_FORMAT_BYTES:
                self._read_format(read_fully(file, length + length % 2))
                found = True
            else:
                self._skip(length + length % 2)
        raise self._refusal("is a WAV file without samples")

    def _read_format(self, data: bytes) -> None:
        if len(data) < _FORMAT.size:
            raise self._refusal("is a WAV file whose format is cut short")
        tag, channels, self.rate, _, frame_bytes, bits = _FORMAT.unpack_from(data)
        if tag == _EXTENSIBLE and data[26:40] == _GUID_TAIL:
            tag = int.from_bytes(data[24:26], "little")
        if not 1 <= channels <= _MAX_CHANNELS or self.rate not in _RATES:
            raise self._refusal(f"has {channels} channels at {self.rate} Hz")
        # Of 20 bits in three bytes the lowest are 0, so the width of the container is what counts.
        width = 8 * (frame_bytes // channels) if frame_bytes % channels == 0 else bits
        self._law = _LAWS.get((tag, width))
        form = "i16" if self._law else _FORMS.get((tag, width))
        if form is None:
            raise self._refusal(f"has samples of format {tag} with {bits} bits")
        self._form = form
        self._channels = channels
        self._frame_bytes = channels * width // 8

    def read(self, seconds: float) -> bytes:
        """Give up to so many seconds; nothing at the end. A frame cut short there is left out."""
        wanted = max(1, int(seconds * self.rate)) * self._frame_bytes
        if self._left is not None:
            wanted = min(wanted, self._left)
        data = read_fully(self._file, wanted)
        if self._left is not None:
            self._left -= len(data)
        data = data[: len(data) - len(data) % self._frame_bytes]
        if self._law:
            data = _core.decode_g711(data, self._law)
        return _core.to_mono(data, self._form, self._channels)

    def _skip(self, count: int) -> None:
        while count > 0 and (skipped := len(read_fully(self._file, min(count, _SKIP_BYTES)))):
            count -= skipped

    def _refusal(self, what: str) -> AudioFormatError:
        return AudioFormatError(
            f"{self._name} {what}.",
            code="wav",
            cure="Convert it to a WAV file of 8 to 32-bit PCM, float or G.711: ffmpeg -i in.xyz -c:a pcm_s16le out.wav",
        )


def read_fully(file: BinaryIO, count: int) -> bytes:
    """Give `count` bytes, fewer at the end only: a pipe hands out what it has."""
    data = file.read(count) if count > 0 else b""
    if not isinstance(data, bytes):
        raise AudioFormatError(
            f"The file gives {type(data).__name__}, not bytes.", code="audio_type", cure='Open it with mode "rb".'
        )
    while 0 < len(data) < count and (more := file.read(count - len(data))):
        data += more
    return data
