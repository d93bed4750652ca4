"""A service whose process stops: its kernel still takes bytes, so only silence tells."""

import asyncio
import json
import signal
import subprocess
import sys
import time

import pytest

import novasonic
from novasonic import Credentials

# What the documentation promises; two seconds by design, less what was silent before.
PROMISED = 2.5
SOONEST = 0.9

CHUNK = bytes(1024)
CHUNK_SECONDS = 0.032


@pytest.fixture
def service():
    """An emulator of its own process, which may be stopped."""
    command = [sys.executable, "-m", "novasonic", "emulator", "--brain", "echo", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture
def client(service):
    told = json.loads(service.stdout.readline())
    return novasonic.NovaSonic(
        region=told["region"],
        credentials=Credentials(told["access_key_id"], told["secret_access_key"]),
        endpoint_url=told["https"],
        ca_bundle=told["ca"],
    )


async def end_of(session):
    """When, by what, and after which events a session ends."""
    with pytest.raises(novasonic.NovaSonicError) as failed:
        async for _ in session:
            pass
    return time.monotonic(), failed.value


async def talk(session):
    while True:
        try:
            session.try_send_audio(CHUNK)
        except novasonic.NovaSonicError:
            return
        await asyncio.sleep(CHUNK_SECONDS)


@pytest.mark.slow
async def test_a_stopped_service_is_noticed_by_all_of_its_sessions_in_time(client, service):
    alone = {"continuation": None}
    async with client.connect(**alone) as talking, client.connect(**alone) as silent:
        # A peer that answers is left alone: for longer than it takes to miss one that does not.
        reading = [asyncio.create_task(end_of(session)) for session in (talking, silent)]
        speaking = asyncio.create_task(talk(talking))
        await asyncio.sleep(0.5)
        # Nor does a loop of ours that blocks change anything: what watches are threads.
        time.sleep(PROMISED + 0.5)  # noqa: ASYNC251
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in reading)

        service.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*reading, speaking)
        for ended, error in ends[:2]:
            assert (type(error), error.code, error.retryable) == (novasonic.StreamLostError, "peer_silent", True)
            assert error.request_id
            assert SOONEST < ended - began < PROMISED, ended - began


@pytest.mark.slow
async def test_a_stop_shorter_than_the_bound_costs_nothing(client, service):
    async with client.connect(continuation=None) as session:
        speaking = asyncio.create_task(talk(session))
        reading = asyncio.create_task(end_of(session))
        await asyncio.sleep(0.3)
        service.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.7)
        service.send_signal(signal.SIGCONT)
        await asyncio.sleep(2.5)
        assert not reading.done()
        await session.aclose()
        reading.cancel()
        speaking.cancel()
        await asyncio.gather(reading, speaking, return_exceptions=True)
