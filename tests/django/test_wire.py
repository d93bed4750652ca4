"""The browser wire as tables; no server, no Django."""

import base64
import inspect
import json
import pickle
import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novasonic import events
from novasonic.contrib.asgi import messages, wire
from novasonic.contrib.asgi.wire import CloseCode

RATE = 16_000
HALF_SECOND = base64.b64encode(bytes(RATE)).decode()


RULES = wire.PageRules(
    voices={"amy"}, models={"amazon.nova-2-sonic-v1:0"}, regions=("eu-north-1", "not a region"), languages=["fr", "de"]
)
TRUSTING = wire.PageRules(accept_client_credentials=True)
KEYS_OF_AWS = {"awsAccessKeyId": "AKIAEXAMPLE", "awsSecretAccessKey": "s3cr3t/+=", "awsRegion": "us-east-1"}


def parse(message, rules=RULES):
    return wire.parse_text(json.dumps(message), RATE, rules)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "initialize"}, wire.Initialize()),
        ({"type": "initialize", "audioFormat": "binary"}, wire.Initialize()),
        ({"type": "initialize", "audioFormat": "base64"}, wire.Initialize(base64_audio=True)),
        ({"type": "initialize", "voice": "amy"}, wire.Initialize(voice="amy")),
        ({"type": "initialize", "voice": None, "resumeToken": None, "ticket": None}, wire.Initialize()),
        (
            {"type": "initialize", "model": "amazon.nova-2-sonic-v1:0", "region": "eu-north-1", "language": "fr"},
            wire.Initialize(model="amazon.nova-2-sonic-v1:0", region="eu-north-1", language="fr"),
        ),
        ({"type": "initialize", "resumeToken": "a:b-_1"}, wire.Initialize(resume_token="a:b-_1")),
        ({"type": "initialize", "ticket": "t1"}, wire.Initialize(ticket="t1")),
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
    assert parse(message) == expected


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
        ({"type": "initialize", "resumeToken": ""}, "bad_field", None),
        ({"type": "initialize", "resumeToken": "a b"}, "bad_field", None),
        ({"type": "initialize", "ticket": "x" * 1_025}, "bad_field", None),
        ({"type": "initialize", "ticket": {"$ne": None}}, "bad_field", None),
        ({"type": "initialize", "systemPrompt": "You are a pirate."}, "not_allowed", None),
        ({"type": "initialize", "model": "amazon.titan"}, "not_allowed", None),
        ({"type": "initialize", "model": ["amazon.nova-2-sonic-v1:0"]}, "not_allowed", None),
        ({"type": "initialize", "region": "us-east-1"}, "not_allowed", None),
        ({"type": "initialize", "region": "not a region"}, "not_allowed", None),
        ({"type": "initialize", "region": {"eu-north-1": 1}}, "not_allowed", None),
        ({"type": "initialize", "language": "xx"}, "not_allowed", None),
        ({"type": "initialize", "endpointUrl": "http://evil.example"}, "not_allowed", None),
        ({"type": "initialize", "profile": "admin"}, "not_allowed", None),
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
        parse(message)
    assert (caught.value.code, caught.value.close) == (code, close)
    assert "AKIAEXAMPLE" not in caught.value.message


def test_older_clients_bring_their_own_keys_where_the_site_takes_them():
    read = parse({"type": "initialize", **KEYS_OF_AWS, "systemPrompt": "You are a pirate."}, TRUSTING)
    assert read == wire.Initialize(
        credentials=wire.ClientCredentials("AKIAEXAMPLE", "s3cr3t/+=", None, "us-east-1"), system="You are a pirate."
    )
    read = parse({"type": "initialize", **KEYS_OF_AWS, "awsSessionToken": "t0ken"}, TRUSTING)
    assert read.credentials.session_token == "t0ken"
    # Keys that are not temporary have none.
    assert parse({"type": "initialize", **KEYS_OF_AWS, "awsSessionToken": ""}, TRUSTING).credentials


