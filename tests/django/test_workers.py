"""Supervision and drain, within one process and over Redis; other processes are in `test_workers_kill`."""

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
import time
import uuid

import pytest
from django.core.management import CommandError, call_command
from redis import Redis as SyncRedis
from services import redis_server
from workersupport import Talker, configured, fresh_worker, redis_layer, say

import novasonic
from novasonic.contrib.asgi.companion import Conversation
from novasonic.contrib.django.workers import drain, fence, layer, supervision, supervisor
from novasonic.contrib.django.workers.shared import key, stop, worker_id
from novasonic.emulator import Emulator

# Whether there are rows too is asked even where what was said is not in them.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator):
    use_emulator(parrot)


@pytest.fixture(params=["alone", "redis and a layer"])
def world(request):
    """What the workers share."""
    if request.param == "alone":
        with configured(TRANSCRIPTS="off"), fresh_worker():
            yield request.param
    else:
        url = request.getfixturevalue("redis").url
        with configured(TRANSCRIPTS="off", REDIS_URL=url), redis_layer(url), fresh_worker():
            yield request.param
            with SyncRedis.from_url(url) as client:
                client.flushdb()


async def opened(page):
    await page.send({"type": "initialize"})
    return await page.until("initialized")


async def test_who_talks_is_known_while_they_talk(open_page, world):
    async with open_page(Talker) as page:
        session = (await opened(page))["sessionId"]
        await say(page, "Hello", turn=1)
        [one] = await supervision.conversations()
        assert (one.id, one.owner, one.worker, one.turn, one.in_turn) == (session, "7", worker_id(), 1, False)
        assert abs(one.started.timestamp() - time.time()) < 60
    assert await supervision.conversations() == []


async def test_a_conversation_is_hung_up_by_its_id_and_cannot_be_resumed(open_page, world):
    async with open_page(Talker) as page, open_page(Talker) as other:
        told = await opened(page)
        await opened(other)
        assert not await supervision.hang_up(uuid.uuid4())
        assert await supervision.hang_up(told["sessionId"])
        assert (await page.until("error"))["code"] == "hung_up"
        assert (await page.until("closed"))["reason"] == "closed"
        assert await page.until_closed() == 1000
        async with open_page(Talker) as again:
            await again.send({"type": "initialize", "resumeToken": told["resumeToken"]})
            assert (await again.until("error"))["code"] == "resume_unavailable"
        await say(other, "Not me", turn=1)


async def test_an_order_that_is_not_understood_stops_no_other(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url), redis_layer(redis.url), fresh_worker():
        async with open_page(Talker) as page:
            told = await opened(page)
            # As from a worker of another version, while the site is deployed.
            await layer.say({"do": "hang_up", "whom": told["sessionId"], "from": "elsewhere:1"})
            await layer.say({"do": "hang_up", "id": told["sessionId"], "from": "elsewhere:1"})
            assert (await page.until("error"))["code"] == "hung_up"
            assert await page.until_closed() == 1000


async def test_a_users_sockets_are_closed_and_nobody_elses(open_page, world):
    async with open_page(Talker) as page:
        await opened(page)
        await supervision.close_user(12345)
        await say(page, "Not me", turn=1)


async def test_a_worker_of_which_nobody_talks_runs_nothing(open_page, world, eventually):
    async with open_page(Talker) as page, open_page(Talker) as other:
        await opened(page)
        await opened(other)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "novasonic-supervisor" in names
        assert ("novasonic-orders" in names) == (world != "alone")
    assert supervisor.all_here() == []
    await eventually(lambda: not any(t.get_name().startswith("novasonic-") for t in asyncio.all_tasks()))
    # And it begins anew.
    async with open_page(Talker) as page:
        await opened(page)
        assert len(await supervision.conversations()) == 1


async def test_a_drained_worker_sends_pages_away_between_turns_and_takes_no_more(open_page, world):
    async with open_page(Talker) as idle, open_page(Talker) as busy:
        await opened(idle)
        told = await opened(busy)
        await busy.send({"type": "text_message", "text": "A long answer please, of many words, that takes a while"})
        await busy.until("turn_started")
        supervisor.present().drain(20)
        assert drain.is_draining()
        away = await idle.until("reconnect")
        assert 0 <= away["afterMs"] < 1000
        assert await idle.until_closed() == 1012
        async with open_page(Talker) as new:
            await new.send({"type": "initialize"})
            refusal = await new.until("error")
            assert (refusal["code"], refusal["retryable"]) == ("draining", True)
            assert await new.until_closed() == 4503
        away = await busy.until("reconnect")
        assert [message["type"] for message in busy.messages].index("turn_ended") < len(busy.messages) - 1
        assert await busy.until_closed() == 1012
    drain._draining_pid = None  # as if on another worker
    async with open_page(Talker) as elsewhere:
        await elsewhere.send({"type": "initialize", "resumeToken": away["resumeToken"]})
        assert (await elsewhere.until("resumed"))["turn"] == 1
        assert elsewhere.messages[0]["sessionId"] == told["sessionId"]


