"""The browser wire as tables; no server, no Django."""

import base64
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novasonic import events
from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.wire import CloseCode

RATE = 16_000
HALF_SECOND = base64.b64encode(bytes(RATE)).decode()


def parse(message, **options):
    return wire.parse_text(json.dumps(message), RATE, **options)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "initialize"}, wire.Initialize()),
        ({"type": "initialize", "audioFormat": "binary"}, wire.Initialize()),
        ({"type": "initialize", "audioFormat": "base64"}, wire.Initialize(base64_audio=True)),
        ({"type": "initialize", "voice": "amy"}, wire.Initialize(voice="amy")),
        ({"type": "audio_chunk", "audio": "AAEC/w=="}, wire.AudioChunk(b"\x00\x01\x02\xff", is_complete=False)),
        ({"type": "audio_chunk", "isComplete": True}, wire.AudioChunk(b"", is_complete=True)),
        ({"type": "audio_chunk", "audio": HALF_SECOND}, wire.AudioChunk(bytes(RATE), is_complete=False)),
        ({"type": "text_message", "text": "Hello"}, wire.TextMessage("Hello", None)),
        ({"type": "text_message", "text": "Hé 🎈", "messageId": "m1"}, wire.TextMessage("Hé 🎈", "m1")),
        ({"type": "played", "turn": 3, "ms": 1250}, wire.Played(3, 1250)),
        ({"type": "tool_approval", "id": "t1", "approve": True}, wire.ToolApproval("t1", approve=True)),
        ({"type": "tool_approval", "id": "t1", "approve": False}, wire.ToolApproval("t1", approve=False)),
        ({"type": "interrupt"}, wire.Interrupt()),
        ({"type": "mute"}, wire.Mute(muted=True)),
        ({"type": "unmute"}, wire.Mute(muted=False)),
        ({"type": "close"}, wire.Close()),
    ],
)
def test_every_message_of_the_page_is_read(message, expected):
    assert parse(message, voices={"amy"}) == expected


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ([], "bad_message", CloseCode.BAD_MESSAGE),
        ("hello", "bad_message", CloseCode.BAD_MESSAGE),
        ({}, "bad_message", CloseCode.BAD_MESSAGE),
        ({"type": 7}, "bad_message", CloseCode.BAD_MESSAGE),
        ({"type": "initialise"}, "unknown_type", None),
        ({"type": "tool_approval", "id": "t1"}, "bad_field", None),
        ({"type": "tool_approval", "id": "t1", "approve": "false"}, "bad_field", None),
        ({"type": "tool_approval", "id": "t1", "approve": 1}, "bad_field", None),
        ({"type": "tool_approval", "approve": True}, "bad_field", None),
        ({"type": "tool_approval", "id": "", "approve": True}, "bad_field", None),
        ({"type": "tool_approval", "id": "t" * 129, "approve": True}, "bad_field", None),
        ({"type": "initialize", "resumeToken": 7}, "bad_field", None),
        ({"type": "initialize", "ticket": "é"}, "bad_field", None),
        ({"type": "initialize", "system": "You are a pirate."}, "not_allowed", None),
        ({"type": "initialize", "voice": "matthew"}, "not_allowed", None),
        ({"type": "initialize", "voice": ["amy"]}, "not_allowed", None),
        ({"type": "initialize", "audioFormat": "opus"}, "not_allowed", None),
        ({"type": "initialize", "awsAccessKeyId": "AKIAEXAMPLE"}, "credentials_not_accepted", CloseCode.NOT_ALLOWED),
        ({"type": "initialize", "secret_access_key": "x"}, "credentials_not_accepted", CloseCode.NOT_ALLOWED),
        ({"type": "initialize", "credentials": {}}, "credentials_not_accepted", CloseCode.NOT_ALLOWED),
        ({"type": "initialize", "SessionToken": "x"}, "credentials_not_accepted", CloseCode.NOT_ALLOWED),
        ({"type": "audio_chunk", "audio": "not base64!"}, "audio_not_base64", None),
        ({"type": "audio_chunk", "audio": "é"}, "audio_not_base64", None),
        ({"type": "audio_chunk", "audio": "AAEC"}, "audio_format", None),
        ({"type": "audio_chunk", "audio": 7}, "bad_field", None),
        ({"type": "audio_chunk", "audio": "", "isComplete": "yes"}, "bad_field", None),
        (
            {"type": "audio_chunk", "audio": base64.b64encode(bytes(RATE * 2 + 2)).decode()},
            "audio_too_long",
            CloseCode.TOO_LARGE,
        ),
        ({"type": "text_message"}, "bad_field", None),
        ({"type": "text_message", "text": " \n"}, "bad_field", None),
        ({"type": "text_message", "text": "\ud83d"}, "bad_field", None),
        ({"type": "text_message", "text": "x" * (wire.MAX_TEXT_CHARS + 1)}, "text_too_long", None),
        ({"type": "text_message", "text": "x", "messageId": 7}, "bad_field", None),
        ({"type": "text_message", "text": "x", "messageId": "m" * 129}, "bad_field", None),
        ({"type": "played", "turn": 1}, "bad_field", None),
        ({"type": "played", "turn": True, "ms": 1}, "bad_field", None),
        ({"type": "played", "turn": 1, "ms": -1}, "bad_field", None),
        ({"type": "played", "turn": 1, "ms": 1.5}, "bad_field", None),
        ({"type": "played", "turn": 0, "ms": 1}, "bad_field", None),
        ({"type": "played", "turn": 1, "ms": 2**32}, "bad_field", None),
        ({"type": "text_message", "text": "x" * wire.MAX_TEXT_FRAME_CHARS}, "message_too_long", CloseCode.TOO_LARGE),
    ],
)
def test_each_kind_of_bad_message_has_its_own_answer(message, code, close):
    with pytest.raises(wire.WireError) as caught:
        parse(message, voices={"amy"})
    assert (caught.value.code, caught.value.close) == (code, close)
    assert "AKIAEXAMPLE" not in caught.value.message


