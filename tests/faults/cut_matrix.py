"""Cut a conversation after every one of its events, and see that nobody notices.

    python tests/faults/cut_matrix.py [--all]

Each conversation has an account of its own, so each has its own fault and its own connection. Prints what was cut
and how soon the conversations went on; exits 1 where one did not.
"""

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

import talk

from novasonic.emulator import Emulator, Fault

SIDE_BY_SIDE = 100
SPEED = 10.0
EVERY_AUDIO = 10
HOWS = ("reset", "stall")
AUDIO = {"input": "audioInput", "output": "audioOutput"}


@dataclass(frozen=True)
class Cut:
    """Where and how a conversation is cut."""

    number: int
    how: str
    direction: str
    counting: str
    after: int

    def __str__(self):
        return f"{self.how} after {self.direction} event {self.after} ({self.counting})"

    @property
    def account(self):
        return f"cut{self.number}"

    def fault(self):
        where = {f"after_{self.direction}": self.after, "counting": self.counting}
        where |= {"account": self.account, "stream": 1, "times": 1}
        return Fault.tcp_reset(**where) if self.how == "reset" else Fault.stall("connection", **where)


@dataclass
class Outcome:
    """What came of a cut. Times are seconds, None where it did not come to that."""

    cut: Cut
    wrong: list[str]
    noticed: float | None = None
    recovered: float | None = None


async def cuts(emulator, hows, *, all_audio):
    """Hold the conversation once, whole, and list where it can be cut."""
    told = await talk.converse(emulator.client(account="whole"))
    assert not talk.faults_of(told), talk.faults_of(told)
    report = next(report for report in emulator.streams if report.account == "whole")
    places = []
    for direction, counts in (("input", report.inputs), ("output", report.outputs)):
        audio = counts[AUDIO[direction]]
        others = sum(counts.values()) - audio
        places += [(direction, "non-audio", after) for after in range(1, others + 1)]
        places += [
            (direction, AUDIO[direction], after) for after in range(1, audio + 1, 1 if all_audio else EVERY_AUDIO)
        ]
    both = [(how, *place) for how in hows for place in places]
    return [Cut(number, *place) for number, place in enumerate(both)]


async def outcome(emulator, cut):
    """Hold one conversation that is cut."""
    emulator.add_faults(cut.fault())
    try:
        told = await talk.converse(emulator.client(account=cut.account))
    except ExceptionGroup as group:
        return Outcome(cut, [f"raised {group.exceptions}"])
    except Exception as error:  # whatever it is, it is this cut's outcome
        return Outcome(cut, [f"raised {error!r}"])
    result = Outcome(cut, talk.faults_of(told))
    reports = sorted((r for r in emulator.streams if r.account == cut.account), key=lambda report: report.number)
    # A cut that came with the end cuts nothing any more. All by the emulator's clock: ours lags with a busy loop.
    if len(reports) > 1 and reports[0].fault_at is not None and told.renewed:
        result.recovered = reports[1].opened_at - reports[0].fault_at
        result.noticed = max(0.0, result.recovered - told.renewed[0].seconds)
    return result


async def run(hows=HOWS, *, all_audio=False, side_by_side=SIDE_BY_SIDE):
    """Run the whole matrix."""
    async with Emulator(brain=talk.brain, speed=SPEED) as emulator:
        todo = await cuts(emulator, hows, all_audio=all_audio)
        outcomes = []
        for first in range(0, len(todo), side_by_side):
            batch = todo[first : first + side_by_side]
            outcomes += await asyncio.gather(*(outcome(emulator, cut) for cut in batch))
    return outcomes


def summary(outcomes):
    """Return the figures in words, and what is wrong."""
    lines, wrong = [], [f"{o.cut}: {'; '.join(o.wrong)}" for o in outcomes if o.wrong]
    for how in HOWS:
        of = [o for o in outcomes if o.cut.how == how]
        noticed = sorted(o.noticed for o in of if o.noticed is not None)
        recovered = sorted(o.recovered for o in of if o.recovered is not None)
        if recovered:
            lines.append(
                f"{how}: {len(of)} cuts, {len(recovered)} met a live stream; noticed after {_spread(noticed)}, "
                f"gone on after {_spread(recovered)}"
            )
    return lines, wrong


def _spread(seconds):
    at = int(len(seconds) * 0.99)
    return (
        f"{1000 * statistics.median(seconds):.0f} ms (median), {1000 * seconds[min(at, len(seconds) - 1)]:.0f} ms (p99)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="cut at every audio event too, not at each tenth")
    parser.add_argument("--how", choices=HOWS, action="append", help="only so; else both")
    asked = parser.parse_args()
    started = time.monotonic()
    outcomes = asyncio.run(run(asked.how or HOWS, all_audio=asked.all))
    lines, wrong = summary(outcomes)
    print(*lines, *wrong, f"{len(outcomes)} cuts in {time.monotonic() - started:.0f} s, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
