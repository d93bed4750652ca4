"""Raw streams against the emulator: whole conversations by hand, and everything that may go wrong."""

import asyncio
import contextlib
import itertools
import json
import random
import socket

import pytest
from rawsupport import audio, closing, event, name_of, opening, pcm_of, text, tool_result

import novasonic
from novasonic import ConcurrencyError, Credentials, SessionClosedError, StreamBuffers, Timeouts, ValidationError
from novasonic.emulator import Emulator, Fault

SILENCE = bytes(1_024)


async def answer(turn):
    if turn.text == "What is in the box?":
        found = await turn.call("look", {"where": "box"})
        await turn.say(f"There is a {found['thing']}.")
    elif turn.text is None:
        await turn.heard("I say something.")
        await turn.say("You said something.")
    else:
        await turn.say("Yes.")


@pytest.fixture
async def emulator():
    async with Emulator(brain=answer, speed=20) as emulator:
        yield emulator


@pytest.fixture
async def echo():
    async with Emulator(brain="echo") as emulator:
        yield emulator


def client(emulator, **settings):
    usual = {
        "region": "us-east-1",
        "credentials": emulator.credentials,
        "endpoint_url": emulator.url,
        "ca_bundle": emulator.ca_bundle,
    }
    return novasonic.NovaSonic(**{**usual, **settings})


@pytest.fixture
def settled():
    """Waits until a count that has begun stands still: what stopped it is on the other side of a socket."""

    async def settled(count):
        last = 0
        while not last or last != count():
            last = count()
            await asyncio.sleep(0.2)
        return last

    return settled


async def send_all(stream, events):
    for each in events:
        await stream.send(each)


async def read_until(events, last):
    """Names of the events up to the one for which `last` is true, and that one."""
    names = []
    async for received in events:
        names.append(name_of(received))
        if last(received):
            return names, received["event"]
    raise AssertionError(names)


def is_end_of_turn(received):
    end = received["event"].get("contentEnd", {})
    return (end.get("type"), end.get("stopReason")) == ("AUDIO", "END_TURN")


async def test_a_whole_conversation_by_hand(emulator):
    async with asyncio.timeout(20), emulator.client().open_stream() as stream:
        await send_all(stream, opening(tools=("look",)))
        await stream.opened()
        assert stream.request_id
        await stream.send(audio(bytes(3_200)))
        events = aiter(stream)

        await send_all(stream, text("USER", "What is in the box?", interactive=True))
        names, called = await read_until(events, lambda received: "toolUse" in received["event"])
        assert names[0] == "completionStart"
        assert names[-2:] == ["contentStart TOOL", "toolUse"]
        call = called["toolUse"]
        assert (call["toolName"], json.loads(call["content"])) == ("look", {"where": "box"})
        await send_all(stream, tool_result(call["toolUseId"], {"thing": "cat"}))
        said = []
        names, _ = await read_until(events, lambda received: said.append(received) or is_end_of_turn(received))
        assert [name for name in dict.fromkeys(names) if name != "usageEvent"][:4] == [
            "contentEnd TOOL",
            "contentStart TEXT",
            "textOutput",
            "contentEnd TEXT",
        ]
        assert "There is a cat." in [each["event"].get("textOutput", {}).get("content") for each in said]
        assert sum(len(pcm_of(each)) for each in said) > 1_000

        loud = b"\x00\x40\x00\xc0" * 256
        for chunk in [loud] * 30 + [SILENCE] * 40:
            await stream.send(audio(chunk))
            await asyncio.sleep(0.0016)  # the emulator's clock runs twenty times as fast
        heard = []
        await read_until(events, lambda received: heard.append(received) or is_end_of_turn(received))
        spoken = [each["event"]["textOutput"]["content"] for each in heard if "textOutput" in each["event"]]
        assert spoken.index("I say something.") < spoken.index("You said something.")

        await send_all(stream, closing())
        await stream.end_input()
        rest = [name_of(received) async for received in events]
        assert "completionEnd" in rest
        assert stream.error is None
    (report,) = emulator.streams
    assert report.ended == "clean"
    text_block = ["contentStart", "textInput", "contentEnd"]
    assert [name for name, _ in itertools.groupby(report.events)] == [
        "sessionStart",
        "promptStart",
        *text_block,
        "contentStart",
        "audioInput",
        *text_block,
        "contentStart",
        "toolResult",
        "contentEnd",
        "audioInput",
        "contentEnd",
        "promptEnd",
        "sessionEnd",
    ]


