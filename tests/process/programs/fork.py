"""Forks while a session streams; parent and child both go on, each with what is its own."""

import asyncio
import gc
import os
import sys
import threading
import warnings

import novasonic

CHUNK = bytes(1_024)
CHILD_CODE = 5


async def echo_once(session, number):
    sent = number.to_bytes(2, "little") * 512
    await session.send_audio(sent)
    heard = b""
    async with asyncio.timeout(20):
        async for event in session:
            if isinstance(event, novasonic.AudioOutput):
                heard += event.pcm
            if heard == sent:
                return


async def new_conversation():
    async with novasonic.NovaSonic().connect() as session:
        await echo_once(session, 1)


def refuses(call):
    try:
        call()
    except novasonic.ForkError as error:
        refusal = error
    else:
        raise AssertionError("expected ForkError")
    assert str(os.getpid()) in str(refusal), refusal
    assert str(os.getppid()) in str(refusal), refusal
    assert refusal.cure


def child(client, sessions):
    refuses(lambda: sessions[0].try_send_audio(CHUNK))
    refuses(lambda: sessions[0].mute(True))
    refuses(sessions[0].stats)

    async def use_the_parents():
        refuses(lambda: sessions[0].try_send_audio(CHUNK))
        await client.connect()

    refuses(lambda: asyncio.run(use_the_parents()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sessions.clear()
        gc.collect()
    asyncio.run(new_conversation())


async def wait_for_child(pid, session):
    number = 3
    waiting = asyncio.create_task(asyncio.to_thread(os.waitpid, pid, 0))
    while not waiting.done():
        await echo_once(session, number)
        number = number % 1_000 + 1
    assert os.waitstatus_to_exitcode(waiting.result()[1]) == CHILD_CODE
    await session.aclose()


async def fork_in_a_coroutine():
    """As multiprocessing does: the child never returns to the loop, which is its parent's."""
    client = novasonic.NovaSonic()
    sessions = [await client.connect()]
    await echo_once(sessions[0], 2)
    pid = os.fork()
    if pid == 0:
        child(client, sessions)
        os._exit(CHILD_CODE)
    await wait_for_child(pid, sessions[0])


def fork_beside_a_loop():
    """As a server's main thread does; the child leaves by way of its exit handlers."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    client = novasonic.NovaSonic()

    async def begin():
        session = await client.connect()
        await echo_once(session, 2)
        return session

    sessions = [asyncio.run_coroutine_threadsafe(begin(), loop).result()]
    pid = os.fork()
    if pid == 0:
        child(client, sessions)
        sys.exit(CHILD_CODE)
    asyncio.run_coroutine_threadsafe(wait_for_child(pid, sessions[0]), loop).result()


def fork_untouched():
    """Importing and configuring starts nothing that a child would miss."""
    novasonic.NovaSonic(region="us-east-1")
    pid = os.fork()
    asyncio.run(new_conversation())
    if pid:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


if __name__ == "__main__":
    match sys.argv[1]:
        case "in-a-coroutine":
            asyncio.run(fork_in_a_coroutine())
        case "beside-a-loop":
            fork_beside_a_loop()
        case "untouched":
            fork_untouched()
