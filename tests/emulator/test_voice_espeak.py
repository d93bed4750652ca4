import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest

import novasonic
from novasonic.emulator.voice import espeak
from novasonic.emulator.voice.espeak import Speaker, Voice, voice_for

SENTENCE = "Out on the water, a row of lights comes straight for the rocks."


def rms(pcm):
    samples = array("h", pcm)
    return (sum(sample * sample for sample in samples) / len(samples)) ** 0.5


@pytest.mark.parametrize("voice", [*espeak._VOICES, "somebody-new"])
def test_every_voice_of_the_service_has_one_that_speaks(voice):
    pcm = Speaker().speak(SENTENCE, voice_for(voice), 24_000)
    assert 2.0 < len(pcm) / 48_000 < 8.0
    assert rms(pcm) > 500


def test_voices_differ():
    assert len({Speaker().speak(SENTENCE, voice_for(voice), 8_000) for voice in espeak._VOICES}) == len(espeak._VOICES)


def test_all_rates_last_equally_long():
    seconds = [len(Speaker().speak(SENTENCE, Voice(), rate)) / (2 * rate) for rate in (8_000, 16_000, 24_000)]
    assert max(seconds) - min(seconds) < 0.001


def test_faster_is_shorter():
    fast, slow = (Speaker().speak(SENTENCE, Voice(words_per_minute=speed), 16_000) for speed in (220, 120))
    assert len(fast) < 0.7 * len(slow)


def test_threads_do_not_mix_their_sentences():
    # Lengths: the synthesiser adds a little chance to the sound itself.
    sentences = [f"This is sentence {'number ' * count}." for count in range(1, 13)]
    voices = [voice_for(voice) for voice in list(espeak._VOICES)[:12]]
    alone = [len(Speaker().speak(*pair, 16_000)) for pair in zip(sentences, voices, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        together = [len(pcm) for pcm in pool.map(Speaker().speak, sentences, voices, [16_000] * 12)]
    assert together == pytest.approx(alone, rel=0.1)


def test_text_is_text():
    speaker = Speaker()
    assert len(speaker.speak("One\0two three four five.", Voice(), 16_000)) > len(speaker.speak("One", Voice(), 16_000))
    assert not any(speaker.speak("", Voice(), 16_000))


def test_a_voice_that_does_not_exist_is_named():
    with pytest.raises(novasonic.ConfigError, match="no voice 'xx-none'"):
        Speaker().speak("Hello.", Voice("xx-none"), 16_000)


def test_data_far_down_a_tree_is_found(tmp_path):
    """The library cuts paths above 160 bytes, which a virtual environment of a build farm reaches easily."""
    code = f"""
import shutil, espeakng_loader
from pathlib import Path
deep = Path({str(tmp_path)!r}, "d" * 100, "e" * 100)
shutil.copytree(espeakng_loader.get_data_path(), deep)
espeakng_loader.get_data_path = lambda: str(deep)
from novasonic.emulator.voice.espeak import Speaker, Voice
assert len(Speaker().speak("Hello.", Voice("en-us+f2"), 16_000)) > 5_000
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["pocketsphinx", "espeakng_loader"])
def test_a_missing_extra_is_an_error_with_its_cure(missing, monkeypatch):
    from novasonic.emulator import Emulator
    from novasonic.emulator.voice import extra

    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(novasonic.ConfigError, match=rf'{missing}.*pip install "novasonic\[voice\]"'):
        Emulator("voice")
