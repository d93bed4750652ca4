"""The loop's side of a raw stream, over a core that the test plays by hand."""

import asyncio
import contextlib
import json
import os

import pytest

from novasonic import Credentials, ServiceError, SessionClosedError, StreamLostError
from novasonic._attachment import MAX_BATCH
from novasonic._stream import StreamBridge
from novasonic.stream import RawStream, StreamStats


class HandStream:
    """Has the methods of `_core.RawStream` and a real descriptor."""

    id = "hand-made"
    request_id = "theirs"

    def __init__(self):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.calls = []
        self.taken = []
        self.capacity = 1_000
        self.drained = []
        self.answers = asyncio.Queue()
        self.over = False
        self.failure = None
        self.close_ends = True
        self._events = []
        self._requests = []

    def __del__(self):
        os.close(self.fd)

    def emit(self, *chunks):
        self._events += chunks
        os.eventfd_write(self.fd, 1)

    def ask(self, request_id):
        self._requests.append(request_id)
        os.eventfd_write(self.fd, 1)

    def end(self, failure=None):
        self.over, self.failure = True, failure
        os.eventfd_write(self.fd, 1)

    def drain(self, count):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        taken, self._events = self._events[:count], self._events[count:]
        requests, self._requests = self._requests, []
        self.drained.append(len(taken))
        return taken, requests, bool(self._events), self.over

    def error(self):
        return self.failure

    def send_or_want_room(self, event):
        if len(event) > self.capacity:
            return False
        self.capacity -= len(event)
        self.taken.append(event)
        return True

    try_send = send_or_want_room

    def end_input(self):
        self.calls.append("end_input")

    def close(self):
        self.calls.append("close")
        if self.close_ends:
            self.end()

    def abort(self):
        self.calls.append("abort")

    def answer_credentials(self, *answer):
        self.answers.put_nowait(answer)

    def answer_failed(self, *answer):
        self.answers.put_nowait(answer)

    def stats(self):
        return dict.fromkeys(StreamStats.__slots__, 0)


@pytest.fixture
def core():
    return HandStream()


def open_stream(core, provider=None):
    return RawStream(StreamBridge(core, provider=provider), close_timeout=0.1)


def numbered(count):
    return [json.dumps({"number": number}).encode() for number in range(count)]


async def test_events_stay_in_the_core_until_somebody_reads(core):
    async with contextlib.aclosing(open_stream(core)) as stream:
        core.emit(*numbered(3 * MAX_BATCH))
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert sum(core.drained) == 0
        events = aiter(stream)
        assert await anext(events) == {"number": 0}
        assert sum(core.drained) == MAX_BATCH
        core.end()
        assert [event["number"] async for event in events] == list(range(1, 3 * MAX_BATCH))
        assert max(core.drained) == MAX_BATCH


async def test_what_was_received_comes_before_the_end_that_is_known_at_once(core):
    stream = open_stream(core)
    lost = StreamLostError("Gone.", code="stream_reset")
    core.emit(*numbered(2 * MAX_BATCH))
    core.end(lost)
    await asyncio.sleep(0.001)
    assert stream.error is lost
    events = aiter(stream)
    assert [(await anext(events))["number"] for _ in range(2 * MAX_BATCH)] == list(range(2 * MAX_BATCH))
    with pytest.raises(StreamLostError) as raised:
        await anext(events)
    assert raised.value is lost
    with pytest.raises(StreamLostError):
        await anext(aiter(stream))  # a later reader hears the same, although the error's frames keep the first alive


async def test_cancelled_steps_lose_nothing(core):
    async with contextlib.aclosing(open_stream(core)) as stream:
        events = aiter(stream)
        seen = []
        for chunk in numbered(200):
            step = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            core.emit(chunk)
            step.cancel()
            await asyncio.wait([step])
            step = asyncio.create_task(anext(events))
            done, _ = await asyncio.wait([step], timeout=1)
            assert done
            seen.append(step.result()["number"])
        assert seen == list(range(200))


async def test_a_reader_that_never_waits_lets_other_tasks_run(core):
    async with contextlib.aclosing(open_stream(core)) as stream:
        core.emit(*numbered(5 * MAX_BATCH))
        core.end()
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        assert len([event async for event in stream]) == 5 * MAX_BATCH
        counting.cancel()
        assert turns >= 5


