"""What a process has done since it started, as plain numbers; ``metrics/`` hands them out.

Counted in plain Python and not by prometheus-client, so that the audio path neither needs it nor takes its locks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from novasonic import events
from novasonic.contrib.asgi.companion import Companion

if TYPE_CHECKING:
    from typing import Any

    import novasonic

# Seconds from the user's last word to the first sound of the answer.
RESPONSE_BUCKETS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
TOKEN_KINDS = ("speech_in", "text_in", "speech_out", "text_out")


class Meters:
    """Counters of one process. All of its conversations run on one event loop, hence no lock."""

    def __init__(self) -> None:
        self.conversations: Counter[str] = Counter()
        """Ended ones, by reason."""
        self.opened = 0
        self.turns: Counter[str] = Counter()
        """``whole`` and ``interrupted``."""
        self.tool_calls: Counter[str] = Counter()
        """``ok`` and ``failed``."""
        self.renewals: Counter[str] = Counter()
        """By reason."""
        self.tokens: Counter[str] = Counter()
        self.usd = 0.0
        self.errors: Counter[str] = Counter()
        """What conversations ended with, by class."""
        self.credentials: Counter[str] = Counter()
        """Keys for pages: ``given``, or the code of the refusal."""
        self.reports: Counter[str] = Counter()
        """Of such pages: ``stored``, ``repeated``, or the code of the refusal."""
        self.responses = [0] * (len(RESPONSE_BUCKETS) + 1)
        self.response_seconds = 0.0

    def responded(self, seconds: float) -> None:
        """Count one answer."""
        self.responses[bisect_left(RESPONSE_BUCKETS, seconds)] += 1
        self.response_seconds += seconds


meters = Meters()


class Metering(Companion):
    """Counts what happens in one conversation."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self._usd = 0.0

    async def opened(self, session: novasonic.Session) -> None:
        """Count a conversation."""
        meters.opened += 1

    def event(self, event: events.Event) -> None:
        """Count what happened."""
        match event:
            case events.TurnEnded():
                meters.turns["interrupted" if event.interrupted else "whole"] += 1
                if (seconds := event.timings.response_seconds) is not None:
                    meters.responded(seconds)
            case events.ToolFinished():
                meters.tool_calls["ok" if event.ok else "failed"] += 1
            case events.Renewing():
                meters.renewals[event.reason] += 1
            case events.Usage():
                for name in TOKEN_KINDS:
                    meters.tokens[name] += getattr(event.delta, name)
                # The event tells the conversation's whole sum.
                meters.usd += event.usd - self._usd
                self._usd = event.usd

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """Count how it ended."""
        meters.conversations[reason] += 1
        if error is not None:
            meters.errors[type(error).__name__] += 1
