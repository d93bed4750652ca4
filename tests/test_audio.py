"""Shapes of audio that callers may hand over, and what can be made of it."""

import array
import contextlib
import io
import math
import struct
import threading
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novasonic import AudioFormatError, ConcurrencyError, ConfigError, audio
from novasonic._wav import WavReader
from novasonic.audio import Resampler, chunk_bytes, level, pcm_bytes, pieces, read_wav, resample

SAMPLES = [0, 1, -1, 32_767, -32_768]
PCM = array.array("h", SAMPLES).tobytes()


def tone(rate, seconds=0.5, hz=440.0, peak=10_000):
    return np.round(peak * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype("<i2")


@pytest.mark.parametrize(
    "given_audio",
    [PCM, bytearray(PCM), memoryview(PCM), memoryview(PCM).cast("h"), array.array("h", SAMPLES)],
    ids=["bytes", "bytearray", "memoryview", "memoryview-h", "array-h"],
)
def test_bytes_and_int16_are_taken(given_audio):
    assert pcm_bytes(given_audio) == PCM


def test_bytes_are_not_copied():
    assert pcm_bytes(PCM) is PCM


@pytest.mark.parametrize(
    "given_audio",
    [
        "text",
        5,
        None,
        SAMPLES,
        array.array("i", SAMPLES),
        memoryview(PCM)[::2],
        np.int16(5),
        np.zeros((2, 2, 2), "<i2"),
    ],
    ids=["str", "int", "None", "list", "int32", "strided-bytes", "scalar", "3d"],
)
def test_anything_else_is_refused_by_name(given_audio):
    with pytest.raises(AudioFormatError) as refused:
        pcm_bytes(given_audio)
    assert refused.value.code == "audio_type"
    assert refused.value.cure


def test_numpy_arrays_go_through_the_buffer_protocol():
    samples = np.array(SAMPLES, dtype="<i2")
    assert pcm_bytes(samples) == PCM
    assert pcm_bytes(samples.reshape(-1, 1)) == PCM
    assert pcm_bytes(np.stack([samples, samples], axis=1)[:, 1]) == PCM
    assert pcm_bytes(np.empty((0, 2), "<f4")) == b""
    for bad in (samples.astype(">i2"), samples.astype(">f4"), samples.astype("u2"), samples.astype("f2")):
        with pytest.raises(AudioFormatError):
            pcm_bytes(bad)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats_are_scaled_and_clipped(dtype):
    floats = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, np.inf, -np.inf, np.nan], dtype=dtype)
    wanted = [0, 16_384, -16_384, 32_767, -32_768, 32_767, -32_768, 32_767, -32_768, 0]
    assert array.array("h", pcm_bytes(floats)).tolist() == wanted
    assert pcm_bytes(array.array(dtype.replace("f4", "f").replace("f8", "d"), floats)) == pcm_bytes(floats)


def test_channels_are_folded():
    stereo = np.array([[100, 300], [-32_768, -32_768], [32_767, -32_767]], dtype="<i2")
    assert array.array("h", pcm_bytes(stereo)).tolist() == [200, -32_768, 0]
    assert array.array("h", pcm_bytes(stereo.astype("f4") / 32_768)).tolist() == [200, -32_768, 0]
    assert pcm_bytes(np.asfortranarray(stereo)) == pcm_bytes(stereo)
    with pytest.raises(AudioFormatError, match="transpose"):
        pcm_bytes(np.zeros((2, 16_000), "<i2"))


@given(st.lists(st.integers(-32_768, 32_767)))
def test_pcm16_as_float_comes_back_bit_for_bit(samples):
    floats = np.array(samples, dtype="<f4") / np.float32(32_768)
    assert array.array("h", pcm_bytes(floats)).tolist() == samples


