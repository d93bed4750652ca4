"""One conversation after the other with whatever service, keys and proxies the environment names.

Each is opened while those before it are live; at the end every one of them is spoken to. Prints how it went as JSON.
Arguments: the number of conversations, and the profile, if the program is to name one itself.
"""

import asyncio
import contextlib
import json
import sys
import time

import novasonic


async def reply(session):
    await session.send_text("Who are you?")
    async for event in session:
        if isinstance(event, novasonic.TurnEnded):
            return True
    return False


async def main(count, profile):
    client = novasonic.NovaSonic(profile=profile)
    began = time.monotonic()
    try:
        async with contextlib.AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(client.connect()) for _ in range(count)]
            return {"replies": [await reply(session) for session in sessions]}
    except novasonic.NovaSonicError as error:
        return {
            "error": type(error).__name__,
            "code": error.code,
            "said": str(error),
            "retryable": error.retryable,
            "seconds": time.monotonic() - began,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), *(sys.argv[2:] or [None])))))
