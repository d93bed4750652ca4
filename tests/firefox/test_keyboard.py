"""The page without a mouse: Firefox has its own ideas of what takes the focus, and which keys press it."""

import pytest

from novasonic.emulator import Emulator
from novasonic.emulator.voice import phrases

SPEECH_RATE = 16_000


@pytest.fixture(scope="module")
def offline_voice(serve):
    with Emulator(brain="voice") as emulator, serve(emulator) as site:
        yield site


async def test_a_conversation_is_begun_interrupted_and_ended_with_keys_alone(offline_voice, pulse, visit):
    pulse.have("desk")
    async with visit(offline_voice) as page:
        await page.reach("Talk")
        await page.tab.keys("Enter")
        await page.listens()
        await page.reach("Type instead of talking")
        await page.tab.keys(phrases()[0], "Enter")
        await page.told("state", "e.state === 'speaking'")
        await page.reach("Stop the answer", back=True)
        await page.tab.keys("Space")
        await page.told("interrupted", "e.source === 'client'")
        await page.told("flushed")
        await page.reach("End the conversation", back=True)
        await page.tab.keys("Enter")
        await page.until("nova.state === 'ended'")


async def test_the_space_bar_is_held_to_be_heard(offline_voice, pulse, visit, say):
    (microphone,) = pulse.have("desk")
    async with visit(offline_voice) as page:
        await page.reach("Talk")
        await page.tab.keys("Enter")
        await page.listens()
        await page.reach("Push to talk")
        await page.tab.keys("Space")
        await page.reach("Hold to talk", back=True)
        await page.tab.keys("+Space")
        assert await page.nova("pressed") is True
        with microphone.spoken(say(phrases()[0]), SPEECH_RATE):
            await page.until("levels.some(({level}) => level > 0.02)")
            await page.until("levels.length > 40 && levels.slice(-20).every(({level}) => level < 0.01)")
        await page.tab.keys("-Space")
        assert await page.nova("pressed") is False
        sent = (await page.nova("counts"))["sentFrames"]
        await page.told("transcript", "e.role === 'user'")
        await page.frames(20)
        assert (await page.nova("counts"))["sentFrames"] <= sent + 2


async def test_another_microphone_is_chosen_with_the_arrow_keys(offline_voice, pulse, visit):
    pulse.have("desk", "headset")
    async with visit(offline_voice) as page:
        await page.press("button")
        await page.listens()
        before = pulse.listeners()
        await page.reach("Microphone")
        await page.tab.keys("ArrowDown")
        await page.until_there(lambda: pulse.listeners() not in (before, []))
        await page.frames(10)
        assert await page.nova("open") is True