async def test_a_token_is_not_spent_on_a_worker_that_is_drained(open_page, world):
    async with open_page(Talker) as page:
        told = await opened(page)
        await say(page, "Hello", turn=1)
    drain.mark()
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", "resumeToken": told["resumeToken"]})
        assert (await page.until("error"))["code"] == "draining"
    drain._draining_pid = None
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", "resumeToken": told["resumeToken"]})
        await page.until("resumed")


async def test_what_does_not_end_in_time_is_cut_off(open_page, use_emulator):
    # A parrot in no hurry: its answer lasts longer than the drain.
    with Emulator(brain="parrot") as slow, configured(TRANSCRIPTS="off"), fresh_worker():
        use_emulator(slow)
        async with open_page(Talker) as page:
            await opened(page)
            await page.send({"type": "text_message", "text": "One two three four five six seven eight nine ten"})
            await page.until("turn_started")
            supervisor.present().drain(0.05)
            assert await page.until_closed() == 1012
            assert not page.of_type("turn_ended")
            assert page.messages[-1] == {"type": "closed", "reason": "reconnect"}


async def test_a_worker_that_holds_nothing_finds_the_order_before_it_takes_one(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url), fresh_worker():
        assert await drain.order(worker_id(), 5)
        async with open_page(Talker) as page:
            await page.send({"type": "initialize"})
            assert (await page.until("error"))["code"] == "draining"


async def test_an_order_for_the_process_that_had_this_number_before_is_not_ours(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url), fresh_worker():
        with SyncRedis.from_url(redis.url) as client:
            client.set(key("drain", worker_id()), json.dumps({"at": time.time() - 3_600, "seconds": 5}))
        async with open_page(Talker) as page:
            await opened(page)
            assert not drain.is_draining()


async def in_a_thread(*command):
    """Run a command as another process would: on a loop of its own."""
    out = io.StringIO()
    await asyncio.to_thread(call_command, *command, stdout=out)
    return out.getvalue()


async def test_the_drain_command_returns_when_the_worker_is_empty(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url), redis_layer(redis.url), fresh_worker():
        async with open_page(Talker) as page:
            await opened(page)
            draining = asyncio.create_task(in_a_thread("novasonic_drain", "--pid", str(os.getpid()), "--seconds", "5"))
            await page.until("reconnect")
            assert await page.until_closed() == 1012
        assert "holds no conversations" in await draining
    with SyncRedis.from_url(redis.url) as client:
        client.flushdb()


async def test_the_sessions_command_lists_and_hangs_up(open_page, redis):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url), redis_layer(redis.url):
        async with open_page(Talker) as page:
            told = await opened(page)
            text = await in_a_thread("novasonic_sessions")
            assert told["sessionId"] in text
            assert "1 conversations" in text
            [worker] = json.loads(await in_a_thread("novasonic_sessions", "--json"))
            assert worker["id"] == worker_id()
            assert worker["conversations"][0]["owner"] == "7"
            with pytest.raises(CommandError, match="No worker answers"):
                await in_a_thread("novasonic_sessions", "--hang-up", str(uuid.uuid4()))
            assert "hung up" in await in_a_thread("novasonic_sessions", "--hang-up", told["sessionId"])
            assert await page.until_closed() == 1000


def test_a_process_that_is_not_there_is_not_said_to_be_drained(redis):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with configured(REDIS_URL=redis.url), pytest.raises(CommandError, match=f"No process {ended.pid} runs"):
        call_command("novasonic_drain", "--pid", str(ended.pid))


@pytest.mark.parametrize("command", [["novasonic_sessions"], ["novasonic_drain", "--worker", "x:1"]])
def test_commands_say_what_they_need(command):
    with pytest.raises(CommandError, match="REDIS_URL"):
        call_command(*command)


def test_a_drain_of_a_worker_that_does_not_exist_is_noted_for_it(redis):
    # It may be one that holds nothing, and listens to nobody.
    out = io.StringIO()
    with configured(REDIS_URL=redis.url):
        call_command("novasonic_drain", "--worker", "nowhere:1", "--seconds", "1", stdout=out)
    assert "holds no conversations" in out.getvalue()


