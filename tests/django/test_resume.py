"""Pages that lost their worker and go on, with transcripts off: what is kept is an encrypted snapshot."""

import asyncio
import json
import time
import uuid
from types import SimpleNamespace

import pytest
from redis import Redis as SyncRedis
from services import redis_server
from workersupport import Talker, configured, say

import novasonic
from novasonic.contrib.asgi.companion import Companion, Refused
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.workers import snapshot
from novasonic.contrib.django.workers.snapshot import Snapshot

# Whether there are rows too is asked even where what was said is not in them.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator):
    use_emulator(parrot)


@pytest.fixture(params=["process", "redis"])
def kept(request):
    """Where snapshots are kept."""
    url = request.getfixturevalue("redis").url if request.param == "redis" else None
    with configured(TRANSCRIPTS="off", REDIS_URL=url):
        yield request.param


async def talk_once(open_page, consumer=Talker, text="The fox is red"):
    """One turn, then the page is gone; returns what `initialized` said."""
    async with open_page(consumer) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        await say(page, text, turn=1)
    return opened


async def test_a_page_goes_on_where_it_was(open_page, kept):
    opened = await talk_once(open_page)
    histories = []

    class Elsewhere(Talker):
        async def get_system_prompt(self):
            histories.append([(message.role, message.text) for message in self.conversation.history])

    async with open_page(Elsewhere) as page:
        await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        again = await page.until("initialized")
        assert again["sessionId"] == opened["sessionId"]
        assert again["resumeToken"] != opened["resumeToken"]
        resumed = await page.until("resumed")
        assert (resumed["sessionId"], resumed["turn"]) == (opened["sessionId"], 1)
        await page.send({"type": "text_message", "text": "And the hedgehog"})
        await page.until("turn_ended")
    [[(who, words), (answerer, answer)]] = histories
    assert (who, words, answerer) == ("user", "The fox is red", "assistant")
    assert "fox is red" in answer


async def test_a_token_is_spent_by_its_first_use(open_page, kept):
    opened = await talk_once(open_page)
    async with open_page(Talker) as page, open_page(Talker) as other:
        pages = [page, other]
        for one in pages:
            await one.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        outcomes = [(await one.next())["type"] for one in pages]
        assert sorted(outcomes) == ["error", "initialized"]
        loser = pages[outcomes.index("error")]
        assert loser.messages[0]["code"] == "resume_unavailable"
        assert await loser.until_closed() == 4403


async def test_each_resume_gives_the_token_of_the_next(open_page, kept):
    token = (await talk_once(open_page))["resumeToken"]
    for _ in range(3):
        async with open_page(Talker) as page:
            await page.send({"type": "initialize", "resumeToken": token})
            token = (await page.until("initialized"))["resumeToken"]
            assert (await page.until("resumed"))["turn"] == 1


async def test_anothers_forged_and_unknown_tokens_are_answered_alike(open_page, kept):
    opened = await talk_once(open_page)
    other = SimpleNamespace(pk=8, is_authenticated=True, is_active=True)
    answers = []
    for token, user in [(opened["resumeToken"], other), ("forged", None), (opened["resumeToken"][:-3] + "abc", None)]:
        async with open_page(Talker, **({"user": user} if user else {})) as page:
            await page.send({"type": "initialize", "resumeToken": token})
            answers.append((await page.until("error"), await page.until_closed()))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0]["code"] == "resume_unavailable"


async def test_a_conversation_that_was_ended_cannot_be_resumed(open_page, kept):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        await say(page, "Goodbye", turn=1)
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        assert (await page.until("error"))["code"] == "resume_unavailable"


async def test_the_page_that_was_left_behind_learns_that_it_was(open_page, kept):
    async with open_page(Talker) as left, open_page(Talker) as page:
        await left.send({"type": "initialize"})
        opened = await left.until("initialized")
        await say(left, "Hello", turn=1)
        await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        assert (await page.until("resumed"))["turn"] == 1
        assert (await left.until("error"))["code"] == "taken_over"
        assert await left.until_closed() == 4409
        await page.send({"type": "text_message", "text": "Still here"})
        await page.until("turn_ended")


async def test_a_consumer_that_takes_the_socket_of_a_full_one_goes_on_where_the_page_was(open_page, kept):
    opened = await talk_once(open_page)

    class Shut(Companion):
        async def admit(self):
            raise Refused(CloseCode.NO_CAPACITY, "full", "Nobody is free.", retryable=True)

    class Full(Talker):
        def get_companions(self):
            return [*super().get_companions(), Shut(self)]

        async def on_unavailable(self, error):
            return Talker

    async with open_page(Full) as page:
        await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        await page.send({"type": "text_message", "text": "And the hedgehog"})
        await page.until("turn_ended", turn=2)
        assert {line["sessionId"] for line in page.of_type("initialized")} == {opened["sessionId"]}


