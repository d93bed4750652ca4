"""Two hundred conversations lose all of their connections at once, ten times, and go on."""

import asyncio
import gc
import time
from pathlib import Path

import pytest

import novasonic
from novasonic.emulator import Emulator, Fault

pytestmark = pytest.mark.slow

CONVERSATIONS = 200
DISCONNECTS = 10
MOST_LEFT_MIB = 20


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


class Talk:
    """One conversation, whose reader counts what matters."""

    def __init__(self, session):
        self.session = session
        self.ended_turns = 0
        self.renewed = []
        self.news = asyncio.Event()

    async def read(self):
        async for event in self.session:
            match event:
                case novasonic.TurnEnded():
                    self.ended_turns += 1
                case novasonic.Renewed():
                    self.renewed.append(event.seconds)
            self.news.set()

    async def until(self, holds):
        while not holds():
            self.news.clear()
            await self.news.wait()

    async def exchange(self, text):
        before = self.ended_turns
        await self.session.send_text(text)
        await self.until(lambda: self.ended_turns > before)


async def disconnect_all(emulator, talks, round_number):
    before = [len(talk.renewed) for talk in talks]
    lost = emulator.commit(Fault.tcp_reset())
    assert lost == CONVERSATIONS, f"round {round_number}: {lost} streams were alive"
    began = time.monotonic()
    async with asyncio.timeout(30):
        # One may meet a connection that is going too, and go on twice.
        for talk, renewals in zip(talks, before, strict=True):
            await talk.until(lambda talk=talk, renewals=renewals: len(talk.renewed) > renewals)
        took = time.monotonic() - began
        await asyncio.gather(*(talk.exchange("Hello again.") for talk in talks))
        return took


@pytest.mark.timeout(240)
def test_all_conversations_outlive_ten_mass_disconnects():
    async def main():
        async with Emulator(brain="parrot", speed=20) as emulator:
            client = emulator.client()
            async with asyncio.timeout(60):
                # Once for what is made once, so that it is not taken for a leak.
                async with client.connect() as session:
                    assert session.id
                before = None
                talks = [Talk(await client.connect()) for _ in range(CONVERSATIONS)]
            readers = [asyncio.create_task(talk.read()) for talk in talks]
            await asyncio.gather(*(talk.exchange("Hello.") for talk in talks))
            took = []
            for round_number in range(1, DISCONNECTS + 1):
                took.append(await disconnect_all(emulator, talks, round_number))
                if round_number == 2:
                    before = resident_mib()
            after = resident_mib()
            await asyncio.gather(*(talk.exchange("Are you there?") for talk in talks))
            assert all(talk.session.error is None for talk in talks)
            assert all(len(talk.session.transcript) >= 4 for talk in talks)
            await asyncio.gather(*(talk.session.aclose() for talk in talks))
            await asyncio.gather(*readers)
        gc.collect()
        return took, before, after, talks

    took, before, after, talks = asyncio.run(main())
    each = sorted(seconds for talk in talks for seconds in talk.renewed)
    print(
        f"{CONVERSATIONS} conversations, {DISCONNECTS} mass disconnects: all on again after {max(took):.2f} s at most; "
        f"each {1000 * each[len(each) // 2]:.0f} ms (median), {1000 * each[int(len(each) * 0.99)]:.0f} ms (p99); "
        f"memory {before:.0f} MiB after the second, {after:.0f} MiB after the last"
    )
    assert after - before < MOST_LEFT_MIB
