"""The consumer against the emulator, in this process."""

import asyncio
import base64
import json
import math
import struct
from types import SimpleNamespace

import pytest
from django.test import override_settings

import novasonic
from novasonic.contrib.asgi.guard import PageCaps
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.permissions import AllowAny
from novasonic.emulator import Emulator, Fault

RATE = 16_000
USER = SimpleNamespace(pk=7, is_authenticated=True, is_active=True)
ANONYMOUS = SimpleNamespace(is_authenticated=False, is_active=False)

pytestmark = pytest.mark.usefixtures("unaccompanied")


def tone(seconds: float, hz: float = 300.0, rate: int = RATE) -> bytes:
    """What the emulator's ears take for speech: it listens to energy."""
    samples = (int(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


def frames(pcm: bytes, size: int = 1024):
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator):
    use_emulator(parrot)


class Talker(NovaSonicConsumer):
    system = "You are a parrot."
    prewarm = True  # most tests ask what becomes of an open conversation


async def test_nothing_opens_before_somebody_says_something(open_page, parrot):
    class Thrifty(Talker):
        prewarm = False

    before = len(parrot.streams)
    async with open_page(Thrifty) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        await page.send({"type": "mute"})
        await page.send({"type": "unmute"})
        await page.send({"type": "initialize"})
        await page.until("error", code="already_initialized")
        assert len(parrot.streams) == before
        await page.send({"type": "text_message", "text": "Now"})
        await page.until("turn_ended", turn=1)
        assert len(parrot.streams) == before + 1


async def test_typed_text_is_answered_in_words_and_sound(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        assert (opened["protocol"], opened["inputRate"], opened["outputRate"]) == (1, RATE, 24_000)
        await page.send({"type": "text_message", "text": "Good evening", "messageId": "m1"})
        await page.until("turn_ended", turn=1, interrupted=False)
        said = [
            line["text"] for line in page.of_type("transcript") if line["role"] == "assistant" and not line["final"]
        ]
        assert "Good evening" in " ".join(said)
        kinds = [message["type"] for message in page.messages]
        assert kinds.index("turn_started") < kinds.index("transcript")
        assert len(page.audio) > 24_000 // 2


async def test_speech_opens_the_conversation_and_is_answered(open_page):
    async with open_page(Talker) as page:
        for frame in frames(tone(1.0)):
            await page.send_audio(frame)
        await page.until("initialized")
        await page.until("turn_ended", turn=1)
        assert any(line["role"] == "user" for line in page.of_type("transcript"))
        assert page.audio


@pytest.mark.slow
async def test_audio_as_json_both_ways_and_silence_where_the_speaker_paused(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", "audioFormat": "base64"})
        for frame in frames(tone(1.0), 32_000):
            await page.send({"type": "audio_chunk", "audio": base64.b64encode(frame).decode()})
        await page.send({"type": "audio_chunk", "audio": "", "isComplete": True})
        await page.until("turn_ended", turn=1)
        chunks = page.of_type("audio_chunk")
        assert sum(len(base64.b64decode(chunk["audio"])) for chunk in chunks) > 24_000 // 2
        assert {chunk["turn"] for chunk in chunks} == {1}
        assert not page.audio


@pytest.mark.slow
async def test_a_recording_sent_whole_is_answered(open_page, use_emulator):
    # The pauses of speech as they are: the hurried parrot takes the one within it for the end of a turn.
    with Emulator(brain="parrot") as parrot:
        use_emulator(parrot)
        await speak_a_recording(open_page, parrot)


async def speak_a_recording(open_page, parrot):
    recording = tone(1.0) + bytes(RATE) + tone(0.5)
    async with open_page(Talker) as page:
        for frame in frames(recording, 32_000):
            await page.send({"type": "audio_chunk", "audio": base64.b64encode(frame).decode()})
        await page.send({"type": "audio_chunk", "isComplete": True})
        await page.until("turn_ended", turn=1)
        assert len(page.audio) > 24_000
    # At the pace of speech, and silence after it, for the service hears a pause only in audio that goes on.
    assert parrot.streams[-1].audio_bytes > len(recording) + RATE


@pytest.mark.slow
async def test_push_to_talk_needs_frames_only_while_it_is_pressed(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        for turn in (1, 2):
            for frame in frames(tone(0.8), 1024):
                await page.send_audio(frame)
                await asyncio.sleep(0.02)
            await page.until("turn_ended", turn=turn)
        assert not page.of_type("error")


@pytest.mark.slow
async def test_a_site_whose_pages_never_pause_may_send_as_it_comes(open_page, parrot):
    class Unpaced(Talker):
        realtime = False

    async with open_page(Unpaced) as page:
        for frame in frames(tone(0.5) + bytes(RATE * 3), 32_000):
            await page.send_audio(frame)
        await page.until("turn_ended", turn=1)
        await asyncio.sleep(3)  # silence would come now
    assert parrot.streams[-1].audio_bytes == RATE * 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize(("input_rate", "output_rate"), [(48_000, 44_100), (11_025, 192_000)])
async def test_a_page_may_have_its_devices_rates(open_page, parrot, input_rate, output_rate):
    class Device(Talker):
        pass

    Device.input_rate, Device.output_rate = input_rate, output_rate
    async with open_page(Device) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        assert (opened["inputRate"], opened["outputRate"]) == (input_rate, output_rate)
        for frame in frames(tone(1.0, rate=input_rate), input_rate // 10 * 2):
            await page.send_audio(frame)
        await page.until("turn_ended", turn=1)
    # The parrot says back what it heard, a second; at another rate it would be longer or shorter.
    assert len(page.audio) / 2 / output_rate == pytest.approx(1.1, abs=0.2)


async def test_a_limit_ends_politely(open_page, parrot, eventually):
    class Brief(Talker):
        limits = novasonic.Limits(seconds=0.5)

    async with open_page(Brief) as page:
        await page.send({"type": "initialize"})
        assert await page.until_closed() == 1000
        assert page.messages[-1] == {"type": "closed", "reason": "limit"}
        assert not page.of_type("error")
    await eventually(lambda: parrot.streams[-1].ended == "clean")


async def test_what_the_page_played_is_told_and_never_more_than_it_was_sent(open_page, monkeypatch):
    told = []
    monkeypatch.setattr(novasonic.Session, "played", lambda _, turn, seconds: told.append((turn, seconds)))
    async with open_page(Talker) as page:
        await page.send({"type": "played", "turn": 1, "ms": 100})  # nothing is open: nobody to tell
        await page.send({"type": "text_message", "text": "one two three"})
        await page.until("turn_ended", turn=1)
        sent_seconds = len(page.audio) / 2 / 24_000
        for turn, ms in ((1, 250), (1, 10_000_000), (7, 250)):
            await page.send({"type": "played", "turn": turn, "ms": ms})
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
        assert not page.of_type("error")
    assert told == [(1, 0.25), (1, pytest.approx(sent_seconds)), (7, 0.0)]


async def test_the_history_keeps_what_the_page_played(open_page):
    consumers = []

    class Kept(Talker):
        async def on_turn(self, event):
            consumers.append(self)

    async with open_page(Kept) as page:
        await page.send({"type": "text_message", "text": "one two three four five six seven eight " * 8})
        while len(page.audio) < 24_000 * 2 * 4:
            await page.next()
        await page.send({"type": "played", "turn": 1, "ms": 3_000})
        await page.send({"type": "interrupt"})
        await page.until("turn_ended", turn=1)
        _, _, heard = str(consumers[0].session.transcript).partition("assistant: ")
    # By the clock it were a word or two: the whole answer comes at once, and is stopped at once.
    assert 20 < len(heard.split()) < 50


async def test_interrupt_stops_the_sound(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "one two three four five six seven " * 20})
        while not page.audio:
            await page.next()
        await page.send({"type": "interrupt"})
        await page.until("interrupted", turn=1, source="client")
        heard = len(page.audio)
        await page.send({"type": "text_message", "text": "And now?"})
        await page.until("turn_started", turn=2)
        assert len(page.audio) == heard


async def test_close_ends_in_order(open_page, parrot, eventually):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        await page.until("turn_ended", turn=1)
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
        assert page.messages[-1] == {"type": "closed", "reason": "closed"}
    await eventually(lambda: parrot.streams[-1].ended == "clean")


async def test_close_before_anything_was_opened(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000


async def test_a_page_that_goes_away_closes_its_session(open_page, parrot, eventually):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "word " * 200})
        while not page.audio:
            await page.next()
    await eventually(lambda: parrot.streams[-1].ended is not None)


async def test_a_page_that_goes_away_while_the_conversation_opens(open_page):
    class Slow(Talker):
        async def get_system_prompt(self):
            await asyncio.Event().wait()

    async with open_page(Slow) as page:
        await page.send({"type": "initialize"})


@pytest.mark.parametrize("steps", range(12))
async def test_a_consumer_that_is_cancelled_twice_ends_its_conversation(open_page, parrot, steps, eventually):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        await page.until("turn_ended")
        page.communicator.future.cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        page.communicator.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page.communicator.future
    await eventually(lambda: parrot.streams[-1].ended is not None)
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@pytest.mark.parametrize("steps", range(12))
async def test_a_page_found_gone_by_the_relay_and_by_its_socket_closes_its_session(open_page, eventually, steps):
    sessions = []

    class Known(Talker):
        async def on_transcript(self, event):
            sessions.append(self.session)
            self.outlet.gone = True

    async with open_page(Known) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        await eventually(lambda: sessions)
        for _ in range(steps):
            await asyncio.sleep(0)
        page.communicator.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page.communicator.future
    assert " open>" not in repr(sessions[0])


async def test_a_consumer_that_is_cancelled_leaves_no_task(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        page.communicator.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page.communicator.future


@pytest.mark.parametrize(
    ("user", "origin", "code", "close"),
    [
        (ANONYMOUS, "http://testserver", "not_signed_in", 4401),
        (None, "http://testserver", "not_signed_in", 4401),
        (SimpleNamespace(pk=7, is_authenticated=True, is_active=False), "http://testserver", "not_signed_in", 4401),
        (
            SimpleNamespace(pk=7, is_authenticated=True, is_active=True),
            "http://evil.example",
            "origin_not_allowed",
            4403,
        ),
        (USER, "null", "origin_not_allowed", 4403),
        (USER, "http://[", "origin_not_allowed", 4403),
        (USER, None, "origin_not_allowed", 4403),
    ],
)
async def test_who_may_not_talk_is_told_why(open_page, parrot, user, origin, code, close):
    streams = len(parrot.streams)
    async with open_page(Talker, user=user, origin=origin) as page:
        await page.send({"type": "initialize"})
        assert await page.until_closed() == close
        assert [message["type"] for message in page.messages] == ["error", "closed"]
        assert (page.messages[0]["code"], page.messages[0]["fatal"]) == (code, True)
    assert len(parrot.streams) == streams


async def test_a_site_may_ask_more_of_its_users_or_less(open_page):
    class Members(Talker):
        async def is_allowed(self):
            return False

    class Open(Talker):
        permission = AllowAny()

    async with open_page(Members) as page:
        assert await page.until_closed() == 4403
    async with open_page(Open, user=ANONYMOUS) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")


@pytest.mark.parametrize(
    ("frame", "code", "close"),
    [
        ("{", "bad_json", 4400),
        ("RIFF text for audio", "bad_json", 4400),
        ("[1]", "bad_message", 4400),
        ('{"type":"dance"}', "unknown_type", None),
        ('{"type":"initialize","awsAccessKeyId":"AKIA"}', "credentials_not_accepted", 4403),
        ('{"type":"initialize","resumeToken":7}', "bad_field", None),
        ('{"type":"initialize","ticket":""}', "bad_field", None),
        ('{"type":"initialize","system":"x"}', "not_allowed", None),
        ('{"type":"tool_approval","id":"t","approve":true}', "unknown_approval", None),
        ('{"type":"tool_approval","id":"t","approve":"false"}', "bad_field", None),
        ('{"type":"played","turn":0,"ms":5}', "bad_field", None),
        ('{"type":"audio_chunk","audio":"%%"}', "audio_not_base64", None),
        ('{"type":"text_message","text":""}', "bad_field", None),
        ("x" * 70_000, "message_too_long", 4413),
        (bytes(RATE * 2 + 2), "audio_too_long", 4413),
        (bytes(1023), "audio_format", None),
    ],
)
async def test_bad_input_gets_its_own_answer_and_harms_nobody(open_page, frame, code, close):
    async with open_page(Talker) as neighbour, open_page(Talker) as page:
        await neighbour.send({"type": "initialize"})
        await neighbour.until("initialized")
        await (page.send_audio(frame) if isinstance(frame, bytes) else page.send(frame))
        error = await page.until("error")
        assert (error["code"], error["fatal"]) == (code, close is not None)
        if close is None:
            await page.send({"type": "initialize"})
            await page.until("initialized")
        else:
            assert await page.until_closed() == close
        await neighbour.send({"type": "text_message", "text": "Still there?"})
        await neighbour.until("turn_ended", turn=1)


async def test_patience_with_bad_messages_ends(open_page):
    async with open_page(Talker) as page:
        for _ in range(round(PageCaps().mistakes) + 2):
            await page.send({"type": "dance"})
        assert await page.until_closed() == 4400
        assert page.of_type("error")[-1]["code"] == "too_many_bad_messages"


async def test_a_second_initialize_is_refused(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        await page.send({"type": "initialize"})
        assert (await page.until("error"))["code"] == "already_initialized"


@pytest.mark.slow
async def test_what_came_while_it_opened_is_kept_in_order_and_in_bounds(open_page, parrot):
    gate = asyncio.Event()

    class Gated(Talker):
        caps = PageCaps(audio_burst_seconds=33)
        realtime = False

        async def get_system_prompt(self):
            await gate.wait()
            return "x"

    async with open_page(Gated) as page:
        for _ in range(33):
            await page.send_audio(bytes(RATE * 2))
        report = await page.until("error")
        assert (report["code"], report["retryable"], report["fatal"]) == ("audio_refused", True, False)
        await page.send({"type": "text_message", "text": "Kept"})
        gate.set()
        await page.until("turn_ended", turn=1)
        # Three seconds of 33 were refused, and said once: the page is told once a second at most.
        assert len(page.of_type("error")) == 1
    # One was refused at least; the last ones may have come when there was room again.
    assert 30 * RATE * 2 <= parrot.streams[-1].audio_bytes < 33 * RATE * 2


async def test_speech_that_waits_leaves_room_for_what_is_typed(open_page, parrot):
    gate = asyncio.Event()

    class Gated(Talker):
        async def get_system_prompt(self):
            await gate.wait()
            return "x"

    async with open_page(Gated) as page:
        for _ in range(100):  # two seconds, as a microphone sends them
            await page.send_audio(bytes(RATE // 50 * 2))
        await page.send({"type": "mute"})
        await page.send({"type": "text_message", "text": "Kept"})
        gate.set()
        await page.until("turn_ended", turn=1)
        assert not page.of_type("error")
        assert "Kept" in " ".join(line["text"] for line in page.of_type("transcript"))


async def test_a_page_that_sends_faster_than_speech_is_told_and_then_closed(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        for _ in range(4):
            await page.send_audio(bytes(RATE * 2))
        report = await page.until("error")
        assert (report["code"], report["fatal"], report["refusedFrames"]) == ("audio_refused", False, 1)
        for _ in range(40):
            await page.send_audio(bytes(RATE * 2))
        assert await page.until_closed() == 4429
        assert page.of_type("error")[-1]["code"] == "too_fast"


@pytest.mark.slow
async def test_frames_that_the_session_refuses_are_counted_and_told(open_page, use_emulator):
    class Loose(Talker):
        caps = PageCaps(audio_burst_seconds=600)

    with Emulator(brain="parrot", faults=[Fault.stall(after_input=8)]) as stalled:
        use_emulator(stalled)
        async with open_page(Loose) as page:
            await page.send({"type": "initialize"})
            await page.until("initialized")
            # 30 s wait in the session, and no more than a few minutes in the windows of HTTP/2.
            for _ in range(600):
                await page.send_audio(bytes(RATE * 2))
            report = await page.until("error")
            assert report["code"] == "audio_refused"
            assert report["refusedFrames"] >= 1


async def test_a_service_that_cannot_be_reached_is_no_secret_and_no_detail(open_page):
    nobody = {"ENDPOINT_URL": "http://127.0.0.1:9", "REGION": "us-east-1"}
    with override_settings(NOVASONIC=nobody):
        page_tells = await _fails_to_open(open_page)
    assert (page_tells["code"], page_tells["retryable"]) == ("service_failed", True)
    assert "127.0.0.1" not in json.dumps(page_tells)


async def test_a_wrong_key_is_the_sites_business(open_page, parrot, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    # Another configuration: the client of an earlier test would go on with the keys it knows.
    elsewhere = {"ENDPOINT_URL": parrot.url, "CA_BUNDLE": str(parrot.ca_bundle), "REGION": "us-west-2"}
    with override_settings(NOVASONIC=elsewhere):
        page_tells = await _fails_to_open(open_page)
    assert (page_tells["code"], page_tells["retryable"]) == ("service_refused", False)
    assert "signature" not in json.dumps(page_tells).lower()


async def _fails_to_open(open_page) -> dict:
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        assert await page.until_closed() == 4500
        assert [message["type"] for message in page.messages] == ["initialized", "error", "closed"]
        return page.messages[1]


async def test_throttling_asks_to_come_back(open_page, use_emulator):
    with Emulator(faults=[Fault.refuse(429, "ThrottlingException", "Too many requests")]) as busy:
        use_emulator(busy)
        async with open_page(Talker) as page:
            await page.send({"type": "initialize"})
            assert await page.until_closed() == 4503
            assert page.of_type("error")[0]["code"] == "no_capacity"


async def test_a_stream_that_breaks_ends_with_an_error(open_page, use_emulator):
    class Mortal(Talker):
        continuation = None

    with Emulator(faults=[Fault.rst_stream(after_input=12)]) as broken:
        use_emulator(broken)
        async with open_page(Mortal) as page:
            await page.send({"type": "initialize"})
            await page.until("initialized")
            for frame in frames(bytes(RATE * 2)):
                await page.send_audio(frame)
            assert await page.until_closed() == 4500
            assert page.messages[-2]["code"] == "service_failed"


async def test_a_hook_that_fails_is_logged_and_not_told(open_page, caplog):
    class Broken(Talker):
        async def get_system_prompt(self):
            raise OSError("secret path /etc/prompts")

    async with open_page(Broken) as page:
        await page.send({"type": "initialize"})
        assert await page.until_closed() == 4500
        assert page.of_type("error")[0]["code"] == "server_error"
        assert "secret" not in json.dumps(page.messages)
    assert "A hook of Broken" in caplog.text


async def test_hooks_see_the_transcript_and_choose_the_prompt(open_page):
    seen = []

    class Curious(NovaSonicConsumer):
        async def get_system_prompt(self):
            return f"Talk to {self.scope['user'].name}."

        async def on_transcript(self, event):
            seen.append((event.role, event.text))

    user = SimpleNamespace(pk=7, is_authenticated=True, is_active=True, name="Ada")
    async with open_page(Curious, user=user) as page:
        await page.send({"type": "text_message", "text": "Hello there"})
        await page.until("turn_ended", turn=1)
    assert any(role == "assistant" for role, _ in seen)


async def test_a_page_chooses_only_what_the_site_allows(open_page):
    class Choice(Talker):
        voices = ("amy", "tiffany")

    async with open_page(Choice) as page:
        await page.send({"type": "initialize", "voice": "matthew"})
        assert (await page.until("error"))["code"] == "not_allowed"
        await page.send({"type": "initialize", "voice": "amy"})
        await page.until("initialized")


async def test_an_id_that_no_encoder_takes_comes_back(open_page):
    async with open_page(Talker) as page:
        await page.send('{"type":"text_message","text":"","messageId":"\\ud800"}')
        assert (await page.until("error"))["messageId"] == "\ud800"
        await page.send({"type": "initialize"})
        await page.until("initialized")