async def test_order_is_kept_both_ways_under_cancellations(echo):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    buffers = StreamBuffers(input=4_000, output=16_000)
    acknowledged = []
    cancelled = 0

    async def write(stream):
        nonlocal cancelled
        for number in range(1, 1_500):
            try:
                async with asyncio.timeout(chance.random() / 1_000):
                    await stream.send(audio(number.to_bytes(2, "little") * 256))
                acknowledged.append(number)
            except TimeoutError:
                cancelled += 1
        await send_all(stream, closing())
        await stream.end_input()

    async with asyncio.timeout(60), echo.client().open_stream(buffers=buffers) as stream:
        await send_all(stream, opening())
        events = aiter(stream)
        writing = asyncio.create_task(write(stream))
        heard = b""
        interrupted = 0
        while True:
            try:
                async with asyncio.timeout(chance.random() / 1_000):
                    received = await anext(events)
            except StopAsyncIteration:
                break
            except TimeoutError:
                interrupted += 1
                continue
            heard += pcm_of(received)
        await writing
    assert cancelled
    assert interrupted
    pieces = [heard[at : at + 512] for at in range(0, len(heard), 512)]
    numbers = [int.from_bytes(piece[:2], "little") for piece in pieces]
    assert pieces == [number.to_bytes(2, "little") * 256 for number in numbers], "whole chunks only"
    assert numbers == sorted(set(numbers)), "each once, in order"
    assert set(acknowledged) <= set(numbers), "what send() returned for was sent"


async def test_a_reader_that_stops_stops_the_service(settled):
    minute = bytes(60 * 2 * 24_000)

    async def talk(turn):
        await turn.say("A long story.", minute)

    buffers = StreamBuffers(output=64 * 1_024)
    async with (
        Emulator(brain=talk, speed=100, idle_limit=100_000, stream_limit=100_000) as emulator,
        asyncio.timeout(60),
        emulator.client().open_stream(buffers=buffers) as stream,
    ):
        await send_all(stream, opening(rate=24_000))
        await stream.send(audio(bytes(4_800)))
        await send_all(stream, text("USER", "Tell me a story.", interactive=True))
        received = await settled(lambda: stream.stats().received_bytes)
        # One event more than the bound, and nothing beyond.
        assert 64 * 1_024 * 0.8 < stream.stats().queued_output_bytes < 64 * 1_024 + 16_384
        assert received == stream.stats().queued_output_bytes
        heard = 0
        async for each in stream:
            heard += len(pcm_of(each))
            assert stream.stats().queued_output_bytes < 64 * 1_024 + 256 * 1_024
            if is_end_of_turn(each):
                break
        assert heard == len(minute)


async def test_one_client_serves_two_loops(echo):
    shared = echo.client()

    async def converse(number):
        sent = number.to_bytes(2, "little") * 2_048
        async with asyncio.timeout(20), shared.open_stream() as stream:
            await send_all(stream, [*opening(), *[audio(sent)] * 20, *closing()])
            await stream.end_input()
            return b"".join([pcm_of(received) async for received in stream]) == sent * 20

    def in_a_loop_of_its_own(number):
        return asyncio.run(converse(number))

    assert await asyncio.gather(*[asyncio.to_thread(in_a_loop_of_its_own, number) for number in (1, 2)], converse(3))


