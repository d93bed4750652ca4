"""Brains in Python and scripts, over the real wire."""

import asyncio

import pytest

import novasonic
from novasonic.emulator import Emulator


def ended(event):
    return isinstance(event, novasonic.TurnEnded)


def was_heard(text):
    """The emulator remembers a sentence once it was played, as the service does."""
    return lambda event: isinstance(event, novasonic.Transcript) and event.final and event.text.endswith(text)


def texts(events, role):
    return [event.text for event in events if isinstance(event, novasonic.Transcript) and event.role == role]


async def test_a_typed_turn_carries_what_the_stream_carries(until):
    turns = []

    async def brain(turn):
        turns.append(turn)
        await turn.say("First.")
        await turn.say("Second.", bytes(8_000))

    history = [novasonic.Message("user", "Before."), novasonic.Message("assistant", "Indeed.")]
    async with (
        Emulator(brain, speed=20) as emulator,
        emulator.client().connect(
            system="Be brief.", voice="matthew", input_rate=24_000, output_rate=8_000, history=history
        ) as session,
    ):
        await session.send_text("And now?")
        events = await until(session, was_heard("Second."))
        assert texts(events, "assistant")[:2] == ["First.", "Second."]
        assert {event.rate for event in events if isinstance(event, novasonic.AudioOutput)} == {8_000}
        await session.send_text("And then?")
        await until(session, ended)
    first, second = turns
    assert (first.text, first.pcm, first.rate, first.output_rate) == ("And now?", b"", 24_000, 8_000)
    assert (first.system, first.voice, first.tools) == ("Be brief.", "matthew", ())
    assert first.history == tuple(history)
    assert second.history[2] == novasonic.Message("user", "And now?")
    assert {said.role for said in second.history[3:]} == {"assistant"}
    assert " ".join(said.text for said in second.history[3:]) == "First. Second."
    assert "And now?" not in repr(first)


async def test_a_spoken_turn_brings_the_sound_and_takes_what_was_heard(until, tone):
    heard = []

    async def brain(turn):
        heard.append((turn.text, turn.rate, len(turn.pcm)))
        await turn.heard("a long low note")
        await turn.say("A note.")
        with pytest.raises(novasonic.ConfigError, match="answer had begun"):
            await turn.heard("too late")

    async with Emulator(brain) as emulator, emulator.client().connect() as session:
        session.feed(tone(0.8), realtime=False)
        events = await until(session, ended)
    assert texts(events, "user") == ["a long low note"]
    ((text, rate, length),) = heard
    assert (text, rate) == (None, 16_000)
    assert 0.7 * 32_000 < length < 3.0 * 32_000


async def test_speaking_over_the_answer_cancels_its_brain(until, tone):
    cancelled = asyncio.Event()
    answers = iter(["long", "short"])

    async def brain(turn):
        if next(answers) == "long":
            try:
                await turn.say("Once upon a time.", bytes(2 * 24_000 * 30))
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
        await turn.say("Yes?", tone(0.3, 24_000))

    async with Emulator(brain) as emulator, emulator.client().connect() as session:
        await session.send_text("Tell me something long.")
        await until(session, lambda event: isinstance(event, novasonic.AudioOutput))
        session.feed(tone(0.6), realtime=False)
        events = await until(session, lambda event: ended(event) and event.turn == 2)
        await asyncio.wait_for(cancelled.wait(), 10)
    assert any(isinstance(event, novasonic.Interrupted) and event.turn == 1 for event in events)


async def test_a_failing_brain_ends_its_turn_and_tells_the_log_where_but_not_what(until, caplog):
    calls = iter([True, False])

    async def brain(turn):
        if next(calls):
            raise RuntimeError(f"could not grasp {turn.text}")
        await turn.say("Fine again.")

    async with Emulator(brain, speed=20) as emulator, emulator.client().connect() as session:
        await session.send_text("a secret")
        assert "failed" in texts(await until(session, ended), "assistant")[0]
        await session.send_text("Once more.")
        assert "Fine again." in texts(await until(session, ended), "assistant")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "RuntimeError at " in record.getMessage()
    assert "test_brains.py" in record.getMessage()
    assert "a secret" not in caplog.text


async def test_a_tool_that_nobody_declared_gives_an_error_as_its_result(until):
    async def brain(turn):
        result = await turn.call("getWeather", {"city": "Oslo"})
        await turn.say(result["error"])

    async with Emulator(brain, speed=20) as emulator, emulator.client().connect() as session:
        await session.send_text("How warm is it?")
        said = texts(await until(session, ended), "assistant")[0]
    assert "getWeather" in said


async def test_sound_of_half_a_sample_is_refused(until):
    async def brain(turn):
        with pytest.raises(novasonic.AudioFormatError, match="3 bytes"):
            await turn.say("Oh.", b"abc")
        await turn.say("Right.")

    async with Emulator(brain) as emulator, emulator.client().connect() as session:
        await session.send_text("Go.")
        assert texts(await until(session, ended), "assistant")[0] == "Right."


async def test_stopping_cancels_a_brain_at_work():
    state = []
    begun = asyncio.Event()

    async def brain(turn):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            state.append("cancelled")

    async def read(session):
        async for _ in session:
            pass

    async with Emulator(brain) as emulator:
        session = await emulator.client().connect(continuation=None)
        await session.send_text("Hello.")
        await asyncio.wait_for(begun.wait(), 10)
    assert state == ["cancelled"]
    with pytest.raises(novasonic.NovaSonicError):
        await read(session)
    await session.aclose()


async def test_a_script_plays_its_turns(until, tmp_path):
    script = tmp_path / "play.toml"
    script.write_text('[[turn]]\n[[turn.step]]\ntext = "Line one."\n[[turn]]\n[[turn.step]]\ntext = "Line two."\n')
    async with Emulator(f"script:{script}") as emulator, emulator.client().connect() as session:
        for line in ("Line one.", "Line two."):
            await session.send_text("Go on.")
            assert line in texts(await until(session, ended), "assistant")
