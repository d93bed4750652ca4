"""What events say, gathered until it is written."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from novasonic import events
from novasonic.contrib.django.records.gathered import Gathered, Said
from novasonic.contrib.django.records.history import HISTORY_BYTES, MESSAGE_BYTES, history_of
from novasonic.contrib.django.records.rows import TEXT_LIMIT, bounded_json, clean, owner_key
from novasonic.transcript import TranscriptEntry


def sentence(text, segment=1, *, role="assistant", final=False):
    return events.Transcript(at=1.0, turn=1, raw_type="", role=role, text=text, final=final, segment=segment)


def heard(text, planned="One. Two. Three."):
    return TranscriptEntry(turn=1, role="assistant", text=text, planned=planned, final=False, interrupted=True)


def said(*sentences, interrupted=False):
    made = Said(1, interrupted=interrupted)
    for one in sentences:
        made.add(one)
    return made


def test_a_final_sentence_replaces_the_planned_one_whichever_comes_first():
    one = said(sentence("Good."), sentence("Good evening.", final=True), sentence("Bye.", 2))
    assert one.texts(None) == ("", "Good evening. Bye.")
    assert not one.add(sentence("Good."))
    assert not one.add(sentence("Good evening.", final=True))
    assert one.add(sentence("Bye, bye.", 2, final=True))
    assert one.texts(None) == ("", "Good evening. Bye, bye.")


@pytest.mark.parametrize(
    ("told", "text", "kept"),
    [
        (("One.", "Two.", "Three."), "One. Tw", "One. Tw"),
        (("One.", "Two.", "Three."), "", ""),
        # The session is ahead of the events that were read.
        (("One.",), "One. Tw", "One."),
        # The second sentence was kept from the page.
        (("One.", None, "Three."), "One. Two. Thr", "One."),
        (("One.", None, "Three."), "One. Two. Three.", "One. Three."),
    ],
)
def test_of_an_answer_that_was_talked_over_what_was_heard_is_kept(told, text, kept):
    sentences = [sentence(text, number) for number, text in enumerate(told) if text is not None]
    assert said(*sentences, interrupted=True).texts(heard(text)) == ("", kept)
    assert said(*sentences).texts(None)[1] == " ".join(filter(None, told))


def test_what_turns_cost_adds_up_to_what_the_conversation_cost():
    gathered = Gathered(datetime.now(UTC), keeps_arguments=False)
    counts = events.TokenCounts(speech_in=1, text_in=2, speech_out=3, text_out=4)
    records = [
        gathered.spend(events.Usage(at=1.0, turn=turn, raw_type="", delta=counts, total=counts, usd=usd), generation=3)
        for turn, usd in ((1, 0.1), (1, 0.25), (None, 0.3), (2, 0.7000004))
    ]
    assert [(one["turn"], one["usd"]) for one in records] == [
        (1, Decimal("0.1")), (1, Decimal("0.25")), (0, Decimal("0.05")), (2, Decimal("0.4")),
    ]  # fmt: skip
    assert records[1]["speech_out"] == 6
    assert gathered.spent == {"speech_in": 4, "text_in": 8, "speech_out": 12, "text_out": 16, "usd": Decimal("0.7")}


def test_texts_are_made_such_that_every_database_takes_them():
    assert clean("a\0b") == "ab"
    assert clean("half \ud83d of a pair") == "half ? of a pair"
    assert len(clean("x" * (TEXT_LIMIT + 1))) == TEXT_LIMIT
    odd = {"a\0": ["\ud83d", 1, None, (True, 2.5)], 3: object}
    assert bounded_json(odd) == {"a": ["?", 1, None, [True, 2.5]], "3": str(object)}
    assert bounded_json([float("nan"), float("inf")]) == ["nan", "inf"]
    deep = []
    for _ in range(900):
        deep = [deep]
    assert json.dumps(bounded_json(deep), ensure_ascii=False).strip("[]") == '"…"'
    long = bounded_json({"text": ["x" * 1_000] * 100})
    assert isinstance(long, str)
    assert len(long) == TEXT_LIMIT


def test_an_owner_too_long_to_be_kept_is_kept_as_a_hash():
    assert owner_key(None) == ""
    assert owner_key("7") == "7"
    assert owner_key("x" * 255) == "x" * 255
    long = owner_key("x" * 256)
    assert long.startswith("sha256:")
    assert long != owner_key("y" * 256)


def test_the_history_of_a_conversation_is_one_that_the_service_takes():
    turns = [("", "Welcome."), ("Hello.", ""), ("Anybody there?", "Yes."), ("", "What is it?"), (" ", " ")]
    assert [(one.role, one.text) for one in history_of(turns)] == [
        ("user", "Hello.\nAnybody there?"), ("assistant", "Yes.\nWhat is it?"),
    ]  # fmt: skip
    assert history_of([("", "Welcome.")]) == ()


def test_of_a_long_history_the_newest_is_told():
    told = history_of([("é" * 40_000, f"answer {number}") for number in range(20)])
    sizes = [len(one.text.encode()) for one in told]
    assert max(sizes) <= MESSAGE_BYTES
    assert HISTORY_BYTES - MESSAGE_BYTES < sum(sizes) <= HISTORY_BYTES
    assert (told[0].role, told[-1].text) == ("user", "answer 19")