async def test_another_loop_is_refused(echo):
    async with echo.client().open_stream() as stream:

        async def use():
            for call in (
                lambda: stream.try_send(b"{}"),
                lambda: stream.send(b"{}"),
                lambda: stream.end_input(),
                lambda: anext(aiter(stream)),
                lambda: stream.opened(),
                lambda: stream.aclose(),
            ):
                with pytest.raises(ConcurrencyError) as refused:
                    await call()
                assert refused.value.code == "wrong_loop"

        await asyncio.to_thread(lambda: asyncio.run(use()))


async def test_events_go_up_as_they_are_and_are_not_checked(echo):
    async with asyncio.timeout(20), echo.client().open_stream() as stream:
        first, second, *rest = opening()
        await stream.send(json.dumps(first, indent=2))
        stats = stream.stats()
        assert stats.sent_bytes + stats.queued_input_bytes == len(json.dumps(first, indent=2))
        await stream.send(json.dumps(second).encode())
        await stream.send(bytearray(json.dumps(rest[0]).encode()))
        assert stream.try_send(memoryview(json.dumps(rest[1]).encode())) is True
        await send_all(stream, rest[2:])
        await stream.send(audio(SILENCE))
        await stream.send(b"no JSON at all")
        with pytest.raises(ValidationError, match="Unable to parse input chunk"):
            async for _ in stream:
                pass
        with pytest.raises(ValidationError):
            await stream.send(first)
        assert isinstance(stream.error, ValidationError)


async def test_dicts_are_compact_json_and_nothing_else_is_an_event(echo):
    async with echo.client().open_stream() as stream:
        stream.try_send({"event": {"sessionStart": {"text": "é\u2028"}}})
        stats = stream.stats()
        compact = '{"event":{"sessionStart":{"text":"é\u2028"}}}'.encode()
        assert stats.queued_input_bytes + stats.sent_bytes == len(compact)
        for wrong, error in [
            (None, TypeError),
            ([1], TypeError),
            ({"a": object()}, TypeError),
            ({"a": float("nan")}, ValueError),
            (b"", ValidationError),
            ("", ValidationError),
            (bytes(1_000_001), ValidationError),
        ]:
            with pytest.raises(error):
                await stream.send(wrong)
            with pytest.raises(error):
                stream.try_send(wrong)


class TestOpening:
    async def failure(self, client, **settings):
        """Whatever is tried says the same."""
        async with asyncio.timeout(10), client.open_stream(**settings) as stream:
            # The service answers only after this; it may have failed before.
            with contextlib.suppress(novasonic.NovaSonicError):
                stream.try_send(opening()[0])
            with pytest.raises(novasonic.NovaSonicError) as failed:
                await stream.opened()
            with pytest.raises(type(failed.value)) as read:
                await anext(aiter(stream))
            with pytest.raises(type(failed.value)):
                await stream.send(b"{}")
            with pytest.raises(type(failed.value)):
                stream.try_send(b"{}")
            assert stream.error is read.value
            assert repr(stream).endswith(f"{stream.error.code}>")
        return stream.error

    async def test_a_refused_port(self, emulator):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        error = await self.failure(client(emulator, endpoint_url=f"https://127.0.0.1:{port}"))
        assert type(error) is novasonic.ConnectError

    async def test_a_bad_key(self, emulator):
        keys = Credentials(emulator.credentials.access_key_id, "another secret")
        assert type(await self.failure(client(emulator, credentials=keys))) is novasonic.AccessDeniedError

    async def test_a_failing_callable_is_the_cause(self, emulator):
        def keys():
            raise LookupError("token s3cr3t refused")

        error = await self.failure(client(emulator, credentials=keys))
        assert type(error) is novasonic.CredentialsError
        assert isinstance(error.__cause__, LookupError)
        assert "s3cr3t" not in str(error)

    async def test_a_refusal(self):
        async with Emulator(faults=[Fault.refuse(429, "ThrottlingException", "Too many.")]) as emulator:
            error = await self.failure(emulator.client())
        assert (type(error), error.code) == (novasonic.ThrottledError, "ThrottlingException")

    async def test_a_service_that_never_answers(self):
        async with Emulator(faults=[Fault.stall(after_input=0)]) as emulator:
            error = await self.failure(emulator.client(), timeouts=Timeouts(open=0.3))
        assert (type(error), error.code) == (novasonic.OperationTimeout, "open_timeout")

    async def test_a_model_that_the_region_does_not_have(self, monkeypatch):
        monkeypatch.setenv("AWS_REGION", "sa-east-1")
        error = await self.failure(novasonic.NovaSonic())
        assert (type(error), error.code) == (novasonic.ConfigError, "model_region")

    @pytest.mark.parametrize(
        ("settings", "code"),
        [({"model": ""}, "invalid_model"), ({"model": 5}, "invalid_model")],
    )
    async def test_bad_settings(self, emulator, settings, code):
        with pytest.raises(novasonic.ConfigError) as refused:
            emulator.client().open_stream(**settings)
        assert refused.value.code == code

    @pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True, 2**40])
    @pytest.mark.parametrize("field", ["input", "output"])
    async def test_bad_buffers(self, field, value):
        with pytest.raises(novasonic.ConfigError, match=f"StreamBuffers.{field}"):
            StreamBuffers(**{field: value})

    async def test_keys_are_asked_for_while_nobody_reads(self, echo):
        async def keys():
            await asyncio.sleep(0.01)
            return echo.credentials

        async with asyncio.timeout(10), client(echo, credentials=keys).open_stream() as stream:
            await send_all(stream, opening())
            await stream.opened()
        assert echo.streams[-1].access_key_id == echo.credentials.access_key_id


