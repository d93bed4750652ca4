"""Feeding a session at the pace of a microphone."""

import asyncio
import wave

import pytest

from novasonic import AudioFormatError, ConfigError
from novasonic._feed import TRAILING_SILENCE_SECONDS, feed

SPEECH = bytes(range(1, 251)) * 20
SILENCE_BYTES = int(TRAILING_SILENCE_SECONDS * 16_000) * 2


async def fed(source, **settings):
    sent = []

    async def send(pcm):
        sent.append(pcm)

    await feed(source, send=send, **{"rate": 16_000, "realtime": False, **settings})
    return sent


async def chunks():
    for start in range(0, len(SPEECH), 500):
        yield SPEECH[start : start + 500]


@pytest.mark.parametrize(
    "source",
    [SPEECH, bytearray(SPEECH), [SPEECH[:3_000], SPEECH[3_000:]], chunks],
    ids=["bytes", "bytearray", "iterable", "async-iterable"],
)
async def test_all_of_it_is_sent_in_short_chunks_then_silence(source):
    sent = await fed(source() if callable(source) else source)
    assert b"".join(sent) == SPEECH + bytes(SILENCE_BYTES)
    assert max(map(len, sent)) == 1_024


async def test_a_wav_file_by_its_path(tmp_path):
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setframerate(16_000)
        file.setnchannels(1)
        file.setsampwidth(2)
        file.writeframes(SPEECH)
    for source in (path, str(path)):
        assert b"".join(await fed(source)).startswith(SPEECH)
    with pytest.raises(ConfigError):
        await fed(path, rate=8_000)


@pytest.mark.parametrize("source", [5, None, ["text"], [1, 2, 3]])
async def test_anything_else_is_refused(source):
    with pytest.raises(AudioFormatError):
        await fed(source)


class Clock:
    """Stands in for the loop's clock and asyncio.sleep."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        monkeypatch.setattr("novasonic._feed.asyncio.sleep", self.sleep)

    async def sleep(self, seconds):
        self.now += seconds


async def test_pace_is_that_of_a_microphone(monkeypatch):
    clock = Clock(monkeypatch)
    times = []

    async def send(pcm):
        times.append(clock.now)

    await feed(bytes(1_024 * 10), rate=16_000, realtime=True, send=send)
    assert times == pytest.approx([0.032 * number for number in range(len(times))])
    assert times[-1] == pytest.approx(0.32 + TRAILING_SILENCE_SECONDS, abs=0.04)


async def test_a_source_that_stalls_is_not_made_up_for_by_a_burst(monkeypatch):
    clock = Clock(monkeypatch)
    times = []

    async def send(pcm):
        times.append(clock.now)

    async def stalling():
        yield bytes(1_024)
        clock.now += 60
        for _ in range(100):
            yield bytes(1_024)

    await feed(stalling(), rate=16_000, realtime=True, send=send)
    at_once = sum(1 for time in times if time == 60.0)
    assert at_once == pytest.approx(0.5 / 0.032, abs=2)


async def test_cancelling_closes_the_source():
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield bytes(2)
                await asyncio.sleep(0)
        finally:
            closed.set()

    task = asyncio.create_task(fed(endless()))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert closed.is_set()
