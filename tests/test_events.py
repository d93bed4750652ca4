"""Events as values, and the transcript that they make."""

import dataclasses

import pytest

from novasonic import AudioOutput, Interrupted, Message, Transcript, TurnEnded, TurnStarted, UnknownEvent
from novasonic.transcript import TranscriptLog

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
        UnknownEvent("newEvent", '{"secret": 1}', **BASE),
    ]
    assert "secret" not in repr(spoken)
    assert "x11" not in repr(spoken)


def test_audio_knows_how_long_it_plays():
    assert AudioOutput(bytes(48_000), 24_000, **BASE).seconds == 1.0


class Log:
    def __init__(self):
        self.log = TranscriptLog()

    def say(self, turn, role, segment, text, *, final):
        self.log.add(Transcript(role, text, final, segment, at=0.0, turn=turn, raw_type="textOutput"))
        return self

    def audio(self, turn):
        self.log.add(AudioOutput(bytes(2), 24_000, at=0.0, turn=turn, raw_type="audioOutput"))
        return self

    def event(self, cls, turn, *fields):
        self.log.add(cls(*fields, at=0.0, turn=turn, raw_type="contentEnd"))
        return self

    def __str__(self):
        return str(self.log.view())


def test_final_replaces_planned_in_place():
    log = Log().say(1, "user", 0, "Tell me a story.", final=True)
    log.say(1, "assistant", 0, "Once upon a time.", final=False).say(1, "assistant", 1, "The end.", final=False)
    assert str(log) == "user: Tell me a story.\nassistant: Once upon a time. The end."
    assert [entry.final for entry in log.log.view()] == [True, False]
    log.say(1, "assistant", 0, "Once, long ago.", final=True)
    log.say(1, "assistant", 0, "Once upon a time.", final=False)
    assert str(log) == "user: Tell me a story.\nassistant: Once, long ago. The end."


def test_late_finals_keep_their_place():
    log = Log().say(1, "user", 0, "One.", final=True).say(1, "assistant", 0, "Two.", final=False)
    log.say(2, "user", 0, "Three.", final=True).say(1, "assistant", 0, "Two!", final=True)
    assert str(log) == "user: One.\nassistant: Two!\nuser: Three."


@pytest.mark.parametrize(
    "cut", [(Interrupted, 1, "model"), (TurnEnded, 1, True)], ids=["interrupted", "turn-ended-interrupted"]
)
def test_a_cut_turn_keeps_the_sentences_that_were_voiced(cut):
    log = Log().say(1, "assistant", 0, "Spoken.", final=False).audio(1).say(1, "assistant", 1, "Never.", final=False)
    assert str(log) == "assistant: Spoken. Never."
    log.event(*cut)
    assert str(log) == "assistant: Spoken."
    assert log.log.view()[0].interrupted


def test_a_cut_turn_ends_where_its_last_final_text_does():
    log = Log().say(1, "assistant", 0, "All of it.", final=False).audio(1)
    log.say(1, "assistant", 1, "And more.", final=False).audio(1).event(Interrupted, 1, "model")
    log.say(1, "assistant", 0, "All of", final=True)
    assert str(log) == "assistant: All of"


def test_a_view_does_not_change_and_shows_no_text():
    log = Log().event(TurnStarted, 1).say(1, "user", 0, "A secret.", final=True)
    view = log.log.view()
    assert view is log.log.view()
    log.say(2, "user", 0, "Another.", final=True)
    assert len(view) == 1
    assert "secret" not in f"{view!r} {view[0]!r}"
    assert Message(view[0].role, view[0].text).text == "A secret."
    assert view[:1] == (view[0],)
