"""What of a conversation is written, through the consumer, against the emulator."""

import asyncio
import uuid

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import override_settings
from recordsupport import switched_off, writer  # noqa: F401

import novasonic
from novasonic.contrib.django import signals
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.models import Conversation, ToolCall, Turn, UsageRecord
from novasonic.contrib.django.records import store
from novasonic.contrib.django.records.companion import Records

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator, writer):  # noqa: F811
    use_emulator(parrot)


def configured(**keys):
    return override_settings(NOVASONIC=settings.NOVASONIC | keys)


async def shout(text, *, role):
    return f"{role}: {text.upper()}"


async def fail(text, *, role):
    raise RuntimeError(text)


class Talker(NovaSonicConsumer):
    system = "You are a parrot."
    voice = "matthew"

    def get_companions(self):
        return (Records(self),)


async def ask(page, text="Good evening", turn=1):
    await page.send({"type": "text_message", "text": text})
    await page.until("turn_ended", turn=turn)


async def hang_up(page):
    await page.send({"type": "close"})
    assert await page.until_closed() == 1000


def test_the_models_and_their_migrations_agree():
    call_command("makemigrations", "novasonic", check=True, dry_run=True, verbosity=0)


async def test_a_turn_is_in_the_database_when_the_page_is_told_that_it_is_over(open_page):
    user = await get_user_model().objects.acreate(username="ada")
    async with open_page(Talker, user=user) as page:
        for number in (1, 2):
            await page.send({"type": "text_message", "text": f"Good evening {number}"})
            await page.until("turn_ended", turn=number)
            turn = await Turn.objects.aget(number=number)
            assert turn.user_text == f"Good evening {number}"
            assert f"evening {number}" in turn.assistant_text
            assert not turn.interrupted
            assert turn.seconds > 0
        conversation = await Conversation.objects.aget()
        assert (conversation.ended_at, conversation.reason) == (None, "")
        await hang_up(page)
    await conversation.arefresh_from_db()
    assert conversation.user_id == user.pk
    assert conversation.owner == str(user.pk)
    assert conversation.consumer.endswith("Talker")
    assert (conversation.model, conversation.region) == (novasonic.NOVA_2_SONIC, "us-east-1")
    assert (conversation.voice, conversation.generation) == ("matthew", 1)
    assert (conversation.reason, conversation.error_code) == ("closed", "")
    assert conversation.started_at < conversation.ended_at
    assert conversation.usd > 0
    spent = [one async for one in UsageRecord.objects.all()]
    assert sum(one.usd for one in spent) == conversation.usd
    assert sum(one.speech_out for one in spent) == conversation.speech_out > 0


async def test_what_was_heard_of_an_answer_is_what_is_written(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "one two three four five six seven " * 20})
        while not page.audio:
            await page.next()
        await page.send({"type": "played", "turn": 1, "ms": 40})
        await page.send({"type": "interrupt"})
        await page.until("turn_ended", turn=1)
        turn = await Turn.objects.aget()
        assert turn.interrupted
        planned = next(one["text"] for one in page.of_type("transcript") if one["role"] == "assistant")
        assert planned.startswith(turn.assistant_text)
        assert len(turn.assistant_text) < len(planned)
        await hang_up(page)


async def test_a_sentence_that_the_site_kept_from_the_page_is_not_in_what_was_heard(open_page):
    class Decent(Talker):
        async def on_planned_text(self, event):
            return "rude" not in event.text

    async with open_page(Decent) as page:
        await ask(page, "how very rude")
        await hang_up(page)
    turn = await Turn.objects.aget()
    assert (turn.user_text, turn.assistant_text) == ("how very rude", "")


async def test_a_turn_that_the_end_cut_short_is_written_too(open_page):
    async with open_page(Talker) as page:
        await page.send({"type": "text_message", "text": "one two three four five six seven " * 20})
        while not page.audio:
            await page.next()
    turn = await Turn.objects.aget()
    assert turn.interrupted
    assert turn.user_text.startswith("one two")
    conversation = await Conversation.objects.aget()
    assert conversation.reason == "gone"
    claim = await store.claim(conversation.id, conversation.owner, 1)
    assert claim.next_turn == 2
    assert claim.history[0].text == turn.user_text.strip()


async def test_without_transcripts_no_text_is_written(open_page):
    async with open_page(Talker) as page:
        with configured(TRANSCRIPTS="off"):
            await ask(page, "my secret")
            await hang_up(page)
    turn = await Turn.objects.aget()
    assert (turn.user_text, turn.assistant_text, turn.withheld) == ("", "", False)
    assert (await Conversation.objects.aget()).transcripts == "off"


async def test_a_hook_redacts_before_anything_is_written(open_page):
    with configured(TRANSCRIPTS="redacted", REDACT=f"{__name__}.shout"):
        async with open_page(Talker) as page:
            await ask(page, "my secret")
            await hang_up(page)
    turn = await Turn.objects.aget()
    assert turn.user_text == "user: MY SECRET"
    assert turn.assistant_text.startswith("assistant: ")


