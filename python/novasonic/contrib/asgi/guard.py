"""How much one page may send, without I/O: every time is an argument, in seconds of a clock that only goes forward.

What is over a cap is refused, counted and told, never dropped in silence; whoever goes on regardless is closed with
4429. `door.py` bounds what comes before: handshakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import wire
from .errors import CloseCode, WireError

if TYPE_CHECKING:
    from .wire import ClientMessage

__all__ = ["Bucket", "PageCaps", "PageGuard"]

REPORT_SECONDS: Final = 1.0
# A browser's smallest block is 128 samples, 2.7 ms at 48 kHz. What is shorter counts as this long: a flood of single
# samples would cost a wake-up each.
MIN_FRAME_SECONDS: Final = 0.002
_ROUNDING: Final = 1e-9


@dataclass(slots=True)
class Bucket:
    """A leaky bucket: what is poured in runs out at `rate` a second, and never stands higher than it may."""

    rate: float
    level: float = 0.0
    at: float = float("-inf")

    def pour(self, amount: float, now: float, height: float) -> bool:
        """Take `amount` if the bucket then stands at `height` at most; otherwise take nothing and return False."""
        self._leak(now)
        if self.level + amount > height + _ROUNDING:
            return False
        self.level += amount
        return True

    def _leak(self, now: float) -> None:
        if now > self.at:  # a clock that stands still or jumps back gives nothing
            self.level = max(0.0, self.level - self.rate * (now - self.at))
            self.at = now


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCaps:
    """The caps of one page. Those named `excess_*` say when refusing is no longer enough."""

    audio_rate: float = 1.25
    """Seconds of audio a second, in the long run: a microphone is 1, its clock may be off and a network catches up."""
    audio_burst_seconds: float = 3.0
    """At once, in binary frames."""
    recording_seconds: float = 30.0
    """At once, as `audio_chunk`: a recording is sent whole. The session's buffer holds as much."""
    messages_per_second: float = 20.0
    messages_burst: float = 60.0
    played_per_second: float = 4.0
    played_burst: float = 60.0
    """A network that stood still for 15 s brings the reports of that time at once."""
    mistakes: float = 20.0
    mistakes_per_second: float = 1 / 60
    excess_audio_seconds: float = 30.0
    excess_audio_rate: float = 0.1
    excess_messages: float = 100.0
    excess_messages_per_second: float = 1.0


class PageGuard:
    """Holds one page to its caps.

    Audio runs into one bucket whatever form it comes in, so that no mixture of forms is faster than one; the forms
    differ only in how high it may stand. It must stay cheap: `takes` runs for each frame.
    """

    def __init__(self, rate: int, caps: PageCaps = PageCaps()) -> None:
        self.refused_frames = 0
        self.refused_messages = 0
        self._bytes_per_second = rate * wire.BYTES_PER_SAMPLE
        self._caps = caps
        self._audio = Bucket(caps.audio_rate)
        self._messages = Bucket(caps.messages_per_second)
        self._played = Bucket(caps.played_per_second)
        self._mistakes = Bucket(caps.mistakes_per_second)
        self._excess_audio = Bucket(caps.excess_audio_rate)
        self._excess_messages = Bucket(caps.excess_messages_per_second)
        self._told = (0, 0)
        self._told_at = float("-inf")

    def takes(self, message: bytes | ClientMessage, now: float) -> bool:
        """Say whether the page may send this now; False: it is refused and counted, `report` tells the page.

        Raises:
            WireError: `too_fast` (closes with 4429): it goes on sending far more than is taken.
        """
        match message:
            case bytes():
                return self._takes_audio(len(message), now, self._caps.audio_burst_seconds)
            case wire.AudioChunk():
                return self._takes_audio(len(message.pcm), now, self._caps.recording_seconds)
            case wire.Close():
                return True
            case wire.Played():
                taken = self._played.pour(1, now, self._caps.played_burst)
            case _:
                taken = self._messages.pour(1, now, self._caps.messages_burst)
        if not taken:
            self.refused_messages += 1
            if not self._excess_messages.pour(1, now, self._caps.excess_messages):
                raise _too_fast("messages")
        return taken

    def _takes_audio(self, size: int, now: float, height: float) -> bool:
        seconds = max(size / self._bytes_per_second, MIN_FRAME_SECONDS)
        if self._audio.pour(seconds, now, height):
            return True
        self.refused_frames += 1
        if not self._excess_audio.pour(seconds, now, self._caps.excess_audio_seconds):
            raise _too_fast("audio")
        return False

    def session_refused(self) -> None:
        """Count a frame that was within the caps, but that the session's full buffer did not take."""
        self.refused_frames += 1

    def mistake(self, error: WireError, now: float) -> WireError:
        """Count what could not be read; return what to tell: the error itself, or that this was one too many."""
        if error.close is None and not self._mistakes.pour(1, now, self._caps.mistakes):
            return WireError("too_many_bad_messages", "Too many messages made no sense.", close=CloseCode.BAD_MESSAGE)
        return error

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return what to tell the page of refusals it has not been told of; nothing within a second of the last time.

        Call it after each refusal, and with the heartbeat, so that the last ones of a burst are told too.
        """
        counted = (self.refused_frames, self.refused_messages)
        if counted == self._told or now - self._told_at < REPORT_SECONDS:
            return []
        reports = []
        if counted[0] > self._told[0]:
            told = wire.error("audio_refused", "Audio comes faster than it is taken; some was lost.", retryable=True)
            reports.append(told | {"refusedFrames": counted[0]})
        if counted[1] > self._told[1]:
            told = wire.error("too_fast", "Messages come faster than they are taken; some were lost.", retryable=True)
            reports.append(told | {"refusedMessages": counted[1]})
        self._told, self._told_at = counted, now
        return reports


def _too_fast(what: str) -> WireError:
    return WireError("too_fast", f"The page sends far more {what} than is taken.", close=CloseCode.TOO_MANY)
