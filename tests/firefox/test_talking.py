"""Speech into Firefox's microphone through page, server and emulator, and what its loudspeaker then plays."""

import math

import numpy as np
import pytest
from pulse import RATE, rms

from novasonic.emulator import Emulator
from novasonic.emulator.voice import phrases

SPEECH_RATE = 16_000
TONE_HZ = 880
AMPLITUDE = 0.3
SILENT = 0.003
# A busy machine tears words; they are said again then, as people do.
ATTEMPTS = 3


@pytest.fixture(scope="module")
def offline_voice(serve):
    with Emulator(brain="voice") as emulator, serve(emulator) as site:
        yield site


@pytest.fixture(scope="module")
def tone_voice(serve, tone):
    """A model that answers everything with a long tone: what is heard can be measured."""

    async def brain(turn):
        await turn.say("A long tone.", audio=tone(12, turn.output_rate, TONE_HZ, AMPLITUDE))

    with Emulator(brain=brain) as emulator, serve(emulator) as site:
        yield site


def silence_after(recording, at, seconds=0.1):
    """How long after `at` the loudspeaker fell silent, and stayed so for a while."""
    quiet = np.abs(recording.since(at)) < SILENT
    run = int(seconds * RATE)
    # Where that many samples in a row are quiet.
    counts = np.convolve(quiet, np.ones(run), "valid") > run - 0.5
    assert counts.any(), "it never fell silent"
    return float(np.argmax(counts)) / RATE


async def test_words_are_understood_and_the_answer_is_heard(offline_voice, pulse, visit, say):
    phrase = phrases()[0]
    (microphone,) = pulse.have("desk")
    async with visit(offline_voice) as page:
        await page.press("button")
        await page.listens()
        for attempt in range(1, ATTEMPTS + 1):
            await page.tab.evaluate("seen.splice(0)")
            with pulse.recorded() as heard, microphone.spoken(say(phrase), SPEECH_RATE):
                said = await page.told("transcript", "e.role === 'user'")
                begun = await page.told("state", "e.state === 'speaking'")
                await page.told("turn_ended", "!e.interrupted", seconds=40)
                await page.until("nova.state === 'listening'")
            if phrase.lower() in said["text"].lower():
                break
            assert attempt < ATTEMPTS, said
        assert rms(heard.since(begun["at"])) > 0.02
        # Nothing was heard before it: not the user's own voice either.
        assert np.abs(heard.since()[: -len(heard.since(begun["at"] - 0.1))]).max() < SILENT


async def test_the_loudspeaker_plays_what_was_sent(tone_voice, pulse, visit, say, pitch):
    (microphone,) = pulse.have("desk")
    async with visit(tone_voice) as page:
        await page.press("button")
        await page.listens()
        with pulse.recorded() as heard, microphone.spoken(say("Sing, please."), SPEECH_RATE):
            begun = await page.told("state", "e.state === 'speaking'")
            await page.until(f"Date.now() / 1000 > {begun['at'] + 3}")
        sound = heard.since(begun["at"] + 1)[: 2 * RATE]
        assert pitch(sound, RATE) == pytest.approx(TONE_HZ, abs=2)
        # The middle one of pieces of 20 ms: a busy machine tears some.
        pieces = sorted(rms(piece) for piece in np.split(sound, 100))
        assert pieces[50] == pytest.approx(AMPLITUDE / math.sqrt(2), rel=0.05)
        assert (await page.nova("counts"))["underruns"] == 0


async def test_speaking_over_the_answer_stops_it(tone_voice, pulse, visit, say):
    (microphone,) = pulse.have("desk")
    async with visit(tone_voice) as page:
        await page.press("button")
        await page.listens()
        with pulse.recorded() as heard:
            with microphone.spoken(say("Sing, please."), SPEECH_RATE):
                begun = await page.told("state", "e.state === 'speaking'")
                await page.until(f"Date.now() / 1000 > {begun['at'] + 1}")
            assert rms(heard.since(begun["at"] + 0.6)) > 0.1
            objection = "Stop, stop, that is enough, thank you very much indeed."
            with microphone.spoken(say(objection), SPEECH_RATE):
                cut = await page.told("interrupted", "e.source === 'model'")
                flushed = await page.told("flushed")
                await page.until(f"Date.now() / 1000 > {cut['at'] + 1}")
            silent_ms = silence_after(heard, cut["at"]) * 1000
        print(
            f"the audio thread was silent {flushed['ms']:.1f} ms after the message, the loudspeaker {silent_ms:.0f} ms"
        )
        assert silent_ms < 500


async def test_typed_input_is_answered_without_a_microphone(tone_voice, pulse, visit, pitch):
    pulse.have("desk")
    async with visit(tone_voice) as page:
        with pulse.recorded() as heard:
            await page.type("Sing")
            begun = await page.told("state", "e.state === 'speaking'")
            await page.until(f"Date.now() / 1000 > {begun['at'] + 1.5}")
            # Nobody listens meanwhile.
            assert pulse.listeners() == []
        assert pitch(heard.since(begun["at"] + 0.5), RATE) == pytest.approx(TONE_HZ, abs=3)


async def test_the_microphone_is_let_go_at_the_end(tone_voice, pulse, visit):
    pulse.have("desk")
    async with visit(tone_voice) as page:
        await page.press("button")
        await page.listens()
        assert pulse.listeners() == ["desk"]
        await page.press("button")
        await page.until("nova.state === 'ended'")
        await page.until_there(lambda: pulse.listeners() == [])
