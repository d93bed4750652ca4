"""What comes after a turn is over, or not in the order that one hopes for; events are said by hand."""

import asyncio
from types import SimpleNamespace

import pytest
from recordsupport import writer  # noqa: F401

from novasonic import events
from novasonic.contrib.asgi.companion import Conversation as Talk
from novasonic.contrib.django import signals
from novasonic.contrib.django.models import Conversation, ToolCall, Turn
from novasonic.contrib.django.records import errands
from novasonic.contrib.django.records.companion import Records
from novasonic.transcript import TranscriptEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("writer")]


class Handler:
    """As much of a handler as records look at."""

    voice, input_rate, user = "tiffany", 16_000, None
    chosen = SimpleNamespace(voice=None)

    def __init__(self):
        self.conversation = Talk(owner="ada")
        self.ends = []

    def get_model(self):
        return "amazon.nova"

    async def hang_up(self, close, code, message, **how):
        self.ends.append((int(close), code, how["reason"]))


def sentence(text, role="assistant", *, final=False, turn=1, segment=0):
    return events.Transcript(at=1.0, turn=turn, raw_type="", role=role, text=text, final=final, segment=segment)


def over(*, interrupted=False, turn=1):
    timings = events.Timings(started=0.5, user_ended=1.0, first_audio=1.5, ended=3.0)
    return events.TurnEnded(at=3.0, turn=turn, raw_type="", interrupted=interrupted, timings=timings)


@pytest.fixture
async def session():
    return SimpleNamespace(transcript=[])


@pytest.fixture
async def records(session):
    made = Records(Handler())
    await made.opened(session)
    yield made
    await made.ended("closed", None)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def written():
    """The turns, in order."""
    return [one async for one in Turn.objects.order_by("number")]


async def test_a_final_text_that_comes_late_replaces_what_was_planned(records, eventually, writer):  # noqa: F811
    records.event(sentence("hello", "user", final=True))
    records.event(sentence("Good evning."))
    await records.turn_ended(over())
    (turn,) = await written()
    assert (turn.assistant_text, turn.seconds, turn.response_seconds) == ("Good evning.", 2.5, 0.5)
    before = writer.snapshot()["written"]
    records.event(sentence("Good evening.", final=True))
    records.event(sentence("Good evening.", final=True))
    await eventually(lambda: writer.snapshot()["written"] > before)
    (turn,) = await written()
    assert turn.assistant_text == "Good evening."
    assert writer.snapshot()["written"] == before + 1


async def test_what_the_page_played_before_it_stopped_is_told_late(records, session, eventually, writer):  # noqa: F811
    def heard(text):
        session.transcript = [
            TranscriptEntry(turn=1, role="assistant", text=text, planned="One. Two.", final=True, interrupted=True)
        ]

    records.event(sentence("One. Two."))
    records.event(events.Interrupted(at=1.0, turn=1, raw_type="", source="model"))
    heard("One. T")
    await records.turn_ended(over(interrupted=True))
    before = writer.snapshot()["written"]
    heard("One.")
    records.played(1, 500)
    await eventually(lambda: writer.snapshot()["written"] > before)
    (turn,) = await written()
    assert (turn.assistant_text, turn.interrupted) == ("One.", True)


async def test_the_end_writes_what_came_late_and_what_was_not_over(session):
    records = Records(Handler())
    await records.opened(session)
    records.event(sentence("One."))
    await records.turn_ended(over())
    records.event(sentence("One!", final=True))
    records.event(sentence("and two?", "user", final=True, turn=2))
    call = events.ToolCall(at=4.0, turn=2, raw_type="", id="c", name="add", arguments={"a": 1}, needs_approval=False)
    records.event(call)
    await records.ended("gone", ConnectionError("my secret"))
    first, second = await written()
    assert (first.assistant_text, first.interrupted) == ("One!", False)
    assert (second.user_text, second.interrupted, second.seconds) == ("and two?", True, None)
    assert (await ToolCall.objects.aget()).ok is None
    conversation = await Conversation.objects.aget()
    assert (conversation.reason, conversation.error_code) == ("gone", "ConnectionError")


async def test_what_was_deleted_ends_the_conversation(records):
    await records.turn_ended(over())
    await Conversation.objects.all().adelete()
    await records.turn_ended(over(turn=2))
    assert records.handler.ends[0] == (4403, "records_deleted", "closed")
    assert not await Conversation.objects.aexists()


async def test_who_is_fenced_between_turns_is_told_too(records, eventually):
    await Conversation.objects.aupdate(generation=2)
    counts = events.TokenCounts(1, 1, 1, 1)
    records.event(events.Usage(at=1.0, turn=1, raw_type="", delta=counts, total=counts, usd=0.1))
    await eventually(lambda: records.handler.ends)
    assert records.handler.ends == [(4409, "taken_over", "reconnect")]


async def test_a_receiver_that_hangs_holds_up_nothing_but_the_signals(session, monkeypatch, caplog):
    monkeypatch.setattr(errands, "END_SECONDS", 0.1)
    hangs = asyncio.Event()

    async def receiver(**_):
        await hangs.wait()

    records = Records(Handler())
    signals.conversation_started.connect(receiver)
    try:
        await records.opened(session)
        async with asyncio.timeout(5):
            await records.turn_ended(over())
            await records.ended("closed", None)
    finally:
        signals.conversation_started.disconnect(receiver)
    assert "took too long" in caplog.text
    assert (await Conversation.objects.aget()).reason == "closed"


async def test_one_that_never_opened_leaves_no_row(session):
    records = Records(Handler())
    records.heard(b"\0\0")
    records.event(sentence("hello"))
    records.played(1, 100)
    await records.turn_ended(over())
    await records.ended("refused", None)
    assert not await Conversation.objects.aexists()
