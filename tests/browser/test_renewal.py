"""The stream of the service is replaced while its last answer still plays: nobody hears it."""

from itertools import pairwise

import pytest
import tape
from networksite import worker

from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

RATE = 16_000
SECOND = bytes(RATE * 2)
ANSWER_SECONDS = 7.0
RENEW_SECONDS = 2.0
LONGEST_GAP_MS = 60
TURNS = 4


@pytest.fixture(scope="module")
def singing():
    with Emulator(brain=tape.singer(ANSWER_SECONDS), record=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def restless(singing, tmp_path_factory):
    """A site whose streams are old after two seconds."""
    continuation = {"renew_after": RENEW_SECONDS, "force_after": 400.0}
    with worker(singing, tmp_path_factory.mktemp("net"), continuation=continuation) as running:
        yield running


async def test_a_renewal_under_an_answer_leaves_no_gap_of_60_ms_in_what_is_played(singing, restless, visit):
    before = len(singing.streams)
    async with visit(restless, microphone=b"") as page:
        await tape.tap(page.page)
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        for number in range(1, TURNS + 1):
            await page.page.evaluate(f"{tape.NOVA}.sendText('Sing')")
            await page.until(f"events.some(e => e.type === 'turn_started' && e.turn === {number})")
            await page.until("states.at(-1) === 'speaking'")
            await page.until("states.at(-1) === 'listening'")
        told = await tape.messages(page.page)
        states = await page.page.evaluate("tap.states")
        heard = await tape.played(page.page)
    speaking = [(one["at"], after["at"]) for one, after in pairwise(states) if one["state"] == "speaking"]
    renewals = [message["at"] for message in told if message["type"] == "renewed"]
    reasons = {message["reason"] for message in told if message["type"] == "renewing"}
    under_an_answer = [any(begin < at < end for begin, end in speaking) for at in renewals]
    gaps = heard.gaps_ms(answer_seconds=ANSWER_SECONDS)
    print(
        f"{sum(under_an_answer)} of {len(renewals)} renewals under an answer, gaps of {[round(ms) for ms in gaps]} ms"
    )
    assert reasons == {"age"}
    assert sum(under_an_answer) >= 2
    assert len(singing.streams) - before > sum(under_an_answer)
    assert heard.heard_seconds() == pytest.approx(TURNS * ANSWER_SECONDS, abs=0.1), "all of each answer is heard"
    assert max(gaps, default=0.0) <= LONGEST_GAP_MS


async def test_who_speaks_through_a_renewal_is_heard_whole(singing, restless, visit, say):
    before = len(singing.streams)
    words = say("And now I would like to go on talking for as long as I can, whatever happens to the line meanwhile.")
    async with visit(restless, microphone=SECOND * 3 + words + SECOND * 20) as page:
        await tape.tap(page.page)
        await page.talk()
        await page.hears_the_microphone()
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user')")
        await page.until("states.at(-1) === 'speaking'")
        replayed_ms = [message["replayedMs"] for message in await tape.messages(page.page, "renewed")]
        assert await tape.messages(page.page, "error") == []
        assert not await page.probe("events.some(e => e.type === 'interrupted')")
        assert await page.probe("events.filter(e => e.type === 'transcript' && e.role === 'user').length") == 1
    assert any(replayed_ms), "one fell into the words"
    heard = [tape.loud_seconds(singing.recording(report.stream_id).pcm) for report in singing.streams[before:]]
    print(f"of {tape.loud_seconds(words):.2f} s the streams heard {heard}, {sum(replayed_ms)} ms of it twice")
    assert max(heard) > 0.8 * tape.loud_seconds(words)
