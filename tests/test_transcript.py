"""The conversation as the core remembers it, as the API shows it. What counts as heard is tested in Rust."""

import json

from novasonic import Message
from novasonic.transcript import view

TIMES = (1.0, 1.0, 1.5, 3.0)
ROWS = [
    # number, interrupted, user final, assistant final, user, planned, heard, timings
    (1, False, True, True, "", "Hello.", "Hello.", TIMES),
    (2, True, True, True, "A secret.", "All of it and more.", "All of", TIMES),
    (3, False, True, False, "And?", "Well,", "Well,", (4.0, None, None, None)),
]


def test_one_entry_for_each_side_that_spoke():
    transcript = view(ROWS)
    assert str(transcript) == "assistant: Hello.\nuser: A secret.\nassistant: All of\nuser: And?\nassistant: Well,"
    assert [(entry.turn, entry.final, entry.interrupted) for entry in transcript] == [
        (1, True, False),
        (2, True, True),
        (2, True, True),
        (3, True, False),
        (3, False, False),
    ]
    assert transcript[2].planned == "All of it and more."
    assert transcript[:1] == (transcript[0],)
    assert transcript == view(ROWS)
    assert Message(transcript[1].role, transcript[1].text).text == "A secret."


def test_a_view_shows_no_text_by_itself():
    transcript = view(ROWS)
    assert "secret" not in f"{transcript!r} {transcript[1]!r}"


def test_as_json():
    turns = json.loads(view(ROWS).json())
    timings = {"started": 1.0, "user_ended": 1.0, "first_audio": 1.5, "ended": 3.0, "response_seconds": 0.5}
    assert turns[0] == {
        "turn": 1,
        "user": None,
        "assistant": "Hello.",
        "planned": "Hello.",
        "interrupted": False,
        "final": True,
        "timings": timings,
    }
    assert turns[1]["assistant"] == "All of"
    assert turns[1]["planned"] == "All of it and more."
    assert (turns[2]["final"], turns[2]["timings"]["response_seconds"]) == (False, None)


def test_nothing_heard_of_a_reply_is_still_an_entry():
    (row,) = view([(1, True, True, True, "", "Never heard.", "", TIMES)])
    assert (row.text, row.planned) == ("", "Never heard.")
