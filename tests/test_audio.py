"""Shapes of audio that callers may hand over."""

import array
import wave

import numpy as np
import pytest

from novasonic import AudioFormatError, ConfigError
from novasonic.audio import chunk_bytes, pcm_bytes, pieces, read_wav

SAMPLES = [0, 1, -1, 32_767, -32_768]
PCM = array.array("h", SAMPLES).tobytes()


@pytest.mark.parametrize(
    "audio",
    [PCM, bytearray(PCM), memoryview(PCM), memoryview(PCM).cast("h"), array.array("h", SAMPLES)],
    ids=["bytes", "bytearray", "memoryview", "memoryview-h", "array-h"],
)
def test_bytes_and_int16_are_taken(audio):
    assert pcm_bytes(audio) == PCM


def test_bytes_are_not_copied():
    assert pcm_bytes(PCM) is PCM


@pytest.mark.parametrize(
    "audio",
    ["text", 5, None, SAMPLES, array.array("f", SAMPLES), array.array("i", SAMPLES), memoryview(PCM)[::2]],
    ids=["str", "int", "None", "list", "float32", "int32", "strided"],
)
def test_anything_else_is_refused_by_name(audio):
    with pytest.raises(AudioFormatError) as refused:
        pcm_bytes(audio)
    assert refused.value.code == "audio_type"
    assert refused.value.cure


def test_numpy_arrays_go_through_the_buffer_protocol():
    samples = np.array(SAMPLES, dtype="<i2")
    assert pcm_bytes(samples) == PCM
    assert pcm_bytes(samples.reshape(-1, 1)) == PCM
    for bad in (samples.astype("f4"), samples.astype(">i2"), np.stack([samples, samples], axis=1), samples[::2]):
        with pytest.raises(AudioFormatError):
            pcm_bytes(bad)


def test_a_chunk_is_32_ms_and_pieces_lose_nothing():
    assert chunk_bytes(16_000) == 1_024
    pcm = bytes(range(256)) * 9
    assert b"".join(pieces(pcm, 1_024)) == pcm
    assert [len(piece) for piece in pieces(pcm, 1_024)] == [1_024, 1_024, 256]


def write_wav(path, *, rate=16_000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(100 * channels * width))
    return path


def test_wav_of_the_right_kind_is_read(tmp_path):
    assert read_wav(write_wav(tmp_path / "speech.wav"), 16_000) == bytes(200)


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ({"rate": 44_100}, ConfigError, "sample_rate"),
        ({"channels": 2}, AudioFormatError, "wav"),
        ({"width": 1}, AudioFormatError, "wav"),
    ],
)
def test_wav_of_another_kind_is_refused(tmp_path, form, error, code):
    with pytest.raises(error) as refused:
        read_wav(write_wav(tmp_path / "speech.wav", **form), 16_000)
    assert refused.value.code == code


def test_junk_is_no_wav(tmp_path):
    junk = tmp_path / "junk.wav"
    for content in (b"", b"RIFF", b"ID3" + bytes(100)):
        junk.write_bytes(content)
        with pytest.raises(AudioFormatError):
            read_wav(junk, 16_000)
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav", 16_000)
