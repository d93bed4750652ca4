"""Calls of tools on their way from the core to the toolbox and back."""

import asyncio
import gc

from bridgesupport import open_session

import novasonic
from novasonic import SessionClosedError


async def test_a_result_that_comes_too_late_is_dropped_in_silence(core, caplog):
    done = asyncio.Event()

    @novasonic.tool
    async def lookup() -> str:
        await done.wait()
        return "found"

    session = open_session(core, tools=[lookup])
    core.call_tool("call-1", "lookup")
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(session.aclose())
    await asyncio.sleep(0)
    # As the core does from the moment a close (or a limit) is asked for.
    core.failure = SessionClosedError("The session is closed.", code="closed")
    done.set()
    await asyncio.sleep(0.01)
    core.end()
    await closing
    gc.collect()
    assert (core.results, caplog.records) == ([], [])


async def test_no_tool_begins_after_the_end(core):
    began = []

    @novasonic.tool
    async def lookup() -> None:
        began.append(True)
        await asyncio.sleep(60)

    session = open_session(core, tools=[lookup])
    # Both in one look: the end came while the loop was busy.
    core.call_tool("call-1", "lookup")
    core.end()
    await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        await session.aclose()
    assert began == []


async def test_a_tool_may_close_its_own_session(core):
    sessions = []

    @novasonic.tool
    async def hang_up() -> None:
        core.end()
        await sessions[0].aclose()

    sessions.append(open_session(core, tools=[hang_up]))
    core.call_tool("call-1", "hang_up")
    async with asyncio.timeout(5):
        seen = [type(event).__name__ async for event in sessions[0]]
        await sessions[0].aclose()
    assert seen == ["SessionEnded"]
