"""Forks while a raw stream is open; the child refuses it, opens its own, and leaves the parent's alone."""

import asyncio
import gc
import os
import warnings

import novasonic

CHILD_CODE = 5
SESSION_START = {"event": {"sessionStart": {}}}


async def opened(client):
    stream = await client.open_stream()
    await stream.send(SESSION_START)
    await stream.opened()
    return stream


def refuses(call):
    try:
        call()
    except novasonic.ForkError as error:
        refusal = error
    else:
        raise AssertionError("expected ForkError")
    assert str(os.getppid()) in str(refusal), refusal


def child(client, streams):
    refuses(lambda: streams[0].try_send(SESSION_START))
    refuses(streams[0].stats)

    async def use_the_parents():
        for call in (lambda: streams[0].send(b"{}"), streams[0].end_input, streams[0].aclose, lambda: opened(client)):
            try:
                await call()
            except novasonic.ForkError:
                continue
            raise AssertionError("expected ForkError")

    asyncio.run(use_the_parents())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        streams.clear()
        gc.collect()

    async def own():
        stream = await opened(novasonic.NovaSonic())
        await stream.aclose()

    asyncio.run(own())


async def main():
    client = novasonic.NovaSonic()
    streams = [await opened(client)]
    pid = os.fork()
    if pid == 0:
        child(client, streams)
        os._exit(CHILD_CODE)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == CHILD_CODE
    # It still speaks: the service refuses the second sessionStart of the same stream.
    await streams[0].send(SESSION_START)
    try:
        async for _ in streams[0]:
            pass
    except novasonic.ValidationError as error:
        refusal = str(error)
    else:
        raise AssertionError("expected ValidationError")
    assert "sessionStart was sent before" in refusal, refusal


if __name__ == "__main__":
    asyncio.run(main())
