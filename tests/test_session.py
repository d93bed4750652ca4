"""The public API against the emulator: real HTTP/2, TLS and signatures."""

import array
import asyncio
import itertools
import random
import threading
from pathlib import Path

import pytest

import novasonic
from novasonic import (
    AudioFormatError,
    AudioOutput,
    Buffers,
    ConcurrencyError,
    Credentials,
    Interrupted,
    Message,
    OperationTimeout,
    SessionClosedError,
    SessionEnded,
    Timeouts,
    Transcript,
    TurnEnded,
    TurnStarted,
    Usage,
)
from novasonic.emulator import Emulator, Fault

CHUNK = bytes(1_024)


def tone(seconds, rate=16_000):
    """A square wave that no energy detector can miss."""
    half = rate // 400
    return array.array("h", ([8_000] * half + [-8_000] * half) * int(seconds * rate / (2 * half))).tobytes()


async def answer(turn):
    await turn.say(f"You said: {turn.text or 'something.'}")
    await turn.say("That is all.")


async def recite(turn):
    for number in range(100):
        await turn.say(f"Sentence {number} of a very long story that nobody wants to hear to its end.")


@pytest.fixture
async def emulator():
    async with Emulator(brain=answer, speed=20) as emulator:
        yield emulator


@pytest.fixture
async def session(emulator):
    async with emulator.client().connect() as session:
        yield session


@pytest.mark.parametrize(
    ("turn", "seconds"), [(0, 1.0), (-1, 1.0), (2**32, 1.0), (1.0, 1.0), (True, 1.0), (1, -0.1), (1, "1"), (1, None)]
)
async def test_what_was_played_is_a_turn_and_seconds(session, turn, seconds):
    with pytest.raises(novasonic.ConfigError) as refused:
        session.played(turn, seconds)
    assert refused.value.code == "invalid_played"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"continuation": True}, "invalid_continuation"),
        ({"tool_choice": 7}, "invalid_tool_choice"),
        ({"tool_choice": ""}, "invalid_tool_choice"),
        *(({"first_turn": value}, "invalid_first_turn") for value in (0, -1, 2**31, 1.0, True, "7", None)),
    ],
)
async def test_settings_of_another_kind_are_told_before_anything_is_opened(emulator, settings, code):
    with pytest.raises(novasonic.ConfigError) as refused:
        emulator.client().connect(**settings)
    assert refused.value.code == code
    assert emulator.streams == ()


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def open_and_stay(client):
    async with client.connect():
        await asyncio.sleep(60)


async def until(session, cls, count=1):
    """Read up to the `count`th event of a class."""
    seen = []
    async for event in session:
        seen.append(event)
        count -= isinstance(event, cls)
        if count == 0:
            break
    return seen


async def test_typed_text_is_answered(emulator):
    async with emulator.client().connect(system="Be brief.") as session:
        await session.send_text("Hello there.")
        events = await until(session, TurnEnded)
    kinds = [type(event) for event in events]
    assert kinds.index(TurnStarted) < kinds.index(AudioOutput)
    assert {event.turn for event in events if isinstance(event, (AudioOutput, TurnStarted, TurnEnded))} == {1}
    assert all(event.rate == 24_000 for event in events if isinstance(event, AudioOutput))
    assert all(a.at <= b.at for a, b in itertools.pairwise(events))
    assert str(session.transcript) == "user: Hello there.\nassistant: You said: Hello there. That is all."
    assert session.error is None
    assert session.id in repr(session)
    [stream] = emulator.streams
    assert stream.ended == "clean"


async def test_speech_is_heard_and_its_end_as_well(emulator, session):
    task = session.feed(tone(1.0), realtime=False)
    events = await until(session, TurnEnded)
    await task
    assert any(isinstance(event, AudioOutput) for event in events)
    said = [event for event in events if isinstance(event, Transcript) and event.role == "assistant"]
    assert said[0].text == "You said: something."


