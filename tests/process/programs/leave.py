"""Leaves the interpreter while sessions stream, in the way that its argument names."""

import asyncio
import os
import signal
import sys
import threading

import novasonic
from novasonic.emulator import Emulator

CHUNK = bytes(1_024)
kept = []


async def stream(session):
    async def send():
        while True:
            await session.send_audio(CHUNK)
            await asyncio.sleep(0.002)

    kept.append(asyncio.create_task(send()))
    count = 0
    async for event in session:
        count += isinstance(event, novasonic.AudioOutput)
        if count == 20:
            return


async def converse():
    client = novasonic.NovaSonic()
    sessions = [await client.connect() for _ in range(3)]
    kept.extend(sessions)
    await asyncio.gather(*(stream(session) for session in sessions))


async def lose_the_service():
    with Emulator(brain="echo") as emulator:
        sessions = [await emulator.client().connect() for _ in range(3)]
        kept.extend(sessions)
        await asyncio.gather(*(stream(session) for session in sessions))
    async for event in sessions[0]:
        if isinstance(event, novasonic.Renewing):
            return


async def main(how):
    if how == "while-opening":
        client = novasonic.NovaSonic()
        kept.extend(asyncio.ensure_future(client.connect()) for _ in range(20))
        await asyncio.sleep(0.01)
        return
    if how.endswith("while-recovering"):
        await lose_the_service()
    else:
        await converse()
    if how == "sys-exit":
        sys.exit(7)
    if how == "exception":
        raise LookupError("on purpose")
    if how == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)
    if how.startswith("terminate"):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(10)


async def for_ever(streaming):
    await converse()
    streaming.set()
    await asyncio.sleep(3_600)


if __name__ == "__main__":
    how = sys.argv[1]
    if how == "daemon-thread":
        streaming = threading.Event()
        threading.Thread(target=lambda: asyncio.run(for_ever(streaming)), daemon=True).start()
        streaming.wait(30)
    elif how == "loop-left-running":
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main(how))
        kept.append(loop)
    else:
        asyncio.run(main(how))
