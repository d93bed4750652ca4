"""A whole conversation at the rates of a sound card: what the service hears, and what the caller."""

import asyncio
import random

import numpy as np
import pytest

from novasonic import AudioOutput, TurnEnded
from novasonic.audio import resample
from novasonic.emulator import Emulator


def noise(seconds, rate, seed):
    """Loud, and nowhere the same."""
    values = np.random.default_rng(seed).normal(0, 6_000, int(seconds * rate))
    return np.clip(values, -30_000, 30_000).astype("<i2").tobytes()


async def converse(input_rate, output_rate, speech, reply):
    """Say `speech` in pieces of any size. Give what the brain heard, its rate, and what it was heard to answer."""
    heard = asyncio.Queue()

    async def brain(turn):
        heard.put_nowait((turn.pcm, turn.rate, turn.output_rate))
        await turn.say("So I heard.", reply)

    async with Emulator(brain=brain) as emulator:
        connecting = emulator.client().connect(input_rate=input_rate, output_rate=output_rate, turn_taking="high")
        async with connecting as session, asyncio.timeout(20):
            seed = random.randrange(2**32)
            print("seed", seed)
            cuts = random.Random(seed)
            at = 0
            while at < len(speech):
                size = 2 * cuts.choice([1, 7, 160, 441, 1_024, 4_096])
                await session.send_audio(speech[at : at + size])
                at += size
            answer, rates = b"", set()
            async for event in session:
                if isinstance(event, AudioOutput):
                    answer += event.pcm
                    rates.add(event.rate)
                if isinstance(event, TurnEnded):
                    break
        return heard.get_nowait(), answer, rates


async def check(device, up, down):
    speech, reply = noise(1.0, device, 1), noise(0.5, down, 2)
    (pcm, rate, output_rate), answer, rates = await converse(device, device, speech, reply)
    assert (rate, output_rate, rates) == (up, down, {device})
    # Silence follows, which the core adds where no frame comes.
    said = resample(speech + bytes(2 * 4 * device), device, up)
    at = said.find(pcm[:400])
    assert at % 2 == 0, f"{device} Hz: what was heard was never said"
    assert said[at : at + len(pcm)] == pcm, f"{device} Hz"
    assert at <= 2 * up * 0.1
    assert at + len(pcm) >= 2 * up * 0.95
    assert answer == resample(reply, down, device), f"{device} Hz"


@pytest.mark.slow
async def test_at_the_services_rates_every_bit_of_it_arrives():
    await asyncio.gather(*(check(rate, rate, rate) for rate in (8_000, 16_000, 24_000)))


@pytest.mark.slow
async def test_at_any_other_rate_it_arrives_as_one_stream_to_its_last_sample():
    await asyncio.gather(*(check(rate, 16_000, 24_000) for rate in (11_025, 44_056, 44_100, 48_000, 192_000)))