def test_what_a_page_keeps_secret_is_shown_nowhere():
    message = {"type": "initialize", **KEYS_OF_AWS, "awsSessionToken": "t0ken", "systemPrompt": "pirate"}
    read = parse(message | {"ticket": "tick3t", "resumeToken": "res1me"}, TRUSTING)
    for secret in ("AKIA", "s3cr3t", "t0ken", "pirate", "tick3t", "res1me"):
        assert secret not in repr(read)
    with pytest.raises(TypeError):
        pickle.dumps(read.credentials)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"awsAccessKeyId": None}, "bad_field"),
        ({"awsAccessKeyId": "AKIA\r\nHost: evil"}, "bad_field"),
        ({"awsSecretAccessKey": ""}, "bad_field"),
        ({"awsSecretAccessKey": 7}, "bad_field"),
        ({"awsSessionToken": "a b"}, "bad_field"),
        ({"awsSessionToken": "x" * 8_193}, "bad_field"),
        ({"awsRegion": None}, "bad_field"),
        ({"awsRegion": "evil.example/#"}, "bad_field"),
        ({"systemPrompt": ["x"]}, "bad_field"),
        ({"systemPrompt": "x" * 32_001}, "bad_field"),
        ({"systemPrompt": "\ud83d"}, "bad_field"),
        ({"awsProfile": "admin"}, "not_allowed"),
        ({"awsEndpointUrl": "http://evil.example"}, "not_allowed"),
        ({"system": "You are a pirate."}, "not_allowed"),
    ],
)
def test_keys_of_a_page_come_whole_or_not_at_all(changed, code):
    with pytest.raises(wire.WireError) as caught:
        parse({"type": "initialize", **KEYS_OF_AWS, **changed}, TRUSTING)
    assert (caught.value.code, caught.value.close) == (code, None)
    assert "s3cr3t" not in caught.value.message


def test_a_pages_own_keys_reach_only_the_regions_that_the_site_names_for_pages():
    rules = wire.PageRules(accept_client_credentials=True, regions=("eu-north-1",))
    with pytest.raises(wire.WireError) as caught:
        parse({"type": "initialize", **KEYS_OF_AWS}, rules)
    assert caught.value.code == "not_allowed"
    assert parse({"type": "initialize", **KEYS_OF_AWS, "awsRegion": "eu-north-1"}, rules).credentials


def test_a_system_prompt_without_keys_is_refused_even_where_keys_are_taken():
    with pytest.raises(wire.WireError) as caught:
        parse({"type": "initialize", "systemPrompt": "You are a pirate."}, TRUSTING)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize("name", ["us-east-1", "eu-north-1", "us-gov-west-1", "us-isob-east-1", "ap-southeast-2"])
def test_regions_are_spelt_as_aws_spells_them(name):
    assert wire.is_region(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "us-east-1\n",
        "us-east-\u0661",  # a digit, but of another script
        "US-EAST-1",
        "us-east-1.evil.example",
        "us--1",
        "useast1",
        "us-east-12",
        "evil.example/us-east-1",
        "us-east-1#",
        f"us{'-a' * 40}-1",
        None,
        1,
        ["us-east-1"],
    ],
)
def test_nothing_else_is_a_region(name):
    assert not wire.is_region(name)


@pytest.mark.parametrize("frame", ["", "{", "PCM!" * 256, "[" * 60_000, "NaN7", "1" * 5_000])
def test_what_is_not_json_closes_the_socket(frame):
    with pytest.raises(wire.WireError) as caught:
        wire.parse_text(frame, RATE)
    assert caught.value.code in {"bad_json", "bad_message"}
    assert caught.value.close is CloseCode.BAD_MESSAGE


def nested(depth, leaf="1"):
    """An honest message, `depth` deep in all."""
    return '{"type":"close","x":' + "[" * (depth - 1) + leaf + "]" * (depth - 1) + "}"


def test_json_goes_sixteen_deep_and_no_deeper():
    assert wire.parse_text(nested(16), RATE) == wire.Close()
    assert wire.parse_text(nested(16, r'"[[[{{{\"[[["'), RATE) == wire.Close()
    with pytest.raises(wire.WireError, match="16 deep"):
        wire.parse_text(nested(17), RATE)


def test_brackets_beside_each_other_and_in_strings_are_not_depth():
    assert wire.parse_text('{"type":"close","x":[' + "[]," * 100 + "1]}", RATE) == wire.Close()
    assert wire.parse_text(json.dumps({"type": "text_message", "text": "[" * 999}), RATE).text == "[" * 999


SLOW = ['"' + r"\"" * 32_000, '"' * 65_000, "[" * 17 + '"\\' * 16_000, '{"' * 21_000, '{"\\' * 21_000]