def test_a_chunk_is_32_ms_and_pieces_lose_nothing():
    assert chunk_bytes(16_000) == 1_024
    pcm = bytes(range(256)) * 9
    assert b"".join(pieces(pcm, 1_024)) == pcm
    assert [len(piece) for piece in pieces(pcm, 1_024)] == [1_024, 1_024, 256]


# Resampling


@given(
    st.sampled_from([(44_100, 16_000), (48_000, 16_000), (24_000, 44_100), (44_056, 8_000), (16_000, 16_000)]),
    st.binary(max_size=6_000).map(lambda data: data[: len(data) // 2 * 2]),
    st.lists(st.integers(0, 1_500), max_size=8),
)
def test_however_a_stream_is_cut_it_sounds_the_same(rates, pcm, cuts):
    resampler = Resampler(*rates)
    out, at = b"", 0
    for cut in cuts:
        out += resampler.push(pcm[at : at + 2 * cut])
        at += 2 * cut
    out += resampler.push(pcm[at:]) + resampler.flush()
    assert out == resample(pcm, *rates)
    assert len(out) // 2 == -(-(len(pcm) // 2) * rates[1] // rates[0])


def test_a_resampled_tone_is_the_tone():
    for rates in [(44_100, 16_000), (24_000, 48_000), (8_000, 16_000), (192_000, 24_000)]:
        out = np.frombuffer(resample(tone(rates[0]), *rates), "<i2").astype(int)
        error = np.abs(out - tone(rates[1]))[rates[1] // 20 : -rates[1] // 20]
        assert len(out) == rates[1] // 2
        assert error.max() <= 2, rates


def test_a_resampler_is_less_than_10_ms_behind():
    resampler = Resampler(48_000, 16_000)
    said = sum(len(resampler.push(bytes(2 * 48))) for _ in range(100)) // 2
    assert 0.09 <= said / 16_000 < 0.1
    assert len(resampler.flush()) == 2 * (1_600 - said)
    assert repr(resampler) == "<novasonic.audio.Resampler 48000 to 16000 Hz>"
    assert (resampler.from_rate, resampler.to_rate) == (48_000, 16_000)


def test_equal_rates_are_bit_exact():
    resampler = Resampler(16_000, 16_000)
    assert resampler.push(PCM) == PCM
    assert resampler.flush() == b""


def test_what_cannot_be_resampled_is_refused():
    for rates in [(0, 16_000), (16_000, 999), (400_000, 16_000)]:
        with pytest.raises(ConfigError) as refused:
            Resampler(*rates)
        assert refused.value.code == "sample_rate"
        with pytest.raises(ConfigError):
            resample(PCM, *rates)
    for odd in (lambda: resample(b"123", 8_000, 16_000), lambda: Resampler(8_000, 16_000).push(b"1")):
        with pytest.raises(AudioFormatError) as refused:
            odd()
        assert refused.value.code == "odd_audio"


def test_two_threads_in_one_resampler_are_told():
    resampler, refusals, both = Resampler(44_056, 16_000), [], threading.Barrier(2)
    long = bytes(2 * 44_056 * 5)

    def push():
        both.wait()
        try:
            for _ in range(5):
                resampler.push(long)
        except ConcurrencyError as error:
            refusals.append(error.code)

    threads = [threading.Thread(target=push) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The other one is never disturbed.
    assert refusals == ["resampler_in_use"]


# G.711


def test_g711_is_that_of_other_programs():
    # From the tables of ITU-T G.711; the Rust tests have more of them.
    assert array.array("h", audio.mulaw_to_pcm(bytes([0x00, 0x7F, 0x80, 0xFF, 0xEF]))).tolist() == [
        -32_124, 0, 32_124, 0, 132,
    ]  # fmt: skip
    assert array.array("h", audio.alaw_to_pcm(bytes([0x2A, 0x55, 0xD5, 0xAA]))).tolist() == [-32_256, -8, 8, 32_256]
    assert audio.pcm_to_mulaw(array.array("h", [0, -32_768, 32_767])) == bytes([0xFF, 0x00, 0x80])
    assert audio.pcm_to_alaw(array.array("h", [0, -32_768, 32_767])) == bytes([0xD5, 0x2A, 0xAA])


@pytest.mark.parametrize(
    ("decode", "encode"), [(audio.mulaw_to_pcm, audio.pcm_to_mulaw), (audio.alaw_to_pcm, audio.pcm_to_alaw)]
)
def test_every_code_of_g711_survives(decode, encode):
    codes = bytes(range(256))
    again = encode(decode(codes))
    assert again == (codes.replace(b"\x7f", b"\xff") if encode is audio.pcm_to_mulaw else codes)
    assert decode(bytearray(codes)) == decode(codes)
    for bad in (PCM.decode("latin1"), array.array("h", SAMPLES), 5):
        with pytest.raises(AudioFormatError):
            decode(bad)
    with pytest.raises(AudioFormatError):
        encode(b"odd")


def test_a_telephone_call_keeps_its_speech():
    speech = tone(8_000, peak=20_000)
    heard = np.frombuffer(audio.mulaw_to_pcm(audio.pcm_to_mulaw(speech)), "<i2").astype(float)
    noise = 20 * np.log10(np.std(heard - speech) / np.std(speech))
    assert noise < -35


# Levels


def test_levels_are_of_full_scale():
    full = level(tone(8_000, peak=32_767))
    assert full.rms == pytest.approx(math.sqrt(0.5), rel=1e-3)
    assert full.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert full.peak_dbfs == pytest.approx(0, abs=0.01)
    assert level(np.full((10, 2), -1.0, "<f4")) == audio.Level(1.0, 1.0)
    silence = level(bytes(100))
    assert (silence.rms, silence.peak, silence.rms_dbfs) == (0.0, 0.0, -math.inf)
    assert level(b"") == silence
    with pytest.raises(AudioFormatError):
        level(b"odd")


# WAV


def write_wav(path, samples=bytes(200), *, rate=16_000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(samples)
    return path


def wav_bytes(data, *, tag=1, channels=1, rate=16_000, bits=16, extensible=False, length=None, before=b""):
    width = bits // 8 * channels
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * width, width, bits)
    if extensible:
        guid = tag.to_bytes(2, "little") + bytes.fromhex("000000001000800000aa00389b71")
        form += struct.pack("<HHI", 22, bits, 0) + guid
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data) if length is None else length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def read(data, rate=16_000, tmp=None):
    return b"".join(audio.wav_blocks(io.BytesIO(data), "test.wav", rate))


def test_pcm16_mono_of_the_wanted_rate_comes_as_it_is(tmp_path):
    speech = tone(16_000).tobytes()
    path = write_wav(tmp_path / "speech.wav", speech)
    assert read_wav(path, 16_000) == speech
    assert read_wav(str(path), 16_000) == speech


FLOATS = np.array([0.0, 0.5, -0.5, 0.25, -1.0, 0.125], dtype="<f8")
AS_PCM16 = np.round(FLOATS * 32_768).astype("<i2").tobytes()
WHOLE = {
    8: (FLOATS * 128 + 128).astype("u1").tobytes(),
    16: AS_PCM16,
    24: b"".join(int(value * 2**23).to_bytes(3, "little", signed=True) for value in FLOATS),
    32: (FLOATS * 2**31).astype("<i4").tobytes(),
}


@pytest.mark.parametrize("extensible", [False, True], ids=["plain", "extensible"])
@pytest.mark.parametrize(
    ("data", "form"),
    [(data, {"tag": 1, "bits": bits}) for bits, data in WHOLE.items()]
    + [
        (FLOATS.astype("<f4").tobytes(), {"tag": 3, "bits": 32}),
        (FLOATS.tobytes(), {"tag": 3, "bits": 64}),
    ],
    ids=["u8", "i16", "i24", "i32", "f32", "f64"],
)
def test_every_width_of_a_wav_is_read(data, form, extensible):
    assert read(wav_bytes(data, **form, extensible=extensible)) == AS_PCM16
    # The same in both channels is the same in the fold.
    width = form["bits"] // 8
    frames = b"".join(data[at : at + width] * 2 for at in range(0, len(data), width))
    assert read(wav_bytes(frames, **form, channels=2, extensible=extensible)) == AS_PCM16


def test_g711_in_a_wav_is_read():
    pcm = tone(8_000, peak=20_000)
    for tag, encode, decode in [(6, audio.pcm_to_alaw, audio.alaw_to_pcm), (7, audio.pcm_to_mulaw, audio.mulaw_to_pcm)]:
        codes = encode(pcm)
        assert read(wav_bytes(codes, tag=tag, bits=8, rate=8_000), 8_000) == decode(codes)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_wav_of_any_rate_is_brought_to_the_wanted_one(tmp_path, rate):
    stereo = np.repeat(tone(rate, seconds=5.3)[:, None], 2, axis=1)
    path = write_wav(tmp_path / "speech.wav", stereo.tobytes(), rate=rate, channels=2)
    pcm = read_wav(path, 16_000)
    assert pcm == resample(tone(rate, seconds=5.3), rate, 16_000)  # though it was read in blocks of 2 s
    assert len(pcm) == pytest.approx(2 * 16_000 * 5.3, abs=2)


def test_a_wav_from_a_pipe_has_no_length_and_other_chunks_are_skipped():
    pcm = tone(16_000).tobytes()
    junk = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    for length in (0xFFFFFFFF, len(pcm), len(pcm) + 1_000):
        assert read(wav_bytes(pcm, length=length, before=junk)) == pcm
    # Behind the samples may be more that is none.
    assert read(wav_bytes(pcm + junk, length=len(pcm))) == pcm


def test_a_frame_cut_short_is_left_out():
    assert read(wav_bytes(PCM + b"x", length=0xFFFFFFFF)) == PCM
    stereo = array.array("h", [10, 30, 99]).tobytes()
    assert read(wav_bytes(stereo, channels=2, length=0xFFFFFFFF)) == array.array("h", [20]).tobytes()


class Trickle(io.RawIOBase):
    """A pipe that hands out a few bytes at a time."""

    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def read(self, count=-1):
        taken, self.data = self.data[: min(count, 7)], self.data[min(count, 7) :]
        return taken


def test_a_file_that_trickles_is_read_whole():
    pcm = tone(16_000).tobytes()
    reader = WavReader(Trickle(wav_bytes(pcm)), "pipe")
    assert (reader.rate, reader.read(10), reader.read(10)) == (16_000, pcm, b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"ID3" + bytes(100),
        wav_bytes(PCM)[:30],
        b"RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00",
        wav_bytes(PCM, tag=85),
        wav_bytes(PCM, bits=40),
        wav_bytes(PCM, rate=500),
        wav_bytes(PCM, channels=0, bits=16),
        wav_bytes(PCM, channels=40),
        wav_bytes(PCM, tag=2, extensible=True),
    ],
    ids=[
        "empty",
        "start",
        "mp3",
        "cut",
        "no-format",
        "mp3-in-wav",
        "40-bit",
        "500-hz",
        "no-channel",
        "40-channels",
        "adpcm",
    ],
)
def test_junk_is_no_wav(tmp_path, content):
    junk = tmp_path / "junk.wav"
    junk.write_bytes(content)
    with pytest.raises(AudioFormatError, match=r"^junk\.wav ") as refused:
        read_wav(junk, 16_000)
    assert refused.value.code == "wav"
    assert "ffmpeg" in refused.value.cure


@given(st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=12))
def test_no_wav_however_broken_raises_anything_else(data, at, patch):
    whole = wav_bytes(data)
    broken = whole[:at] + patch + whole[at + len(patch) :]
    with contextlib.suppress(AudioFormatError):
        read(broken)


def test_a_wav_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav", 16_000)