@pytest.mark.parametrize("frame", ["", "{", "PCM!" * 256, "[" * 60_000, "NaN7", "1" * 5_000])
def test_what_is_not_json_closes_the_socket(frame):
    with pytest.raises(wire.WireError) as caught:
        wire.parse_text(frame, RATE)
    assert caught.value.code in {"bad_json", "bad_message"}
    assert caught.value.close is CloseCode.BAD_MESSAGE


def test_a_refused_text_names_its_message():
    with pytest.raises(wire.WireError) as caught:
        parse({"type": "text_message", "text": "", "messageId": "m7"})
    assert caught.value.message_id == "m7"


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 192_000])
def test_a_binary_frame_holds_whole_samples_of_one_second_at_most(rate):
    assert wire.parse_binary(bytes(rate * 2), rate) == bytes(rate * 2)
    with pytest.raises(wire.WireError) as caught:
        wire.parse_binary(bytes(rate * 2 + 2), rate)
    assert (caught.value.code, caught.value.close) == ("audio_too_long", CloseCode.TOO_LARGE)
    with pytest.raises(wire.WireError) as caught:
        wire.parse_binary(bytes(1023), rate)
    assert (caught.value.code, caught.value.close) == ("audio_format", None)


def test_a_second_of_the_highest_rate_fits_a_text_frame():
    message = {"type": "audio_chunk", "audio": base64.b64encode(bytes(24_000 * 2)).decode(), "isComplete": False}
    assert len(wire.parse_text(json.dumps(message), 24_000).pcm) == 48_000


AT = {"at": 1.5, "raw_type": "textOutput"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            events.Transcript(**AT, turn=2, role="assistant", text="Once", final=False, segment=1),
            {"type": "transcript", "role": "assistant", "text": "Once", "final": False, "turn": 2, "segment": 1},
        ),
        (events.TurnStarted(**AT, turn=2), {"type": "turn_started", "turn": 2}),
        (
            events.TurnEnded(**AT, turn=2, interrupted=True, timings=events.Timings(0.0, 1.0, 1.25, 2.0)),
            {"type": "turn_ended", "turn": 2, "interrupted": True, "responseMs": 250},
        ),
        (
            events.Usage(
                **AT, turn=2, delta=events.TokenCounts(1, 0, 2, 0), total=events.TokenCounts(9, 8, 7, 6), usd=0.5
            ),
            {
                "type": "usage",
                "turn": 2,
                "total": {"speechIn": 9, "textIn": 8, "speechOut": 7, "textOut": 6},
                "usd": 0.5,
            },
        ),
        (events.Renewing(**AT, turn=None, reason="age"), {"type": "renewing", "turn": None, "reason": "age"}),
        (
            events.Renewed(**AT, turn=2, seconds=0.0312, replayed_seconds=1.5),
            {"type": "renewed", "turn": 2, "ms": 31, "replayedMs": 1500},
        ),
        (events.Interrupted(**AT, turn=2, source="model"), {"type": "interrupted", "turn": 2, "source": "model"}),
    ],
)
def test_events_become_messages(event, message):
    assert wire.from_event(event) == message
    assert json.loads(wire.encode(message)) == message