async def test_an_order_from_another_loop_of_the_process_is_carried_out(open_page):
    with configured(TRANSCRIPTS="off"):
        async with open_page(Talker) as page:
            told = await opened(page)
            found = []
            thread = threading.Thread(target=lambda: found.append(asyncio.run(supervision.hang_up(told["sessionId"]))))
            thread.start()
            assert await page.until_closed() == 1000
            thread.join()
        assert found == [True]


async def test_whoever_was_overtaken_holds_the_conversation_no_more(redis):
    mine = Conversation()
    with configured(REDIS_URL=redis.url, TRANSCRIPTS="off"):
        assert await fence.holds(mine)
        await fence.announce(mine.id, 2)
        fence._taken_here.clear()  # as if another worker had said so
        assert not await fence.holds(mine)
        await fence.announce(mine.id, 1)  # late, and of no account
        fence._taken_here.clear()
        assert not await fence.holds(mine)


async def test_where_nobody_can_be_asked_a_worker_holds_what_it_has():
    with configured(REDIS_URL="redis://127.0.0.1:1/0", TRANSCRIPTS="off"):
        assert await fence.holds(Conversation())


async def test_a_tool_of_a_conversation_that_goes_on_elsewhere_does_not_run(open_page, redis):
    ran = []

    @novasonic.tool
    async def order_pizza() -> str:
        """Order a pizza."""
        ran.append("pizza")
        return "ordered"

    async def brain(turn):
        result = await turn.call("order_pizza", {})
        await turn.say("done" if "ordered" in str(result) else "failed")

    class Orderer(Talker):
        tools = (order_pizza,)

    with Emulator(brain=brain, speed=20) as emulator, redis_layer(redis.url):
        where = {"ENDPOINT_URL": emulator.url, "CA_BUNDLE": str(emulator.ca_bundle)}
        with configured(TRANSCRIPTS="off", REDIS_URL=redis.url, **where):
            async with open_page(Orderer) as page:
                told = await opened(page)
                await say(page, "A pizza", turn=1)
                assert ran == ["pizza"]
                # Another worker took it over while this one was not looking: nothing but Redis knows.
                await fence.announce(uuid.UUID(told["sessionId"]), 2)
                fence._taken_here.clear()
                await page.send({"type": "text_message", "text": "Another pizza"})
                assert (await page.until("error"))["code"] == "taken_over"
                assert await page.until_closed() == 4409
    assert ran == ["pizza"]


async def test_a_process_that_stood_still_looks_up_what_it_still_holds(open_page, redis, monkeypatch):
    with configured(TRANSCRIPTS="off", REDIS_URL=redis.url):
        async with open_page(Talker) as page:
            told = await opened(page)
            await fence.announce(uuid.UUID(told["sessionId"]), 2)
            fence._taken_here.clear()
            monkeypatch.setattr(supervisor, "FROZEN_SECONDS", 0.01)
            monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.01)
            time.sleep(1.2)  # noqa: ASYNC251 - as a SIGSTOP would
            assert (await page.until("error"))["code"] == "taken_over"
            assert await page.until_closed() == 4409


async def test_a_worker_goes_on_without_its_redis_and_comes_back_with_it(open_page):
    with redis_server() as redis, configured(TRANSCRIPTS="off", REDIS_URL=redis.url), redis_layer(redis.url):
        async with open_page(Talker) as page:
            told = await opened(page)
            redis.stop()
            await say(page, "Hello", turn=1)
            redis.start()
            # Listed and reachable again, in a Redis that knows nothing of before.
            async with asyncio.timeout(15):
                while not await listed_elsewhere(redis):  # noqa: ASYNC110 - Redis sets no event of ours
                    await asyncio.sleep(0.2)
            assert "hung up" in await in_a_thread("novasonic_sessions", "--hang-up", told["sessionId"])
            assert await page.until_closed() == 1000


async def listed_elsewhere(redis):
    with SyncRedis.from_url(redis.url) as client:
        return client.exists(key("worker", worker_id())) and client.zcard("asgi:group:novasonic.workers")


async def test_what_takes_its_cancellation_for_something_else_is_stopped_all_the_same():
    lost = []

    async def listener():
        while len(lost) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append("as redis-py does")
        await asyncio.Event().wait()

    task = asyncio.create_task(listener())
    await asyncio.sleep(0)
    await stop([task])
    assert task.cancelled()