async def test_what_was_said_in_a_turn_that_was_cut_off_is_kept(open_page, kept):
    histories = []

    class Elsewhere(Talker):
        async def get_system_prompt(self):
            histories.append([message.text for message in self.conversation.history if message.role == "user"])

    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        await say(page, "The fox is red", turn=1)
        await page.send({"type": "text_message", "text": "My name is Ada " * 20})
        await page.until("turn_started", turn=2)
        await page.until("transcript", role="assistant", turn=2)
    async with open_page(Elsewhere) as page:
        await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
        assert (await page.until("resumed"))["turn"] == 2
        await page.send({"type": "text_message", "text": "Who am I?"})
        await page.until("turn_ended")
    assert ["Ada" in text for text in histories[0]] == [False, True]


async def test_fresh_tokens_come_as_time_goes(open_page):
    with configured(TRANSCRIPTS="off", RESUME_SECONDS=3.3):  # tokens know whole seconds
        async with open_page(Talker) as page:
            await page.send({"type": "initialize"})
            first = (await page.until("initialized"))["resumeToken"]
            assert (await page.until("resume_token"))["resumeToken"] != first


async def test_a_page_may_try_again_where_redis_cannot_be_asked(open_page):
    with configured(TRANSCRIPTS="off"):
        opened = await talk_once(open_page)
    with configured(TRANSCRIPTS="off", REDIS_URL="redis://127.0.0.1:1/0"):
        async with open_page(Talker) as page:
            await page.send({"type": "initialize", "resumeToken": opened["resumeToken"]})
            answer = await page.until("error")
            assert (answer["code"], answer["retryable"]) == ("resume_failed", True)
            assert await page.until_closed() == 4500


async def test_a_conversation_goes_on_while_redis_is_gone(open_page):
    with configured(TRANSCRIPTS="off", REDIS_URL="redis://127.0.0.1:1/0"):
        await talk_once(open_page)


async def test_what_waits_on_redis_cannot_be_read_there(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url):
        opened = await talk_once(open_page, text="My secret is a hedgehog")
        with SyncRedis.from_url(redis.url) as client:
            name = f"novasonic:snapshot:{{{uuid.UUID(opened['sessionId']).hex}}}"
            fields = client.hgetall(name)
            assert 500 < client.ttl(name) <= 600
    assert fields.keys() == {b"generation", b"sealed"}
    assert b"hedgehog" not in fields[b"sealed"]
    assert b"user" not in fields[b"sealed"]


ID = uuid.uuid4()
SAID = Snapshot("7", 3, (novasonic.Message("user", "Hello"), novasonic.Message("assistant", "Hello!")), 0.5)


async def test_a_snapshot_comes_back_as_it_was(kept):
    assert await snapshot.save(ID, 1, SAID)
    assert await snapshot.claim(ID, "7", 1) == SAID
    # Its new holder may write and its old one may not.
    assert not await snapshot.save(ID, 1, SAID)
    assert await snapshot.save(ID, 2, SAID)
    await snapshot.forget(ID, 1)  # by the old one, which has lost it
    assert await snapshot.claim(ID, "7", 2) == SAID
    await snapshot.forget(ID, 3)
    assert await snapshot.claim(ID, "7", 3) is None


async def test_of_many_who_claim_at_once_one_gets_it(kept):
    conversation = uuid.uuid4()
    await snapshot.save(conversation, 1, SAID)
    claims = await asyncio.gather(*(snapshot.claim(conversation, "7", 1) for _ in range(20)))
    assert [claim for claim in claims if claim is not None] == [SAID]


async def test_a_worker_left_behind_brings_nothing_back_that_was_ended_elsewhere(kept):
    conversation, state = uuid.uuid4(), Snapshot("7", 2, (novasonic.Message("user", "Hello"),))
    assert await snapshot.save(conversation, 1, state)
    assert await snapshot.claim(conversation, "7", 1)
    await snapshot.forget(conversation, 2)
    assert not await snapshot.save(conversation, 1, state)
    assert not await snapshot.save(conversation, 2, state)
    for generation in (1, 2, 3):
        assert await snapshot.claim(conversation, "7", generation) is None


async def test_a_snapshot_put_in_anothers_place_is_not_taken(redis):
    here, there = uuid.uuid4(), uuid.uuid4()
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url):
        await snapshot.save(here, 1, SAID)
        with SyncRedis.from_url(redis.url) as client:
            client.copy(snapshot._key(here), snapshot._key(there))
        assert await snapshot.claim(there, "7", 1) is None


async def test_a_snapshot_is_kept_for_ten_minutes_in_the_process(monkeypatch):
    conversation = uuid.uuid4()
    with configured(TRANSCRIPTS="off"):
        await snapshot.save(conversation, 1, SAID)
        now = time.monotonic()
        monkeypatch.setattr(snapshot.time, "monotonic", lambda: now + 601)
        assert await snapshot.claim(conversation, "7", 1) is None
        assert conversation not in snapshot._here


async def test_a_very_long_conversation_loses_its_beginning():
    conversation = uuid.uuid4()
    long = tuple(novasonic.Message("user", f"{number} " + "x" * 1_000) for number in range(300))
    with configured(TRANSCRIPTS="off"):
        await snapshot.save(conversation, 1, Snapshot(None, 301, long))
        got = await snapshot.claim(conversation, None, 1)
    assert got.history[-1] == long[-1]
    assert 190 < len(got.history) < 200
    assert "xxx" not in repr(got)
    assert json.dumps(repr(got))
