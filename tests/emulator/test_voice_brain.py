"""The storyteller over the real wire."""

from types import SimpleNamespace

import pytest

import novasonic
from novasonic.emulator import Emulator
from novasonic.emulator.voice.brain import NOT_UNDERSTOOD
from novasonic.emulator.voice.espeak import Speaker, Voice

pytestmark = pytest.mark.slow

# Understood at 0.99 and better whatever silence precedes it; voices near the bound are for test_voice_hearing.
VOICE = Voice("en-us+f2", 150, 40)


def said(events, role):
    return [event.text for event in events if isinstance(event, novasonic.Transcript) and event.role == role]


def ended(event):
    return isinstance(event, novasonic.TurnEnded)


async def test_it_goes_on_where_the_history_ends_on_a_new_stream(until):
    async with Emulator("voice") as emulator:
        async with emulator.client().connect() as session:
            await session.send_text("Tell me a story, please.")
            first = said(await until(session, ended), "assistant")
        history = [
            novasonic.Message("user", "Tell me a story, please."),
            novasonic.Message("assistant", " ".join(first)),
        ]
        async with emulator.client().connect(history=history) as session:
            session.feed(Speaker().speak("Go to the lighthouse", VOICE, 16_000), realtime=False)
            events = await until(session, ended)
    assert said(events, "user") == ["go to the lighthouse"]
    assert said(events, "assistant")[0].startswith("The door of the lighthouse")


@novasonic.tool
async def next_chapter() -> dict:
    """Get the next chapter."""
    return {"text": "A chapter from elsewhere. It is short.", "choices": ["open the door"]}


@pytest.fixture
def remember_choice():
    kept = []

    @novasonic.tool(name="remember_choice")
    async def remember(choice: str) -> dict:
        """Remember what the listener chose."""
        kept.append(choice)
        return {"remembered": choice}

    return SimpleNamespace(tool=remember, kept=kept)


async def test_it_tells_the_clients_story_where_there_is_one(until, remember_choice):
    async with (
        Emulator("voice") as emulator,
        emulator.client().connect(tools=[next_chapter, remember_choice.tool]) as session,
    ):
        session.feed(Speaker().speak("Tell me a story", VOICE, 16_000), realtime=False)
        events = await until(session, ended)
        assert said(events, "user") == ["tell me a story"]
        assert " ".join(said(events, "assistant")) == (
            "A chapter from elsewhere. It is short. You can say: open the door."
        )
        await session.send_text("Open the door!")
        events = await until(session, ended)
    assert remember_choice.kept == ["open the door"]
    calls = [event.name for event in events if isinstance(event, novasonic.ToolCall)]
    assert calls == ["remember_choice", "next_chapter"]


async def test_it_goes_on_by_itself_where_a_tool_fails(until):
    @novasonic.tool(name="next_chapter")
    async def broken() -> dict:
        """Get the next chapter."""
        raise novasonic.ToolError("No story.")

    async with Emulator("voice") as emulator, emulator.client().connect(tools=[broken]) as session:
        await session.send_text("tell me a story")
        events = await until(session, ended)
    assert said(events, "assistant")[0].startswith("You stand on a cold grey shore")


async def test_it_says_when_it_did_not_understand(until):
    async with Emulator("voice") as emulator, emulator.client().connect() as session:
        session.feed(Speaker().speak("The train leaves at half past nine", VOICE, 16_000), realtime=False)
        events = await until(session, ended)
    assert said(events, "user") == [NOT_UNDERSTOOD]
    assert said(events, "assistant")[0] == "I am sorry, I did not understand that."
    assert any(isinstance(event, novasonic.AudioOutput) for event in events)


async def test_it_hears_the_choices_that_the_clients_prompt_quotes(until, remember_choice):
    system = 'You are a storyteller. The choices are "wake the sleeping owl" and "follow the silver fox".'
    async with (
        Emulator("voice") as emulator,
        emulator.client().connect(system=system, tools=[next_chapter, remember_choice.tool]) as session,
    ):
        session.feed(Speaker().speak("Wake the sleeping owl", VOICE, 16_000), realtime=False)
        events = await until(session, ended)
    assert said(events, "user") == ["wake the sleeping owl"]
    assert remember_choice.kept == ["wake the sleeping owl"]
    assert said(events, "assistant")[0] == "A chapter from elsewhere."