CALL = events.ToolCall(**AT, turn=2, id="t1", name="pay", arguments={"to": "Bob"}, needs_approval=True)
FINISHED = events.ToolFinished(**AT, turn=2, id="t1", ok=False, seconds=1.23456)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            wire.tool_called(CALL),
            {"type": "tool", "turn": 2, "id": "t1", "name": "pay", "state": "called", "ok": None, "seconds": None},
        ),
        (wire.tool_called(CALL, arguments=True), wire.tool_called(CALL) | {"arguments": {"to": "Bob"}}),
        (
            wire.tool_finished(FINISHED, "pay"),
            {"type": "tool", "turn": 2, "id": "t1", "name": "pay", "state": "finished", "ok": False, "seconds": 1.235},
        ),
        (
            wire.tool_approval(CALL),
            {"type": "tool_approval", "turn": 2, "id": "t1", "name": "pay", "arguments": {"to": "Bob"}},
        ),
    ],
)
def test_tools_become_messages(message, expected):
    assert message == expected
    assert json.loads(wire.encode(message)) == expected


def test_audio_becomes_base64_only_where_asked():
    event = events.AudioOutput(**AT, turn=4, pcm=b"\x01\x02", rate=24_000)
    assert wire.from_event(event) is None
    assert wire.audio_chunk(event) == {"type": "audio_chunk", "turn": 4, "audio": "AQI="}


def test_initialized_tells_what_the_page_needs_to_play_and_record():
    message = wire.initialized("5f0c", 16_000, 24_000)
    assert message.keys() == {
        "type",
        "protocol",
        "sessionId",
        "message",
        "timestamp",
        "inputRate",
        "outputRate",
        "resumeToken",
    }
    assert (message["inputRate"], message["outputRate"], message["protocol"]) == (16_000, 24_000, 1)


# A page is anybody: whatever comes, it is read, or refused by name.

any_text = st.text(st.characters(), max_size=40)  # halves of surrogate pairs included
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
TYPES = ("initialize", "audio_chunk", "text_message", "played", "tool_approval", "interrupt", "mute", "unmute", "close")
KEYS = ("voice", "audioFormat", "resumeToken", "awsSecret", "audio", "isComplete", "text", "messageId", "turn", "ms")
near_misses = st.sampled_from(
    ["amy", "base64", "", "AAAA", "=", "AAE", True, 0, 1, 2**32, -1, 1.0, "x" * 129, "\ud800"]
)
near_messages = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(TYPES) | any_json,
    st.dictionaries(st.sampled_from([*KEYS, "id", "approve"]) | any_text, near_misses | any_json, max_size=5),
)


def answer_to(read):
    """What the server would send back, as bytes of the socket; None where it takes the message."""
    try:
        message = read()
    except wire.WireError as error:
        refused = error
        sound = refused.code and refused.message and (refused.close is None or refused.close >= 4400)
    else:
        # An id comes back where the session refuses the text.
        refused = wire.WireError("x", "x", message_id=getattr(message, "message_id", None))
        sound = isinstance(message, wire.ClientMessage)
    assert sound
    text = wire.encode(wire.error(refused.code, refused.message, message_id=refused.message_id))
    assert json.loads(text.encode())["type"] == "error"


@settings(max_examples=500, deadline=None)
@given(near_messages | any_json, st.booleans())
@example({"type": "text_message", "text": "", "messageId": "\ud800"}, True)
def test_any_json_is_a_message_or_refused(message, escaped):
    answer_to(lambda: wire.parse_text(json.dumps(message, ensure_ascii=escaped), RATE, voices={"amy"}))


@settings(deadline=None)
@given(st.text() | st.text('{}[]",:\\u0d8e1\x00', max_size=30))
def test_any_text_is_a_message_or_refused(frame):
    answer_to(lambda: wire.parse_text(frame, RATE))


@pytest.mark.parametrize(
    "frame", ["[" * 60_000, '{"type":' * 9_000, "9" * 60_000, '{"type":"played","turn":' + "9" * 5_000 + "}"]
)
def test_depth_and_length_are_refused_as_anything_else(frame):
    answer_to(lambda: wire.parse_text(frame, RATE))


@given(st.binary(max_size=80), st.integers(1, 40))
def test_any_bytes_are_whole_samples_or_refused(frame, rate):
    if len(frame) <= rate * 2 and len(frame) % 2 == 0:
        assert wire.parse_binary(frame, rate) == frame
    else:
        with pytest.raises(wire.WireError) as refused:
            wire.parse_binary(frame, rate)
        assert refused.value.code == ("audio_too_long" if len(frame) > rate * 2 else "audio_format")


@given(st.dictionaries(any_text, any_json, max_size=3))
def test_whatever_arguments_hold_can_be_written(arguments):
    call = events.ToolCall("c", "pay", arguments, True, at=0.0, turn=1, raw_type="toolUse")
    for message in (wire.tool_called(call, arguments=True), wire.tool_approval(call)):
        wire.encode(message).encode()
