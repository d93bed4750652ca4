"""What a page's tap recorded (tests/browser/tap.js), and what can be read off it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TAP = (Path(__file__).parents[1] / "browser" / "tap.js").read_text()
# Where the page keeps its conversation.
NOVA = "document.querySelector('nova-sonic-talk').nova"
OUTPUT_RATE = 24_000
_QUANTUM = 128
# Of full scale: a tone crosses zero, and stays this near to it for a sample or two.
SILENT = 100
_GAP_MS = 5
_ROOM = 300


def tone(seconds: float, rate: int, *, hz: float = 880.0, amplitude: float = 0.3) -> bytes:
    """Return PCM16LE in which every gap can be told."""
    times = np.arange(int(seconds * rate)) / rate
    return (32767 * amplitude * np.sin(2 * np.pi * hz * times)).astype("<i2").tobytes()


def singer(seconds: float) -> Callable[[Any], Awaitable[None]]:
    """Make an emulator's brain that answers everything with a tone of so many seconds."""
    answer = tone(seconds, OUTPUT_RATE)

    async def brain(turn: Any) -> None:
        assert turn.output_rate == OUTPUT_RATE
        await turn.say(f"You said {turn.text}.", audio=answer)

    return brain


def loud_seconds(pcm: bytes) -> float:
    """Return how much of 16 kHz PCM16LE is louder than a room."""
    frames = np.frombuffer(pcm[: len(pcm) // 640 * 640], dtype="<i2").reshape(-1, 320).astype(float)
    return float((np.sqrt((frames**2).mean(axis=1)) > _ROOM).sum()) * 0.02


@dataclass(frozen=True)
class Tape:
    """Samples, and for each quantum of them the wall clock's milliseconds at which it was rendered."""

    rate: int
    samples: np.ndarray[Any, Any]
    times: np.ndarray[Any, Any]
    latency_ms: float

    def loud(self) -> np.ndarray[Any, Any]:
        """Return the indices of samples that are heard."""
        return np.flatnonzero(np.abs(self.samples.astype(np.int32)) > SILENT)

    def gaps_ms(self, *, answer_seconds: float) -> list[float]:
        """Return the silences within answers that are so long each; what lies between them is no gap."""
        steps = np.diff(self.loud())
        silent = steps > self.rate * _GAP_MS / 1000
        heard = np.cumsum(np.where(silent, 0, steps))[silent] / self.rate / answer_seconds
        within = np.abs(heard - np.round(heard)) * answer_seconds > _GAP_MS / 1000
        return [float(ms) for ms in steps[silent][within] * 1000 / self.rate]

    def heard_seconds(self) -> float:
        """Return how long something was heard, gaps left out."""
        steps = np.diff(self.loud())
        return float(steps[steps <= self.rate * _GAP_MS / 1000].sum()) / self.rate

    def rendered_ms(self, index: int) -> float:
        """Return when the audio thread rendered a sample."""
        return float(self.times[index // _QUANTUM])

    def from_ms(self, at: float) -> int:
        """Return the first sample that was rendered at this time or later."""
        return int(np.searchsorted(self.times, at)) * _QUANTUM


async def tap(page: Any, *, microphone: bool = False) -> None:
    """Record from now on what the page plays, and with `microphone` what it is given to hear."""
    await page.evaluate(f"({TAP.strip()})({NOVA})")
    if microphone:
        await page.evaluate("tap.tapMicrophone()")


async def played(page: Any, index: int = -1) -> Tape:
    """Return what was played of the conversation of this index, the last one by default."""
    return _tape(await page.evaluate(f"tap.read(tap.played, {index})"))


async def spoken(page: Any, index: int = -1) -> Tape:
    """Return what the microphone gave."""
    return _tape(await page.evaluate(f"tap.read(tap.spoken, {index})"))


def _tape(read: dict[str, Any]) -> Tape:
    return Tape(
        read["rate"],
        np.frombuffer(base64.b64decode(read["pcm"]), dtype="<i2"),
        np.array(read["times"]),
        read["latencyMs"],
    )


async def messages(page: Any, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the server's messages so far, each with the time ``at`` of its coming."""
    told: list[dict[str, Any]] = await page.evaluate("tap.messages")
    return [message for message in told if kind in (None, message["type"])]
