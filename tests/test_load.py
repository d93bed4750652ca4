"""Hundreds of conversations in one process, at the pace of a microphone."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import novasonic
from novasonic.emulator import Emulator

SERVE = Path(__file__).parent / "process/programs/serve.py"
CONVERSATIONS = 200
CHUNKS = 250
CHUNK_BYTES = 1_024
PERIOD_SECONDS = 0.032


@pytest.fixture
def serving():
    with subprocess.Popen([sys.executable, str(SERVE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


@pytest.fixture
def debug_off(monkeypatch):
    # Debug mode wraps every callback of the loop, which is what is measured here.
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "")


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


async def converse(client, phase, ready):
    round_trips, sent_at, refused, heard = [], {}, 0, b""
    async with client.connect(output_rate=16_000) as session:
        ready.release()

        async def send():
            nonlocal refused
            clock = asyncio.get_running_loop().time
            due = phase
            # From 1: a chunk never begins with a zero byte, as the silence does that the core adds before the first.
            for number in range(1, CHUNKS + 1):
                await asyncio.sleep(max(0.0, due - clock()))
                sent_at[number] = time.perf_counter()
                refused += not session.try_send_audio(number.to_bytes(4, "little") * (CHUNK_BYTES // 4))
                due += PERIOD_SECONDS

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            async for event in session:
                if not isinstance(event, novasonic.AudioOutput):
                    continue
                now = time.perf_counter()
                heard = (heard + event.pcm).lstrip(b"\0")
                while len(heard) >= CHUNK_BYTES:
                    round_trips.append(now - sent_at[int.from_bytes(heard[:4], "little")])
                    heard = heard[CHUNK_BYTES:].lstrip(b"\0")
                if len(round_trips) == CHUNKS:
                    break
    return round_trips, refused


@pytest.mark.slow
@pytest.mark.skipif("COVERAGE_RUN" in os.environ, reason="the figures would be those of the tracer")
def test_two_hundred_paced_conversations_in_one_process(debug_off, serving):
    async def run():
        keys = Emulator().credentials
        client = novasonic.NovaSonic(
            region="us-east-1", credentials=keys, endpoint_url=serving["url"], ca_bundle=serving["ca_bundle"]
        )
        ready = asyncio.Semaphore(0)
        begin = asyncio.get_running_loop().time() + 5
        tasks = [
            asyncio.create_task(converse(client, begin + PERIOD_SECONDS * number / CONVERSATIONS, ready))
            for number in range(CONVERSATIONS)
        ]
        async with asyncio.timeout(60):
            for _ in tasks:
                await ready.acquire()
        late = asyncio.get_running_loop().time() - begin
        cpu = time.process_time()
        async with asyncio.timeout(60):
            results = await asyncio.gather(*tasks)
        return results, late, time.process_time() - cpu

    results, late, cpu = asyncio.run(run(), debug=False)
    round_trips = sorted(seconds for trips, _ in results for seconds in trips)
    refused = sum(refused for _, refused in results)
    figures = {name: round(1000 * percentile(round_trips, share), 1) for name, share in (("p50", 0.5), ("p99", 0.99))}
    print(
        f"{CONVERSATIONS} conversations, {len(round_trips)} chunks: {figures} ms, max {1000 * round_trips[-1]:.0f} ms, "
        f"CPU {1e6 * cpu / len(round_trips):.0f} us a chunk, refused {refused}"
    )
    assert late < 0, "opening took longer than the test allows for; chunks began in a burst"
    assert refused == 0
    assert len(round_trips) == CONVERSATIONS * CHUNKS
    assert figures["p99"] < 50