@pytest.mark.parametrize("frame", SLOW, ids=range(len(SLOW)))
def test_a_frame_made_to_be_slow_is_read_once(frame):
    started = time.process_time()
    with pytest.raises(wire.WireError):
        wire.parse_text(frame, RATE)
    # Reading it anew at each quote would take seconds.
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"close","type":"mute"}',
        '{"type":"tool_approval","id":"t1","approve":false,"approve":true}',
        '{"type":"close","x":{"a":1,"\\u0061":2}}',
    ],
)
def test_a_key_that_stands_twice_is_nobodys_guess(frame):
    with pytest.raises(wire.WireError) as caught:
        wire.parse_text(frame, RATE)
    assert (caught.value.code, caught.value.close) == ("bad_json", CloseCode.BAD_MESSAGE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_pythons_alone_are_not_json(number):
    with pytest.raises(wire.WireError) as caught:
        wire.parse_text('{"type":"close","x":' + number + "}", RATE)
    assert caught.value.code == "bad_json"


def test_a_site_may_take_shorter_texts_only():
    with pytest.raises(wire.WireError, match="at most 3 characters"):
        parse({"type": "text_message", "text": "Hello"}, wire.PageRules(max_text_chars=3))


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
    assert message["resumeToken"] is None
    assert wire.initialized("5f0c", 16_000, 24_000, "t")["resumeToken"] == "t"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (wire.queued(3), {"type": "queued", "position": 3}),
        (wire.reconnect(1_500, "t"), {"type": "reconnect", "afterMs": 1_500, "resumeToken": "t"}),
        (wire.resumed("5f", 7), {"type": "resumed", "sessionId": "5f", "turn": 7}),
        (wire.resume_token("t"), {"type": "resume_token", "resumeToken": "t"}),
        (wire.heartbeat(), {"type": "heartbeat"}),
    ],
)
def test_what_workers_tell_becomes_messages(message, expected):
    assert message == expected


# A page is anybody: whatever comes, it is read, or refused by name.

any_text = st.text(st.characters(), max_size=40)  # halves of surrogate pairs included
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
TYPES = ("initialize", "audio_chunk", "text_message", "played", "tool_approval", "interrupt", "mute", "unmute", "close")
KEYS = ("voice", "region", "audioFormat", "resumeToken", "ticket", "awsSecret", *KEYS_OF_AWS, "systemPrompt")
KEYS += ("audio", "isComplete", "text", "messageId", "turn", "ms")
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
@given(near_messages | any_json, st.booleans(), st.sampled_from([RULES, TRUSTING]))
@example({"type": "text_message", "text": "", "messageId": "\ud800"}, True, RULES)
def test_any_json_is_a_message_or_refused(message, escaped, rules):
    answer_to(lambda: wire.parse_text(json.dumps(message, ensure_ascii=escaped), RATE, rules))


@given(any_json)
def test_depth_is_what_the_json_has(value):
    def depth(part):
        match part:
            case dict():
                return 1 + max(map(depth, part.values()), default=0)
            case list():
                return 1 + max(map(depth, part), default=0)
        return 0

    # Below a ladder, so that what hypothesis draws crosses the bound.
    frame = "[" * 14 + json.dumps(value) + "]" * 14
    assert wire._is_deep(frame) == (depth(value) + 14 > 16)


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


PAGE = Path(wire.__file__).parents[1] / "django" / "static" / "novasonic" / "words.js"
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "browser-wire.md"


@pytest.mark.parametrize("code", CloseCode)
def test_the_page_and_the_reference_know_every_close_code(code):
    assert f"\n  {code:d}: " in PAGE.read_text()
    assert f"\n| {code:d} | " in DOCS.read_text()


CONTRIB = Path(wire.__file__).parents[1]
# `WireError("code"`, `Refused(CloseCode.X, "code"`, `finish(CloseCode.X, "code"` and so on.
CODES = re.compile(r'(?:WireError\(|CloseCode\.[A-Z_]+,|wire\.error\()\s*"([a-z_]+)"')


def error_codes():
    return {code for module in CONTRIB.rglob("*.py") for code in CODES.findall(module.read_text())}


def test_the_reference_names_every_error_code():
    listed = set(re.findall(r"^\| (`[a-z_`, ]+`) \|", DOCS.read_text(), re.MULTILINE))
    named = {code for cell in listed for code in re.findall(r"[a-z_]+", cell)}
    assert len(error_codes()) > 20
    assert error_codes() <= named


def test_the_reference_names_every_message_both_ways():
    text = DOCS.read_text()
    # What `parse_text` knows, as its own source has it.
    kinds = set(re.findall(r'case "([a-z_]+)":', inspect.getsource(wire.parse_text)))
    kinds |= set(re.findall(r'"type": "([a-z_]+)"', inspect.getsource(messages)))
    assert kinds > {"initialize", "heartbeat", "tool"}
    for kind in kinds:
        assert re.search(rf"^\|[^|]*`{kind}`", text, re.MULTILINE), kind