@pytest.mark.parametrize("hook", ["fail", "nothing_there", None])
async def test_what_cannot_be_redacted_is_marked_and_not_written(open_page, hook, caplog):
    with configured(TRANSCRIPTS="redacted", REDACT=hook and f"{__name__}.{hook}"):
        async with open_page(Talker) as page:
            await ask(page, "my secret")
            await hang_up(page)
    turn = await Turn.objects.aget()
    assert (turn.user_text, turn.assistant_text, turn.withheld) == ("", "", True)
    assert "withheld" in caplog.text
    assert "secret" not in caplog.text


async def test_who_lost_the_conversation_is_told_and_its_page_goes_elsewhere(open_page):
    async with open_page(Talker) as page:
        await ask(page)
        conversation = await Conversation.objects.aget()
        assert await store.claim(conversation.id, conversation.owner, 1)
        await page.send({"type": "text_message", "text": "Are you there?"})
        assert await page.until_closed() == 4409
        assert page.of_type("error")[-1]["code"] == "taken_over"
        assert page.of_type("closed")[-1]["reason"] == "reconnect"
        assert not [one for one in page.of_type("turn_ended") if one["turn"] == 2]
    assert await Turn.objects.acount() == 1
    await conversation.arefresh_from_db()
    assert (conversation.generation, conversation.ended_at) == (2, None)


async def test_who_is_resumed_goes_on_in_the_same_rows(open_page):
    conversation_id = uuid.uuid4()

    class First(Talker):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.conversation.id = conversation_id

    class Second(First):
        def get_companions(self):
            self.conversation.generation = 2
            self.conversation.usd_before = claim.usd
            return super().get_companions()

    async with open_page(First) as page:
        await ask(page)
    before = await Conversation.objects.aget()
    claim = await store.claim(before.id, before.owner, 1)
    async with open_page(Second) as page:
        await ask(page, "And on")
        conversation = await Conversation.objects.aget()
        assert (conversation.ended_at, conversation.reason) == (None, "")
        await hang_up(page)
    conversation = await Conversation.objects.aget()
    assert (conversation.generation, conversation.reason) == (2, "closed")
    assert conversation.started_at == before.started_at
    assert conversation.usd > before.usd > 0


async def test_tool_calls_are_written_with_their_arguments_where_everything_is(open_page):
    with configured(TRANSCRIPTS="full"):
        await call_a_tool(open_page)
    call = await ToolCall.objects.aget()
    assert (call.name, call.ok, call.turn) == ("add", True, 1)
    assert (call.arguments, call.result) == ({"a": 2, "b": 3}, {"sum": 5})
    assert call.seconds >= 0


async def test_tool_calls_are_written_without_their_arguments_otherwise(open_page):
    with configured(TRANSCRIPTS="off"):
        await call_a_tool(open_page)
    call = await ToolCall.objects.aget()
    assert (call.name, call.ok, call.arguments, call.result) == ("add", True, None, None)


async def call_a_tool(open_page):
    @novasonic.tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    class Counting(Talker):
        tools = (add,)

        async def on_tool_call(self, event):
            self.companion(Records).answered(event.id, {"sum": 5})
            self.companion(Records).answered("another", {"sum": 6})

    from novasonic.emulator import Emulator

    async def brain(turn):
        result = await turn.call("add", {"a": 2, "b": 3})
        await turn.say(f"It is {result}.")

    async with Emulator(brain=brain, speed=20) as emulator:
        where = {"ENDPOINT_URL": emulator.url, "CA_BUNDLE": str(emulator.ca_bundle)}
        with configured(**where), pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", emulator.credentials.access_key_id)
            patch.setenv("AWS_SECRET_ACCESS_KEY", emulator.credentials.secret_access_key)
            async with open_page(Counting) as page:
                await ask(page, "What is two and three?")
                await hang_up(page)


async def test_signals_tell_of_the_conversation_in_order(open_page):
    told = []

    def listen(name):
        async def receiver(sender, **what):
            told.append((name, sender, what))

        return receiver

    names = ("conversation_started", "turn_completed", "conversation_ended")
    receivers = {name: listen(name) for name in names}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)

    def broken(**_):
        raise RuntimeError("my secret")

    signals.turn_completed.connect(broken)
    try:
        async with open_page(Talker) as page:
            await ask(page, "Good evening")
            await hang_up(page)
    finally:
        signals.turn_completed.disconnect(broken)
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
    assert [name for name, _, _ in told] == list(names)
    assert {sender for _, sender, _ in told} == {Talker}
    assert told[1][2]["user_text"] == "Good evening"
    assert told[2][2]["reason"] == "closed"
    assert told[2][2]["usd"] > 0


async def test_the_conversation_goes_on_while_the_database_is_down(open_page, writer, eventually):  # noqa: F811
    async with open_page(Talker) as page:
        await ask(page, "one")
        with switched_off():
            loop = asyncio.get_running_loop()
            await ask(page, "two", turn=2)
            began = loop.time()
            await ask(page, "three", turn=3)
            assert loop.time() - began < 4
            assert writer.snapshot()["queued"] > 0
        await ask(page, "four", turn=4)
        await hang_up(page)
    await eventually(lambda: writer.snapshot()["queued"] == 0)
    assert [one.user_text async for one in Turn.objects.order_by("number")] == ["one", "two", "three", "four"]
    assert (await Conversation.objects.aget()).reason == "closed"
    assert writer.snapshot()["dropped"] == 0
