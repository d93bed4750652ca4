"""A core that tests play by hand: the loop's side needs batches, races and failures that no service sends on demand."""

import asyncio
import contextlib
import os

import pytest

from novasonic._rows import EVENT_CLASSES
from novasonic.events import AudioOutput, Interrupted, SessionEnded, TurnEnded, TurnStarted


class HandCore:
    """Has the methods of `_core.Session` and a real descriptor."""

    def __init__(self, capacity=1_000):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.id = "hand-made"
        self.capacity = capacity
        self.failure = None
        self.goes_on_without = False
        self.calls = []
        self.results = []
        self.answers = asyncio.Queue()
        self.taken = []
        self.drained = []
        self._rows = []
        self._requests = []
        self._interrupted = None

    def __del__(self):
        os.close(self.fd)

    # What the core does by itself.

    def emit(self, cls, *fields, turn=1, at=0.5):
        self._rows.append((EVENT_CLASSES.index(cls), at, turn, "handMade", *fields))
        self.wake()

    def audio(self, turn, count=1, pcm=bytes(3_840)):
        for _ in range(count):
            self.emit(AudioOutput, pcm, 24_000, turn=turn)

    def interrupted(self, turn, *, visible=True):
        self._rows = [row for row in self._rows if row[0] != EVENT_CLASSES.index(AudioOutput) or row[2] != turn]
        if visible:
            self.emit(Interrupted, "model", turn=turn)
        self._interrupted = turn
        self.wake()

    def end(self, reason="closed", error=None):
        self.emit(SessionEnded, reason, error, turn=None)

    def ask(self, request_id):
        self._requests.append((request_id, "credentials", None))
        self.wake()

    def ask_overlap(self, request_id):
        self._requests.append((request_id, "may_overlap", None))
        self.wake()

    def overlap_ended(self):
        self._requests.append((99, "overlap_ended", None))
        self.wake()

    def call_tool(self, call_id, name, arguments="{}", turn=1):
        self._requests.append((len(self.calls) + 1, "tool", (call_id, name, arguments, turn)))
        self.wake()

    def wake(self):
        os.eventfd_write(self.fd, 1)

    # What the bridge calls.

    def drain(self, max_events):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        rows, self._rows = self._rows[:max_events], self._rows[max_events:]
        requests, self._requests = self._requests, []
        self.drained.append(len(rows))
        return rows, requests, bool(self._rows), self._interrupted

    def try_send_audio(self, pcm):
        if self.failure is not None:
            raise self.failure
        if len(pcm) > self.capacity:
            return False
        self.capacity -= len(pcm)
        self.taken.append(pcm)
        return True

    def send_audio_or_want_room(self, pcm):
        return self.try_send_audio(pcm)

    def make_room(self, amount):
        self.capacity += amount
        self.wake()

    def send_text(self, text):
        self.calls.append(("text", text))

    def send_tool_result(self, *result):
        if self.failure is not None:
            raise self.failure
        self.results.append(result)

    def mute(self, muted):
        self.calls.append(("mute", muted))

    def interrupt(self):
        self.calls.append("interrupt")

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")

    def answer_credentials(self, *answer):
        self.answers.put_nowait(answer)

    def answer_failed(self, request_id, reason):
        self.answers.put_nowait((request_id, reason))

    def answer_overlap(self, request_id, may):
        self.answers.put_nowait((request_id, may))
        return not self.goes_on_without

    def turns(self):
        return []

    def turn(self, number):
        return None

    def stats(self):
        names = (
            "queued_input_ms queued_output_ms sent_audio_ms filled_silence_ms received_audio_ms refused_chunks "
            "refused_audio_ms purged_audio_ms events wakeups unknown_events tool_calls streams_opened"
        )
        return dict.fromkeys(names.split(), 0)


@pytest.fixture
def core():
    return HandCore()


@pytest.fixture
def turn():
    """Emits a whole turn."""

    def emit(core, number, pieces=3):
        core.emit(TurnStarted, turn=number)
        core.audio(number, pieces)
        core.emit(TurnEnded, False, (0.0, None, None, 1.0), turn=number)

    return emit
