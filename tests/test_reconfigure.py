"""Another prompt, voice or set of tools in mid conversation."""

import asyncio
from contextlib import asynccontextmanager

import pytest

import novasonic
from novasonic.emulator import Emulator


@novasonic.tool
def look() -> str:
    """Look at the sky."""
    return "blue"


@asynccontextmanager
async def talking():
    """A session, what its service's brain saw of each turn, and how to have a turn."""
    seen = []

    async def brain(turn):
        seen.append((turn.system, turn.voice, turn.tools))
        await turn.say("Yes.")

    async with Emulator(brain=brain, speed=20) as emulator, emulator.client().connect(system="Be brief.") as session:

        async def read():
            async for _ in session:
                pass

        reader = asyncio.create_task(read())

        async def exchange():
            await session.send_text("Well?")
            await session.turn_ended(len(seen) + 1)

        async with asyncio.timeout(30):
            yield session, seen, exchange
            await session.aclose()
            await reader
        assert session.error is None


async def test_the_conversation_goes_on_with_what_was_asked_for():
    async with talking() as (session, seen, exchange):
        await exchange()
        await session.reconfigure(voice="matthew", tools=[look])
        await exchange()
        await session.reconfigure(system="Be long.")
        await exchange()
        assert seen == [
            ("Be brief.", "tiffany", ()),
            ("Be brief.", "matthew", ("look",)),
            ("Be long.", "matthew", ("look",)),
        ]
        assert len(session.transcript) == 6


async def test_what_the_service_refuses_is_raised_and_the_conversation_stays_as_it_was():
    async with talking() as (session, seen, exchange):
        with pytest.raises(novasonic.ValidationError, match="voiceId"):
            await session.reconfigure(system="Be long.", voice="nobody")
        await exchange()
        await session.reconfigure(voice="matthew")
        await exchange()
        assert seen == [("Be brief.", "tiffany", ()), ("Be brief.", "matthew", ())]
