"""A worker that is killed under a page: the page goes on with another one, and what was said meanwhile is heard."""

from contextlib import AsyncExitStack

import pytest
import tape
from line import Line
from networksite import Address, worker
from services import redis_server

from novasonic.emulator import Emulator
from novasonic.emulator.voice import phrases

pytestmark = pytest.mark.slow

RATE = 16_000
SECOND = bytes(RATE * 2)
WISH = phrases()[0]
# A frame of the microphone is 32 ms.
QUIET_AGAIN = "levels.slice(-16).every(level => level < 0.01)"


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


@pytest.fixture(scope="module")
def understanding():
    """A model that understands speech; whoever typed is answered briefly."""
    from novasonic.emulator.voice import VoiceBrain

    understood = VoiceBrain()

    async def brain(turn):
        if turn.text is not None:
            await turn.say("Yes.", audio=tape.tone(0.3, turn.output_rate))
        else:
            await understood(turn)

    understood.prepare()
    with Emulator(brain=brain, record=True) as emulator:
        yield emulator


def without_attempts(console):
    """Chromium itself complains of each attempt to come back."""
    return [line for line in console if "WebSocket connection" not in line]


@pytest.mark.parametrize("transcripts", ["full", "off"])
@pytest.mark.parametrize("stands_by", [True, False], ids=["another worker", "a restarted server"])
async def test_words_said_while_the_worker_is_dead_are_heard_by_the_next(
    understanding, redis, tmp_path, visit, say, stands_by, transcripts
):
    wish = say(WISH)
    site = {"state": tmp_path, "REDIS_URL": redis.url, "TRANSCRIPTS": transcripts}
    async with AsyncExitStack() as stack:
        killed = stack.enter_context(worker(understanding, **site))
        other = stack.enter_context(worker(understanding, **site)) if stands_by else None
        line = await stack.enter_async_context(Line(killed.port))
        # A busy machine takes seconds until the worker may be killed.
        microphone = SECOND * 10 + wish + SECOND * 20
        page = await stack.enter_async_context(visit(Address(line.port), microphone=microphone))
        await tape.tap(page.page)
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        await page.page.evaluate(f"{tape.NOVA}.sendText('Hello')")
        await page.until("events.some(e => e.type === 'turn_ended' && e.turn === 1)")
        assert await page.probe("Math.max(...levels)") < 0.01, "the wish comes after the kill"
        before = len(understanding.streams)
        line.target = None
        killed.process.kill()
        await page.until("states.at(-1) === 'reconnecting'")
        await page.until("levels.some(level => level > 0.01)")
        await page.until(QUIET_AGAIN)
        assert await page.probe("states.at(-1)") == "reconnecting", "all of it was said to nobody"
        line.target = (other or stack.enter_context(worker(understanding, **site))).port
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user' && e.turn === 2)")
        said = await page.probe("events.findLast(e => e.type === 'transcript' && e.role === 'user').text")
        assert WISH in said.lower()
        await page.until("heard.filter(h => h.rms > 0.02).length > 20")
        [resumed] = await tape.messages(page.page, "resumed")
        assert resumed["turn"] == 1
        assert await tape.messages(page.page, "error") == []
        [stream] = understanding.streams[before:]
        recording = understanding.recording(stream.stream_id)
        # The model knows what was said before, and heard all of the wish.
        assert [message.text for message in recording.history][:1] == ["Hello"]
        assert tape.loud_seconds(recording.pcm) > 0.7 * tape.loud_seconds(wish)
        page.console[:] = without_attempts(page.console)
