"""The service's process is killed: conversations wait for the next one, for so long, and leave nothing behind."""

import asyncio
import json
import signal
import socket
import subprocess
import sys

import pytest

import novasonic
from novasonic import Continuation, Credentials

pytestmark = pytest.mark.slow

CONVERSATIONS = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def serve():
    """Starts an emulator in a process of its own, at the port given."""
    processes = []

    def serve(port):
        command = [sys.executable, "-m", "novasonic", "emulator", "--brain", "parrot", "--speed", "20", "--json"]
        process = subprocess.Popen([*command, "--http-port", str(port)], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, json.loads(process.stdout.readline())

    yield serve
    for process in processes:
        process.kill()
        process.communicate()


def client_of(told):
    return novasonic.NovaSonic(
        region=told["region"],
        credentials=Credentials(told["access_key_id"], told["secret_access_key"]),
        endpoint_url=told["http"],
    )


async def read(session, ended_turns, renewed):
    async for event in session:
        match event:
            case novasonic.TurnEnded():
                ended_turns.put_nowait(event.turn)
            case novasonic.Renewed():
                renewed.set()


@pytest.mark.timeout(120)
async def test_conversations_go_on_with_the_next_process(serve):
    port = free_port()
    process, told = serve(port)
    client = client_of(told)
    sessions = [await client.connect() for _ in range(CONVERSATIONS)]
    turns = [asyncio.Queue() for _ in sessions]
    renewals = [asyncio.Event() for _ in sessions]
    readers = [asyncio.create_task(read(*parts)) for parts in zip(sessions, turns, renewals, strict=True)]
    async with asyncio.timeout(60):
        for text in ("Hello.", "Still there?"):
            for session, ended in zip(sessions, turns, strict=True):
                await session.send_text(text)
                await ended.get()
            if text == "Hello.":
                process.send_signal(signal.SIGKILL)
                process.wait()
                # Said while nobody hears it.
                for session in sessions:
                    await session.send_text("Anybody?")
                serve(port)
                for renewed, ended in zip(renewals, turns, strict=True):
                    await renewed.wait()
                    await ended.get()
        await asyncio.gather(*(session.aclose() for session in sessions))
        await asyncio.gather(*readers)
    for session in sessions:
        said = [entry.text for entry in session.transcript if entry.role == "user"]
        assert said == ["Hello.", "Anybody?", "Still there?"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.timeout(60)
async def test_a_conversation_that_cannot_go_on_says_what_it_met(serve):
    process, told = serve(free_port())
    client = client_of(told)
    async with client.connect(continuation=Continuation(attempts=3)) as session, asyncio.timeout(30):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(novasonic.ConnectError) as failed:
            async for _ in session:
                pass
    assert failed.value is session.error
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.timeout(60)
async def test_a_close_does_not_wait_for_a_service_that_is_gone(serve):
    process, told = serve(free_port())
    async with client_of(told).connect() as session:
        process.send_signal(signal.SIGKILL)
        process.wait()
        async for event in session:
            if isinstance(event, novasonic.Renewing):
                break
        async with asyncio.timeout(3):
            await session.aclose()
    assert session.error is None
    assert asyncio.all_tasks() == {asyncio.current_task()}