async def test_await_gives_a_session_that_its_owner_closes(emulator):
    session = await emulator.client().connect()
    await session.send_text("Hello.")
    await until(session, TurnEnded)
    await session.aclose()
    await session.aclose()
    left = [event async for event in session]
    assert isinstance(left[-1], SessionEnded)
    assert left[-1].reason == "closed"


async def test_history_and_settings_go_up(emulator):
    seen = []

    async def brain(turn):
        seen.append((turn.system, [(message.role, message.text) for message in turn.history][:2], turn.rate))
        await turn.say("Yes.")

    async with Emulator(brain=brain, speed=20) as other:
        connecting = other.client().connect(
            model=novasonic.NOVA_2_5_SONIC,
            system="You are a lighthouse keeper.",
            voice="matthew",
            input_rate=8_000,
            output_rate=16_000,
            turn_taking="high",
            max_tokens=500,
            top_p=0.5,
            temperature=0.5,
            history=[Message("user", "Hello."), Message("assistant", "Good evening.")],
        )
        async with connecting as session:
            await session.send_text("Is it dark?")
            events = await until(session, TurnEnded)
        assert other.streams[0].model_id == novasonic.NOVA_2_5_SONIC
    assert seen == [("You are a lighthouse keeper.", [("user", "Hello."), ("assistant", "Good evening.")], 8_000)]
    assert next(event for event in events if isinstance(event, AudioOutput)).rate == 16_000


async def test_turns_count_on_where_another_process_left_off(emulator):
    earlier = [Message("user", "One?"), Message("assistant", "Two.")]
    async with emulator.client().connect(history=earlier, first_turn=2) as session:
        async with asyncio.timeout(1):
            await session.turn_ended(1)  # long ago
        session.played(1, 3.0)  # nobody's any more
        turns = []
        await session.send_text("Three?")
        async for turn in session.turns():
            turns.append(turn)
            if len(turns) == 2:
                break
            assert await session.prompt("Go on.") == 3
        await session.turn_ended(3)
        assert [turn.number for turn in turns] == [2, 3]
        assert turns[0].user == "Three?"
        assert {entry.turn for entry in session.transcript} == {2, 3}
        session.played(3, 0.0)
    assert {entry.turn for entry in session.transcript} == {2, 3}, "after the end, too"


async def test_what_was_played_of_a_later_first_turn_counts():
    async with Emulator(brain=recite) as emulator, emulator.client().connect(first_turn=41) as session:
        await session.send_text("Go on.")
        await until(session, AudioOutput, 30)
        session.played(41, 0.0)
        await session.interrupt()
        [cut] = [event for event in await until(session, Interrupted) if isinstance(event, Interrupted)]
        assert cut.turn == 41
        [said, heard] = session.transcript
        assert (said.text, heard.text, heard.interrupted) == ("Go on.", "", True)


async def test_usage_is_counted(session):
    await session.send_text("Hello.")
    events = await until(session, Usage)
    usage = events[-1]
    assert usage.total.text_out + usage.total.speech_out + usage.total.text_in + usage.total.speech_in > 0
    assert usage.usd > 0


async def test_interrupt_ends_the_audio_of_the_turn():
    async with Emulator(brain=recite, speed=20) as emulator, emulator.client().connect() as session:
        await session.send_text("Tell me everything.")
        await until(session, AudioOutput, 3)
        await session.interrupt()
        later = await until(session, Interrupted)
        assert not [event for event in later if isinstance(event, AudioOutput)]
        assert later[-1].source == "client"
        turn = later[-1].turn
        await session.send_text("Go on.")
        after = await until(session, AudioOutput)
        assert after[-1].turn > turn


async def test_speaking_over_the_answer_cuts_it():
    async with Emulator(brain=recite, speed=20) as emulator, emulator.client().connect() as session:
        await session.send_text("Tell me everything.")
        await until(session, AudioOutput)
        task = session.feed(tone(3.0), realtime=False)
        events = await until(session, Interrupted)
        await task
        assert events[-1].source == "model"
        assert len(str(session.transcript)) < 2_000