@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        (Fault.rst_stream(after_input=10), novasonic.StreamLostError),
        (Fault.fin(after_input=10), novasonic.StreamLostError),
        (Fault.end_stream(after_input=10), novasonic.StreamLostError),
        (Fault.exception("throttlingException", "Slow down.", after_input=10), novasonic.ThrottledError),
        (Fault.exception("modelStreamErrorException", "Oh.", after_input=10), novasonic.ServiceError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_stream_that_breaks_is_an_error_never_an_end(fault, cls):
    async with (
        Emulator(brain="echo", faults=[fault]) as emulator,
        asyncio.timeout(20),
        emulator.client().open_stream(buffers=StreamBuffers(input=4_000)) as stream,
    ):
        await send_all(stream, opening())

        async def talk():
            while True:
                await stream.send(audio(SILENCE))
                await asyncio.sleep(0)

        talking = asyncio.create_task(talk())
        heard = []
        with pytest.raises(cls) as failed:
            heard.extend([received async for received in stream])
        assert stream.error is failed.value
        with pytest.raises(cls):
            await talking


@pytest.mark.parametrize(
    "fault", [Fault.rst_stream(after_input=7), Fault.fin(after_input=7)], ids=lambda fault: fault.kind
)
async def test_a_loss_after_our_end_is_one_all_the_same(fault):
    async with (
        Emulator(brain="echo", faults=[fault]) as emulator,
        asyncio.timeout(20),
        emulator.client().open_stream() as stream,
    ):
        await send_all(stream, [*opening(), audio(SILENCE)])
        await stream.end_input()
        with pytest.raises(novasonic.StreamLostError):
            async for _ in stream:
                pass


class TestEnding:
    async def test_the_input_ends_behind_senders_that_wait(self, echo):
        async with asyncio.timeout(20), echo.client().open_stream(buffers=StreamBuffers(input=3_000)) as stream:
            await send_all(stream, opening())
            events = [*[audio(SILENCE)] * 20, *closing()]
            tasks = [asyncio.create_task(stream.send(each)) for each in events]
            await asyncio.sleep(0)
            await stream.end_input()
            await stream.end_input()
            await asyncio.gather(*tasks)
            assert len(b"".join([pcm_of(received) async for received in stream])) == 20 * len(SILENCE)
            with pytest.raises(SessionClosedError):
                await stream.send(b"{}")
            await stream.end_input()
        assert echo.streams[-1].ended == "clean"

    async def test_after_end_input_nothing_is_sent(self, echo):
        async with echo.client().open_stream() as stream:
            await send_all(stream, opening())
            await stream.end_input()
            with pytest.raises(SessionClosedError, match="input of this stream") as refused:
                await stream.send(b"{}")
            assert refused.value.code == "input_ended"
            with pytest.raises(SessionClosedError, match="input of this stream"):
                stream.try_send(b"{}")

    async def test_a_close_ends_the_reader_and_is_idempotent(self, echo):
        stream = await echo.client().open_stream()
        await send_all(stream, [*opening(), audio(SILENCE)])
        heard = asyncio.Event()

        async def read():
            async for received in stream:
                if pcm_of(received):
                    heard.set()

        reader = asyncio.create_task(read())
        await heard.wait()
        await send_all(stream, closing())
        await asyncio.gather(stream.aclose(), stream.aclose())
        await stream.aclose()
        await reader
        assert stream.error is None
        assert repr(stream) == f"<novasonic.RawStream {stream.id} closed>"
        with pytest.raises(SessionClosedError):
            await stream.send(b"{}")
        with pytest.raises(SessionClosedError):
            stream.try_send(b"{}")
        assert stream.stats().received_events > 0
        assert stream.request_id

    async def test_a_close_towards_a_silent_peer_is_bounded_and_silent(self):
        async with Emulator(faults=[Fault.stall(after_input=6)]) as emulator:
            started = asyncio.get_running_loop().time()
            async with emulator.client().open_stream(timeouts=Timeouts(close=0.3)) as stream:
                await send_all(stream, opening())
            assert asyncio.get_running_loop().time() - started < 5
            assert stream.error is None

    async def test_the_bodys_error_is_not_replaced(self, echo):
        async def fail():
            async with echo.client().open_stream(timeouts=Timeouts(close=0.1)) as stream:
                await stream.send(opening()[0])
                raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await fail()

    async def test_a_stream_collected_unclosed_warns_and_is_reset(self, echo, eventually):
        streams = [await echo.client().open_stream()]
        await send_all(streams[0], opening())
        await streams[0].opened()
        with pytest.warns(ResourceWarning, match="unclosed <novasonic.RawStream"):
            streams.clear()
        await eventually(lambda: echo.streams[-1].ended not in (None, "clean"))

    async def test_one_reader(self, echo):
        async with echo.client().open_stream() as stream:
            events = aiter(stream)
            with pytest.raises(ConcurrencyError) as refused:
                aiter(stream)
            assert refused.value.code == "second_reader"
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            with pytest.raises(ConcurrencyError):
                await anext(events)
            waiting.cancel()
            await asyncio.wait([waiting])
            del events, waiting
            aiter(stream)

    async def test_try_send_refuses_what_does_not_fit_and_does_not_jump_the_line(self, settled):
        async with Emulator(faults=[Fault.stall(after_input=6)]) as emulator:
            stream = await emulator.client().open_stream(
                buffers=StreamBuffers(input=20_000), timeouts=Timeouts(close=0.1)
            )
            await send_all(stream, opening())
            big = audio(bytes(9_000))

            async def talk():
                while True:
                    await stream.send(big)

            talking = asyncio.create_task(talk())
            # What the HTTP/2 window takes goes first.
            await settled(lambda: stream.stats().sent_events)
            assert stream.try_send(event("sessionEnd")) is False, "it would fit, but it is not its turn"
            talking.cancel()
            await asyncio.wait([talking])
            assert stream.try_send(big) is False
            stats = stream.stats()
            assert (stats.refused_events, stats.queued_input_bytes < 20_000) == (2, True)
            assert stream.try_send(event("sessionEnd")) is True
            waiting = asyncio.create_task(stream.send(big))
            await asyncio.sleep(0)
            await stream.aclose()
            with pytest.raises(SessionClosedError):
                await waiting
