"""The storyteller over the real wire."""

import novasonic
from novasonic.emulator import Emulator
from novasonic.emulator.voice.brain import NOT_UNDERSTOOD
from novasonic.emulator.voice.espeak import Speaker, Voice

VOICE = Voice("en-us+m3", 150, 40)


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


async def test_it_says_when_it_did_not_understand(until):
    async with Emulator("voice") as emulator, emulator.client().connect() as session:
        session.feed(Speaker().speak("The train leaves at half past nine", VOICE, 16_000), realtime=False)
        events = await until(session, ended)
    assert said(events, "user") == [NOT_UNDERSTOOD]
    assert said(events, "assistant")[0] == "I am sorry, I did not understand that."
    assert any(isinstance(event, novasonic.AudioOutput) for event in events)
