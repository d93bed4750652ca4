"""A network that jitters and stalls, between a real page and a real server: what is heard of it."""

import asyncio

import pytest
import tape
from line import Line
from networksite import Address, worker

from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

JITTER_MS = 100
STALL_SECONDS = 0.3
ANSWERS = 14
ANSWER_SECONDS = 5.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    singing = Emulator(brain=tape.singer(ANSWER_SECONDS))
    with singing as emulator, worker(emulator, tmp_path_factory.mktemp("net")) as running:
        yield running


async def ask(page, number):
    """Type something; returns once its answer is heard."""
    await page.page.evaluate(f"{tape.NOVA}.sendText('Sing')")
    await page.until(f"events.some(e => e.type === 'turn_started' && e.turn === {number})")
    await page.until("states.at(-1) === 'speaking'")


@pytest.mark.timeout(240)
async def test_jitter_of_100_ms_and_stalls_of_300_ms_are_heard_less_than_once_a_minute(site, visit):
    async with Line(site.port) as line, visit(Address(line.port), microphone=b"") as page:
        await tape.tap(page.page)
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        line.jitter_ms = JITTER_MS
        for number in range(1, ANSWERS + 1):
            await ask(page, number)
            # Not into the very first words: no lead that is worth its wait covers that.
            await asyncio.sleep(line.chance.uniform(0.3, 3.0))
            line.stall(STALL_SECONDS)
            await page.until("states.at(-1) === 'listening'")
        heard = await tape.played(page.page)
        underruns = await page.page.evaluate(f"{tape.NOVA}.counts.underruns")
    minutes = heard.heard_seconds() / 60
    gaps = heard.gaps_ms(answer_seconds=ANSWER_SECONDS)
    print(f"{minutes:.2f} min of answers, {underruns} underruns, gaps of {[round(ms) for ms in gaps]} ms")
    assert minutes == pytest.approx(ANSWERS * ANSWER_SECONDS / 60, rel=0.01), "nothing is left out"
    assert underruns / minutes < 1
    assert len(gaps) / minutes < 1