@pytest.mark.slow
async def test_mute_sends_silence(emulator, session):
    session.mute(True)
    for _ in range(40):
        await session.send_audio(tone(0.1))
    await session.send_text("Did you hear me?")
    await until(session, TurnEnded)
    assert session.transcript[0].text == "Did you hear me?"
    assert session.stats().sent_audio_ms >= 4_000


async def test_a_turn_can_be_awaited_while_another_task_reads(session):
    async def read():
        return [event async for event in session]

    reader = asyncio.create_task(read())
    await session.send_text("Hello.")
    await session.turn_ended(1, timeout=20)
    await session.aclose()
    events = await reader
    assert isinstance(events[-1], SessionEnded)


async def test_stats_count_both_ways(emulator, session):
    for _ in range(10):
        assert session.try_send_audio(CHUNK)
    await session.send_text("Hello.")
    await until(session, TurnEnded)
    stats = session.stats()
    assert stats.sent_audio_ms >= 320
    assert stats.received_audio_ms > 0
    assert stats.streams_opened == 1
    assert stats.events > 0
    assert 0 < stats.wakeups <= stats.events + 2


async def test_a_full_buffer_refuses_one_and_makes_the_other_wait(eventually):
    async with Emulator(brain="parrot", faults=[Fault.stall(after_input=30)]) as emulator:
        connecting = emulator.client().connect(buffers=Buffers(input=0.5), timeouts=Timeouts(close=0.3), realtime=False)
        async with connecting as session:
            # The connection's windows fill first, then the buffer.
            with pytest.raises(TimeoutError):
                await send_for_ever(session, bytes(8_000))
            assert session.stats().refused_chunks == 0
            await eventually(lambda: not session.try_send_audio(bytes(8_000)))
            stats = session.stats()
            assert (stats.refused_chunks, stats.refused_audio_ms) == (1, 250)
            assert 250 < stats.queued_input_ms <= 500


async def send_for_ever(session, pcm):
    while True:
        await asyncio.wait_for(session.send_audio(pcm), 0.5)


