"""Ends while code of the user's hangs in a thread: a tool, a source of audio, a credentials callable."""

import asyncio
import os
import sys
import threading

import novasonic
from novasonic._toolbox import Toolbox

began = threading.Event()


def hang(*_):
    began.set()
    threading.Event().wait(50)


@novasonic.tool
def lookup() -> None:
    hang()


async def main(what):
    if what == "tool":
        calling = asyncio.create_task(Toolbox([lookup]).run("call-1", "lookup", "{}", 1))
    elif what == "credentials":
        client = novasonic.NovaSonic(credentials=hang)
        calling = asyncio.ensure_future(client.connect())
    else:
        session = await novasonic.NovaSonic().connect()
        # A pipe into which nobody writes, as a microphone's.
        source, _ = os.pipe()
        calling = session.feed(os.fdopen(source, "rb"))
        began.set()
    await asyncio.to_thread(began.wait)
    await asyncio.sleep(0.1)
    assert not calling.done()
    if what == "source":
        await session.aclose()
    calling.cancel()


asyncio.run(main(sys.argv[1]))