@pytest.mark.parametrize(
    "chunk",
    [b"a secret", b"[]", b'"text"', b"{", b"\xff{}", b"null", b'{"n":' + b"9" * 5_000 + b"}", b"[" * 100_000],
    ids=range(8),
)
async def test_what_is_no_object_ends_the_stream(core, chunk):
    stream = open_stream(core)
    core.emit(b'{"event":{"new":{"x":1}}}', chunk, b"{}")
    events = aiter(stream)
    assert await anext(events) == {"event": {"new": {"x": 1}}}
    with pytest.raises(ServiceError) as raised:
        await anext(events)
    assert (raised.value.code, raised.value.request_id) == ("bad_event", "theirs")
    assert "secret" not in str(raised.value)
    assert stream.error is raised.value
    assert core.calls == ["abort"]
    with pytest.raises(ServiceError):
        await anext(events)
    with pytest.raises(ServiceError):
        await stream.send({})
    await stream.aclose()


async def test_the_end_reaches_senders_that_wait(core):
    stream = open_stream(core)
    core.capacity = 0
    waiting = [asyncio.create_task(stream.send({})), asyncio.create_task(stream.end_input())]
    await asyncio.sleep(0)
    core.end()
    for task in waiting:
        with pytest.raises(SessionClosedError):
            await task
    assert core.calls == []
    await stream.end_input()


async def test_a_cancelled_end_of_input_was_none(core):
    async with contextlib.aclosing(open_stream(core)) as stream:
        core.capacity = 0
        sending = asyncio.create_task(stream.send({}))
        ending = asyncio.create_task(stream.end_input())
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait([ending])
        core.capacity = 10
        os.eventfd_write(core.fd, 1)
        await sending
        assert (core.taken, core.calls) == ([b"{}"], [])


@pytest.mark.parametrize("closers", [1, 2])
async def test_closing_a_core_that_hangs_is_bounded(core, monkeypatch, closers):
    monkeypatch.setattr("novasonic._attachment.CLOSE_MARGIN_SECONDS", 0.05)
    core.close_ends = False
    stream = open_stream(core)
    reading = asyncio.create_task(anext(aiter(stream)))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await asyncio.gather(*(stream.aclose() for _ in range(closers)))
        with pytest.raises(StopAsyncIteration):
            await reading
    assert "abort" in core.calls


async def test_a_cancelled_close_goes_on_by_itself(core):
    core.close_ends = False
    stream = open_stream(core)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.aclose(), 0.01)
    core.end()
    assert [event async for event in stream] == []


async def test_the_loop_is_left_at_the_end_even_where_events_wait(core):
    stream = open_stream(core)
    core.emit(*numbered(3))
    core.end()
    await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().remove_reader(core.fd) is False
    del stream  # over: no warning


async def test_a_stream_collected_unclosed_on_another_thread_warns_and_leaves_the_loop(core):
    streams = [open_stream(core)]
    with pytest.warns(ResourceWarning, match="unclosed <novasonic.RawStream hand-made open>"):
        await asyncio.to_thread(streams.clear)
    await asyncio.sleep(0.01)
    assert core.calls == ["abort"]
    assert asyncio.get_running_loop().remove_reader(core.fd) is False


def test_a_loop_closed_under_a_stream_is_survived(core):
    async def leave_open():
        return open_stream(core)

    stream = asyncio.run(leave_open())
    asyncio.run(stream.aclose())
    asyncio.run(stream.aclose())
    assert stream.stats().wakeups == 0


@pytest.mark.parametrize("provider", [lambda: Credentials("AKIDEXAMPLE", "secret"), lambda: 1 / 0])
async def test_keys_are_given_while_nobody_reads(core, provider):
    async with contextlib.aclosing(open_stream(core, provider)):
        core.emit(*numbered(2 * MAX_BATCH))
        core.ask(7)
        answer = await asyncio.wait_for(core.answers.get(), 2)
        expected = [(7, "AKIDEXAMPLE", "secret", None, None), (7, "the credentials callable raised ZeroDivisionError")]
        assert answer in expected
