"""Events as values."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novasonic import AudioOutput, Timings, ToolCall, Transcript, UnknownEvent
from novasonic._rows import EVENT_CLASSES, event_from_row

BASE = {"at": 1.0, "turn": 1, "raw_type": "audioOutput"}


def test_events_are_frozen_slotted_and_match_by_their_own_fields():
    event = Transcript("user", "hello", True, 0, **BASE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.text = "goodbye"
    assert not hasattr(event, "__dict__")
    match event:
        case Transcript("user", text, True, 0):
            assert text == "hello"
        case _:
            pytest.fail("positional patterns must see the event's own fields")


def test_reprs_hold_nothing_that_was_said():
    spoken = [
        AudioOutput(b"\x11\x22", 24_000, **BASE),
        Transcript("user", "a secret", True, 0, **BASE),
        ToolCall("id", "find", {"what": "a secret"}, False, **BASE),
        UnknownEvent("newEvent", '{"secret": 1}', **BASE),
    ]
    assert "secret" not in repr(spoken)
    assert "x11" not in repr(spoken)


def test_audio_knows_how_long_it_plays():
    assert AudioOutput(bytes(48_000), 24_000, **BASE).seconds == 1.0


@pytest.mark.parametrize(
    ("user_ended", "first_audio", "expected"), [(1.0, 1.5, 0.5), (None, 1.5, None), (1.0, None, None)]
)
def test_a_response_is_measured_from_the_last_word_to_the_first_sound(user_ended, first_audio, expected):
    assert Timings(0.5, user_ended, first_audio, 2.0).response_seconds == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"to": "Bob"}', {"to": "Bob"}),
        (json.dumps('{"to": "Bob"}'), {"to": "Bob"}),
        (json.dumps(json.dumps('{"to": "Bob"}')), {"to": "Bob"}),
        ("", {}),
        ('["to", "Bob"]', {}),
        ("Bob", {}),
    ],
)
def test_a_calls_arguments_are_shown_as_the_tool_will_get_them(text, shown):
    # Somebody approves what they see here: it must be what runs, however often the model encoded it.
    row = (EVENT_CLASSES.index(ToolCall), 0.5, 1, "toolUse", "id", "pay", text)
    assert event_from_row(row, lambda _: True).arguments == shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters()) | json_values.map(json.dumps) | json_values.map(json.dumps).map(json.dumps))
def test_whatever_a_model_writes_as_arguments_is_shown_as_an_object(text):
    row = (EVENT_CLASSES.index(ToolCall), 0.5, 1, "toolUse", "id", "pay", text)
    shown = event_from_row(row, lambda _: True).arguments
    assert isinstance(shown, dict)
    # It goes on to a page: as text of the wire, and as JSON that any parser takes.
    json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()
