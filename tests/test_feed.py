"""Feeding a session at the pace of a microphone."""

import array
import asyncio
import io
import os
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from novasonic import AudioFormatError, audio
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


def wav(pcm=SPEECH, *, rate=16_000, channels=1):
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.writeframes(pcm)
    return data.getvalue()


async def test_a_wav_file_by_its_path(tmp_path):
    path = tmp_path / "speech.wav"
    path.write_bytes(wav())
    for source in (path, str(path)):
        assert b"".join(await fed(source)) == SPEECH + bytes(SILENCE_BYTES)


async def test_a_wav_file_of_any_rate(tmp_path):
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(SPEECH * 100, rate=44_100))
    sent = await fed(path)
    assert b"".join(sent) == audio.resample(SPEECH * 100, 44_100, 16_000) + bytes(SILENCE_BYTES)
    assert max(map(len, sent)) == 1_024
    assert b"".join(await fed(path, rate=44_100)).startswith(SPEECH * 100)


async def test_an_open_file_is_a_wav_or_raw_samples(tmp_path):
    path = tmp_path / "speech"
    for content in (wav(), SPEECH):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert b"".join(await fed(file)) == SPEECH + bytes(SILENCE_BYTES)
        with path.open("rb", buffering=0) as file:
            assert b"".join(await fed(file)) == SPEECH + bytes(SILENCE_BYTES)
        assert b"".join(await fed(io.BytesIO(content))) == SPEECH + bytes(SILENCE_BYTES)
    assert b"".join(await fed(io.BytesIO(b""))) == bytes(SILENCE_BYTES)


async def test_files_that_are_no_samples_are_refused(tmp_path):
    for source in (io.BytesIO(b"ID3" + bytes(500)), io.BytesIO(b"OggS" + bytes(500)), io.StringIO("text")):
        with pytest.raises(AudioFormatError):
            await fed(source)
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3" + bytes(500))
    with pytest.raises(AudioFormatError, match=r"song\.mp3"):
        await fed(path)
    with pytest.raises(FileNotFoundError):
        await fed(tmp_path / "none.wav")


async def test_a_pipe_is_heard_as_it_is_written():
    reading, writing = os.pipe()
    heard = asyncio.Event()

    async def send(pcm):
        if pcm.startswith(b"ab"):
            heard.set()

    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        task = asyncio.create_task(feed(source, rate=16_000, realtime=False, send=send))
        sink.write(b"1234")
        await asyncio.sleep(0.05)
        sink.write(b"ab" * 50)
        async with asyncio.timeout(5):
            await heard.wait()
        sink.close()
        await task


async def test_a_stream_reader_is_no_list_of_lines():
    reader = asyncio.StreamReader()
    for _ in range(3):
        reader.feed_data(b"\n\x0a" * 100 + SPEECH)
    reader.feed_eof()
    assert b"".join(await fed(reader)) == (b"\n\x0a" * 100 + SPEECH) * 3 + bytes(SILENCE_BYTES)


async def test_arrays_of_any_shape_are_taken():
    mono = np.frombuffer(SPEECH, "<i2")
    stereo = np.repeat(mono[:, None], 2, axis=1)
    for source in (
        mono,
        stereo,
        (stereo / 32_768).astype("f4"),
        array.array("h", SPEECH),
        [stereo[:100], stereo[100:]],
    ):
        assert b"".join(await fed(source)) == SPEECH + bytes(SILENCE_BYTES)


async def test_chunks_may_be_cut_within_a_sample():
    assert b"".join(await fed([SPEECH[:3], SPEECH[3:8], b"", SPEECH[8:]])) == SPEECH + bytes(SILENCE_BYTES)
    with pytest.raises(AudioFormatError) as refused:
        await fed([SPEECH, b"x"])
    assert refused.value.code == "odd_audio"


async def test_files_and_long_arrays_never_hold_up_the_loop(monkeypatch):
    threads = set()

    def spied(function):
        def spy(*given):
            threads.add(threading.get_ident())
            return function(*given)

        return spy

    class Spy(io.BytesIO):
        read = spied(io.BytesIO.read)
        read1 = spied(io.BytesIO.read1)

    monkeypatch.setattr(audio._core, "to_mono", spied(audio._core.to_mono))
    for source in (Spy(wav(bytes(8_000_000), rate=48_000, channels=2)), Spy(SPEECH), np.zeros((2_000_000, 2), "f4")):
        await fed(source)
        assert threads
        assert threading.get_ident() not in threads
        threads.clear()


async def test_cancelling_closes_the_file(tmp_path):
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(SPEECH * 100))
    sent = asyncio.Event()

    async def send(pcm):
        sent.set()

    def is_open():
        descriptors = Path("/proc/self/fd").iterdir()
        return any(link.is_symlink() and link.readlink() == path for link in descriptors)

    task = asyncio.create_task(feed(path, rate=16_000, realtime=True, send=send))
    await sent.wait()
    assert is_open()
    task.cancel()
    await asyncio.wait([task])
    assert not is_open()


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
