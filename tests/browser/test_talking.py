"""Speech from a microphone through page, server and emulator, and back out of the loudspeaker."""

import asyncio
import math
import struct

import pytest

from novasonic.emulator import Emulator
from novasonic.emulator.voice import phrases

RATE = 16_000
SECOND = bytes(RATE * 2)
TONE_HZ = 880
ANSWER_SECONDS = 12


def tone(seconds, rate, hz=TONE_HZ, amplitude=0.3):
    samples = (int(32767 * amplitude * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


@pytest.fixture(scope="module")
def offline_voice(serve):
    """The site as `novasonic demo` gives it."""
    with Emulator(brain="voice") as emulator, serve(emulator) as site:
        yield site


@pytest.fixture(scope="module")
def tone_voice(serve):
    """A model that answers everything with a long tone: what is heard can be measured."""

    async def brain(turn):
        await turn.say("A long tone.", audio=tone(ANSWER_SECONDS, turn.output_rate))

    with Emulator(brain=brain) as emulator, serve(emulator) as site:
        yield site


@pytest.fixture(scope="module")
def reading_voice(serve, say):
    """A model that reads a long sentence aloud."""

    async def brain(turn):
        await turn.say(READING, audio=say(READING, turn.output_rate))

    with Emulator(brain=brain) as emulator, serve(emulator) as site:
        yield site


READING = (
    "Once upon a time there was a lighthouse keeper who counted the waves, one by one, every single night, "
    "until the sea grew curious and came up the stairs to ask him why he did it, and what the number was."
)


async def test_words_are_understood_and_the_answer_is_heard(offline_voice, visit, say):
    phrase = phrases()[0]
    async with visit(offline_voice, microphone=SECOND + say(phrase) + SECOND * 6) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user')")
        await page.until("states.includes('speaking')")
        await page.until("events.some(e => e.type === 'turn_ended' && !e.interrupted)", seconds=40)
        lines = page.part("line")
        assert phrase.lower() in (await lines.nth(0).inner_text()).lower()
        assert await lines.nth(0).get_attribute("data-role") == "user"
        assert len(await lines.nth(1).inner_text()) > 10
        # Speech, by what it is made of, and loud enough to be listened to.
        heard = await page.probe("heard.filter(h => h.rms > 0.01)")
        assert len(heard) > 20
        loud = sorted(sample["rms"] for sample in heard)
        assert loud[len(loud) // 2] > 0.02
        shares = sorted(sample["speechShare"] for sample in heard)
        assert shares[len(shares) // 2] > 0.9


async def test_three_turns_are_spoken_one_after_the_other(serve, visit, say):
    spoken = b"".join(say(words) + SECOND * 7 for words in ("Hello there.", "How are you?", "That is good."))
    with Emulator(brain="parrot") as emulator, serve(emulator) as site:
        async with visit(site, microphone=SECOND + spoken) as page:
            await page.talk()
            await page.until("events.filter(e => e.type === 'turn_ended').length === 3", seconds=60)
            assert await page.probe(
                "events.filter(e => e.type === 'turn_ended').map(e => [e.turn, e.interrupted])"
            ) == [[turn, False] for turn in (1, 2, 3)]
            assert [await line.get_attribute("data-role") for line in await page.part("line").all()] == [
                "user",
                "assistant",
            ] * 3


async def test_the_loudspeaker_plays_what_was_sent(tone_voice, visit, say):
    async with visit(tone_voice, microphone=SECOND + say("Sing, please.") + SECOND * 6) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("heard.filter(h => h.rms > 0.1).length > 60")
        heard = (await page.probe("heard.filter(h => h.rms > 0.1)"))[10:]
        # An amplitude of 0.3 is 0.212 RMS; one bin of the analyser is 11.7 Hz.
        for sample in heard:
            assert abs(sample["peakHz"] - TONE_HZ) < 24, sample
            assert sample["rms"] == pytest.approx(0.3 / math.sqrt(2), rel=0.1)
        assert await page.page.evaluate("document.querySelector('nova-sonic-talk').nova.counts.underruns") == 0


async def test_speaking_over_the_answer_stops_it(tone_voice, visit, say):
    question, objection = say("Sing, please."), say("Stop, stop, that is enough, thank you very much indeed.")
    async with visit(tone_voice, microphone=SECOND + question + SECOND * 5 + objection + SECOND * 6) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("heard.some(h => h.rms > 0.1)")
        await page.until("events.some(e => e.type === 'interrupted' && e.source === 'model')")
        await page.until("flushes.length > 0")
        flush_ms, *_ = await page.probe("flushes")
        assert flush_ms < 500
        print(f"silence {flush_ms:.1f} ms after the server's message")
        await page.until("heard.slice(-3).every(h => h.rms < 0.001)", seconds=2)


@pytest.mark.parametrize(("gain_db", "interrupts"), [(-20, False), (0, True)])
async def test_its_own_voice_does_not_interrupt_it_unless_it_is_as_loud_as_a_person(
    reading_voice, visit, say, quieter, gain_db, interrupts
):
    question = say("Read to me, please.")
    # The answer begins some two seconds after the question; the echo lasts less long than the answer.
    echo = quieter(say(READING), gain_db)[: RATE * 2 * 6]
    async with visit(reading_voice, microphone=SECOND + question + SECOND * 4 + echo + SECOND * 10) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("heard.some(h => h.rms > 0.02)")
        await page.until("events.some(e => e.type === 'turn_ended')", seconds=40)
        assert await page.probe("events.some(e => e.type === 'interrupted')") is interrupts


async def test_typed_input_is_answered_without_a_microphone(offline_voice, visit):
    async with visit(offline_voice, microphone=None) as page:
        await page.part("text").fill(phrases()[0])
        await page.page.get_by_role("button", name="Send").click()
        await page.until("states.includes('speaking')")
        await page.until("heard.some(h => h.rms > 0.02)")
        lines = page.part("line")
        assert await page.said.nth(0).inner_text() == phrases()[0]
        assert await lines.nth(1).get_attribute("data-role") == "assistant"
        assert await page.part("user").count() == 1


async def test_a_phrase_of_the_list_can_be_pressed(offline_voice, visit):
    async with visit(offline_voice, microphone=None) as page:
        assert "Offline emulator voice, not Nova" in await page.page.locator(".banner").inner_text()
        assert await page.page.locator(".phrase").all_inner_texts() == list(phrases())
        await page.page.locator(".phrase").first.click()
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'assistant')")


async def test_the_sample_voice_asks_for_those_without_a_microphone(offline_voice, visit):
    async with visit(offline_voice, microphone=None) as page:
        await page.part("sample").click()
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user')")
        await page.until("heard.some(h => h.rms > 0.02)")
        said = await page.part("user").locator("[data-segment]").first.inner_text()
        assert said.lower() in {phrase.lower() for phrase in phrases()}


async def test_stop_the_answer_by_hand_and_mute(tone_voice, visit, say):
    async with visit(tone_voice, microphone=SECOND + say("Sing, please.") + SECOND * 8) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("heard.some(h => h.rms > 0.1)")
        await page.part("interrupt").click()
        await page.until("heard.slice(-3).every(h => h.rms < 0.001)", seconds=2)
        await page.until("events.some(e => e.type === 'interrupted' && e.source === 'client')")
        await page.part("mute").click()
        await page.until("levels.slice(-5).every(level => level === 0)")
        await page.talk()
        await page.until("states.at(-1) === 'ended'")


@pytest.mark.parametrize("how", ["pointer", "space"])
async def test_push_to_talk_sends_what_is_said_while_it_is_held(offline_voice, visit, say, how):
    async with visit(offline_voice, microphone=SECOND * 4 + say(phrases()[0]) + SECOND * 10) as page:
        sent = "document.querySelector('nova-sonic-talk').nova.counts.sentFrames"

        async def hold(down):
            if how == "pointer":
                await (page.page.mouse.down() if down else page.page.mouse.up())
            else:
                await (page.page.keyboard.down(" ") if down else page.page.keyboard.up(" "))

        await page.part("push").click()
        await page.talk()
        await page.page.get_by_text("Hold the button or the space bar to talk").wait_for()
        # A space that is typed is no button.
        await page.part("text").focus()
        await page.page.keyboard.down(" ")
        assert await page.page.evaluate(sent) == 0
        await page.page.keyboard.up(" ")
        await page.part("text").blur()
        await page.part("hold").hover()
        await hold(True)
        await page.until("Math.max(...levels) > 0.01")
        await page.until("levels.slice(-16).every(level => level < 0.01)")
        await hold(False)
        while_held = await page.page.evaluate(sent)
        assert while_held > 20
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user')")
        assert phrases()[0] in await page.part("user").inner_text()
        await page.until("heard.some(h => h.rms > 0.02)")
        assert await page.page.evaluate(sent) <= while_held + 2


async def test_the_page_tells_how_much_was_heard(tone_voice, visit):
    async with visit(tone_voice, microphone=None) as page:
        await page.part("text").fill("Sing")
        await page.part("text").press("Enter")
        await page.until("heard.filter(h => h.rms > 0.1).length > 100")
        await page.part("interrupt").click()
        await page.until("events.some(e => e.type === 'interrupted')")
        await page.until("states.at(-1) === 'listening'")
        told = [(at, message) for at, message in page.sent if message["type"] == "played"]
        assert {message["turn"] for _, message in told} == {1}
        heard_ms = [message["ms"] for _, message in told]
        assert heard_ms == sorted(heard_ms)
        heard_for = await page.probe("heard.filter(h => h.rms > 0.1).at(-1).at - heard.find(h => h.rms > 0.1).at")
        assert heard_ms[-1] == pytest.approx(heard_for, abs=300)
        # Each 250 ms, once for the flush, and where a busy machine lets the sound run dry; each quantum were 2.7 ms.
        assert len(told) <= heard_ms[-1] / 250 + 6
        # An answer that is stopped before its first sound: nothing of it was heard.
        await page.page.evaluate(
            """() => {
              const { nova } = document.querySelector("nova-sonic-talk");
              nova.addEventListener("turn_started", () => nova.interrupt(), { once: true });
            }"""
        )
        await page.part("text").fill("And again")
        await page.part("text").press("Enter")
        await page.until("events.some(e => e.type === 'interrupted' && e.turn === 2)")
        await page.until("states.at(-1) === 'listening'")
        assert {message["ms"] for _, message in page.sent if message.get("turn") == 2} == {0}


async def test_a_denied_microphone_is_said_in_words_and_typing_still_works(offline_voice, visit):
    async with visit(offline_voice, granted=False) as page:
        await page.talk()
        await page.part("notice").wait_for(state="visible")
        assert "microphone is blocked" in await page.part("notice").inner_text()
        assert await page.probe("events.length") == 0
        await page.part("text").fill(phrases()[0])
        await page.part("text").press("Enter")
        await page.until("states.includes('speaking')")


async def test_no_microphone_is_said_in_words(offline_voice, visit):
    async with visit(offline_voice, microphone=None) as page:
        await page.talk()
        await page.part("notice").wait_for(state="visible")
        assert "No microphone was found" in await page.part("notice").inner_text()


async def test_an_insecure_page_says_so_and_still_types(offline_voice, visit):
    async with visit(offline_voice, host="voice.test") as page:
        await page.talk()
        await page.part("notice").wait_for(state="visible")
        assert "https or localhost" in await page.part("notice").inner_text()
        await page.part("text").fill(phrases()[0])
        await page.part("text").press("Enter")
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'assistant')")


async def test_frames_come_every_32_ms_with_the_microphones_sound(tone_voice, visit):
    async with visit(tone_voice, microphone=tone(20, RATE, hz=440)) as page:
        await page.talk()
        await page.hears_the_microphone()
        cadence_ms = 0.0
        # On a busy machine the fake microphone stutters: at a wrong cadence no such while ever comes.
        async with asyncio.timeout(30):
            while not 30 < cadence_ms < 34:
                began, count = await page.probe("[performance.now(), levels.length]")
                await page.until(f"levels.length >= {count + 60}")
                ended, then = await page.probe("[performance.now(), levels.length]")
                cadence_ms = (ended - began) / (then - count)
                print(f"a frame each {cadence_ms:.1f} ms")


async def test_a_server_that_goes_away_is_said(serve, visit):
    with Emulator() as emulator, serve(emulator) as site:
        async with visit(site, microphone=None) as page:
            await page.part("text").fill("Hello")
            await page.part("text").press("Enter")
            await page.until("events.some(e => e.type === 'turn_ended')")
            await asyncio.to_thread(site.stop)
            # It has a token, and so tries for two minutes to come back.
            await page.until("states.at(-1) === 'reconnecting'")
            assert "Coming back" in await page.part("state").inner_text()
            await page.talk()
            await page.until("states.at(-1) !== 'reconnecting'")
            # Chromium itself complains of each attempt.
            page.console[:] = [line for line in page.console if "WebSocket connection" not in line]
