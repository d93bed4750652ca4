"""A conversation's sound on two tracks: the user left, the assistant right as it was played. In one thread."""

from __future__ import annotations

import array
import tempfile
import wave
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from novasonic.audio import Resampler

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RATE", "Tape"]

RATE = 24_000
_BYTES = 2
# Frames come early and late; what is further apart is silence that nobody sent.
_GAP_SAMPLES = RATE * 3 // 10
_BLOCK = RATE


@dataclass(slots=True)
class _Piece:
    """Where samples of an answer belong in the conversation, and where they lie on the track."""

    turn: int | None
    at: int
    offset: int
    samples: int


class Tape:
    """Two tracks in temporary files; memory holds where things are.

    The page plays an answer from its first piece on, without a gap as long as pieces come faster than they are played:
    that is where they are placed.

    Args:
        input_rate: Hz of the user's audio.
    """

    def __init__(self, input_rate: int) -> None:
        self._user_file: IO[bytes] = tempfile.TemporaryFile(prefix="novasonic-user-")  # noqa: SIM115 - `close` does
        self._answer_file: IO[bytes] = tempfile.TemporaryFile(prefix="novasonic-answer-")  # noqa: SIM115
        self._from_user = Resampler(input_rate, RATE)
        self._from_answer: Resampler | None = None
        self._heard = 0  # end of the user's track, in samples
        self._pieces: list[_Piece] = []
        self._spoken = 0  # where the answer ends that was placed last
        self._kept = 0  # end of the answers' file
        self._played: dict[int, int] = {}
        self._cut: dict[int, int] = {}

    def heard(self, at: float, pcm: bytes) -> None:
        """Put what the user said, which ended at `at` seconds, behind what came before."""
        samples = self._from_user.push(pcm)
        silence = int(at * RATE) - len(samples) // _BYTES - self._heard
        if silence > _GAP_SAMPLES:
            self._heard += silence
            self._user_file.seek(self._heard * _BYTES)  # what is passed over reads as zeros
        self._user_file.write(samples)
        self._heard += len(samples) // _BYTES

    def spoken(self, at: float, turn: int | None, pcm: bytes, rate: int) -> None:
        """Put a piece of an answer, which came at `at` seconds, behind what still plays."""
        if self._from_answer is None or self._from_answer.from_rate != rate:
            self._from_answer = Resampler(rate, RATE)
        samples = self._from_answer.push(pcm)
        count = len(samples) // _BYTES
        start = max(int(at * RATE), self._spoken)
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.turn == turn and last.at + last.samples == start:
            last.samples += count
        else:
            self._pieces.append(_Piece(turn, start, self._kept, count))
        self._answer_file.write(samples)
        self._kept += count
        self._spoken = start + count

    def interrupted(self, at: float, turn: int) -> None:
        """Cut an answer off at `at` seconds, unless the page says how much it played."""
        self._cut[turn] = int(at * RATE)
        self._spoken = min(self._spoken, self._cut[turn])

    def played(self, turn: int, ms: int) -> None:
        """Know how much of an answer the page has played."""
        self._played[turn] = max(ms, self._played.get(turn, 0))

    def write_wav(self, file: IO[bytes], ended: float) -> None:
        """Write both tracks, as long as the conversation was."""
        total = max(self._heard, int(ended * RATE))
        pieces = self._audible(total)
        self._user_file.seek(0)
        with wave.open(file, "wb") as wav:
            wav.setparams((2, _BYTES, RATE, total, "NONE", "not compressed"))
            for start in range(0, total, _BLOCK):
                count = min(_BLOCK, total - start)
                both = array.array("h", bytes(2 * _BYTES * count))
                user = self._user_file.read(_BYTES * count)
                both[0::2] = array.array("h", user.ljust(_BYTES * count, b"\0"))
                both[1::2] = self._answers(pieces, start, count)
                wav.writeframesraw(both.tobytes())

    def close(self) -> None:
        """Give the temporary files up."""
        self._user_file.close()
        self._answer_file.close()

    def _audible(self, total: int) -> list[_Piece]:
        return [piece for piece in self._uncovered() if piece.samples > 0 and piece.at < total]

    def _uncovered(self) -> Iterator[_Piece]:
        left = {turn: self._played[turn] * RATE // 1000 for turn in self._cut if turn in self._played}
        for piece in self._pieces:
            samples = piece.samples
            if piece.turn in left:
                samples = min(samples, left[piece.turn])
                left[piece.turn] -= samples
            elif piece.turn in self._cut:
                samples = min(samples, self._cut[piece.turn] - piece.at)
            yield _Piece(piece.turn, piece.at, piece.offset, samples)

    def _answers(self, pieces: list[_Piece], start: int, count: int) -> array.array[int]:
        track = bytearray(_BYTES * count)
        # Pieces stand in order, but for those of an answer that was talked over: the later one is heard.
        while pieces and pieces[0].at + pieces[0].samples <= start:
            pieces.pop(0)
        for piece in pieces:
            if piece.at >= start + count:
                break
            begin, end = max(piece.at, start), min(piece.at + piece.samples, start + count)
            if begin < end:
                self._answer_file.seek((piece.offset + begin - piece.at) * _BYTES)
                sound = self._answer_file.read((end - begin) * _BYTES)
                track[(begin - start) * _BYTES : (begin - start) * _BYTES + len(sound)] = sound
        return array.array("h", bytes(track))