async def test_random_cancellations_lose_nothing():
    """Every chunk sent comes back once and whole, in order, though half of all waits are cancelled."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Emulator(brain="echo") as emulator, emulator.client().connect() as session:
        taken, echoed, cancelled = [], b"", 0
        events = aiter(session)

        async def send():
            nonlocal cancelled
            for number in range(600):
                pcm = (number + 1).to_bytes(2, "little") * 64
                while True:
                    task = asyncio.create_task(session.send_audio(pcm))
                    await asyncio.sleep(chance.choice((0, 0, 0.0005)))
                    if task.cancel():
                        cancelled += 1
                    await asyncio.wait([task])
                    if not task.cancelled():
                        break
                taken.append(pcm)

        sender = asyncio.create_task(send())
        async with asyncio.timeout(60):
            while not sender.done() or len(echoed) < sum(map(len, taken)):
                try:
                    async with asyncio.timeout(chance.random() / 500):
                        event = await anext(events)
                except TimeoutError:
                    cancelled += 1
                    continue
                if isinstance(event, AudioOutput):
                    echoed += event.pcm
        assert echoed == b"".join(taken)
        assert cancelled > 100


async def test_a_reader_that_stops_is_bounded_and_disturbs_nobody():
    async with Emulator(brain="echo") as emulator:
        client = emulator.client()
        connecting = client.connect(buffers=Buffers(output=1.0), output_rate=16_000, realtime=False)
        async with connecting as stopped, client.connect() as other:
            async with asyncio.timeout(30):
                for _ in range(1_000):
                    await stopped.send_audio(CHUNK)
                await other.send_audio(CHUNK)
                await until(other, AudioOutput)
                # 256 events of 32 ms here, one second and what the last read brought in the core.
                assert stopped.stats().queued_output_ms < 256 * 32 + 3_000
                received = 0
                async for event in stopped:
                    received += isinstance(event, AudioOutput)
                    if received == 1_000:
                        break


async def test_two_loops_in_two_threads_share_a_client():
    with Emulator(brain=answer, speed=20) as emulator:
        client = emulator.client()
        transcripts = []

        async def converse():
            async with client.connect() as session:
                await session.send_text("Hello.")
                await until(session, TurnEnded)
                transcripts.append(str(session.transcript))

        def run():
            for _ in range(3):
                asyncio.run(converse())

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert transcripts == ["user: Hello.\nassistant: You said: Hello. That is all."] * 6


async def test_use_from_another_loop_is_refused(session):
    def elsewhere():
        async def use():
            with pytest.raises(ConcurrencyError):
                await session.send_audio(CHUNK)

        asyncio.run(use())

    await asyncio.to_thread(elsewhere)


async def test_nothing_can_be_sent_after_the_end(emulator):
    async with emulator.client().connect() as session:
        pass
    for send in (session.send_audio(CHUNK), session.send_text("Hello."), session.interrupt(), session.turn_ended(9)):
        with pytest.raises(SessionClosedError):
            await send
    for call in (lambda: session.try_send_audio(CHUNK), lambda: session.mute(True), lambda: session.feed(CHUNK)):
        with pytest.raises(SessionClosedError):
            call()
    assert session.stats().streams_opened == 1


async def test_the_bodys_exception_is_never_replaced(emulator):
    async def body():
        async with emulator.client().connect() as session:
            await session.send_text("Hello.")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await body()


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_credentials_from_a_callable(emulator, how):
    asked = []

    def keys():
        asked.append(threading.current_thread() is threading.main_thread())
        return Credentials(emulator.credentials.access_key_id, emulator.credentials.secret_access_key)

    async def async_keys():
        await asyncio.sleep(0)
        return keys()

    client = novasonic.NovaSonic(
        region="us-east-1",
        credentials=keys if how == "sync" else async_keys,
        endpoint_url=emulator.url,
        ca_bundle=emulator.ca_bundle,
    )
    async with client.connect() as session:
        await session.send_text("Hello.")
        await until(session, TurnEnded)
    assert asked[0] is (how == "async")


async def test_cancelling_connect_closes_the_stream_that_opens(emulator, eventually):
    never = asyncio.Event()

    async def keys():
        await never.wait()

    client = novasonic.NovaSonic(region="us-east-1", credentials=keys, endpoint_url=emulator.url)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.connect(), 0.1)
    client = emulator.client()
    for delay in (0, 0.001, 0.003, 0.01, 0.02):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(open_and_stay(client), delay)
    await eventually(lambda: all(stream.ended is not None for stream in emulator.streams))


async def test_open_is_bounded():
    async with Emulator(faults=[Fault.stall(after_input=0)]) as emulator:
        with pytest.raises(OperationTimeout):
            await emulator.client().connect(timeouts=Timeouts(open=0.3))


async def test_an_unclosed_session_warns_and_frees_its_stream_and_descriptor(emulator, eventually):
    client = emulator.client()
    async with client.connect():
        pass
    before = descriptors()
    for _ in range(5):
        session = await client.connect()
        session.feed(bytes(320_000))
        await session.send_audio(CHUNK)
        with pytest.warns(ResourceWarning, match="unclosed <novasonic.Session"):
            del session
    await eventually(lambda: descriptors() <= before)
    await eventually(lambda: all(stream.ended is not None for stream in emulator.streams))


async def test_odd_audio_is_refused_and_the_session_goes_on(session):
    for bad in (b"\0", bytes(1_025), "text", bytes(31 * 32_000)):
        with pytest.raises(AudioFormatError):
            await session.send_audio(bad)
        with pytest.raises(AudioFormatError):
            session.try_send_audio(bad)
    await session.send_text("Hello.")
    await until(session, TurnEnded)
