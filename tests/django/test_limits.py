"""What becomes of a conversation that the limits do or do not allow."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

import novasonic
from novasonic import events
from novasonic.contrib.asgi.companion import Conversation, Refused
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.conf import LimitSettings, get_settings
from novasonic.contrib.django.limits import keeping
from novasonic.contrib.django.limits import office as offices
from novasonic.contrib.django.limits import redis as redis_store
from novasonic.contrib.django.limits.companion import Admission
from novasonic.contrib.django.limits.office import get_office, lease_for_page, snapshots
from novasonic.contrib.django.limits.store import Bounds
from novasonic.contrib.django.limits.terms import owner_key, pool_of

COUNTS = novasonic.TokenCounts(0, 0, 0, 0)


class Handler:
    """As much of a page's handler as a companion sees."""

    limits = None
    continuation = novasonic.Continuation()

    def __init__(self, owner="ann", client="192.0.2.1", **conversation):
        self.scope = {"client": (client, 1234), "headers": []}
        self.conversation = Conversation(owner=owner, **conversation)
        self.chosen = SimpleNamespace(credentials=None)
        self.told = []
        self.hung_up = asyncio.get_running_loop().create_future()

    async def tell(self, message):
        self.told.append(message)

    async def hang_up(self, close, code=None, message="", *, reason="error", retryable=False):
        self.hung_up.set_result((close, code, reason))


def use(overflow="refuse", **settings):
    limits = {name.upper(): settings.pop(name) for name in list(settings) if name in LimitSettings.__slots__}
    named = {name.upper(): value for name, value in settings.items()}
    return override_settings(NOVASONIC={"REGION": "us-east-1", "LIMITS": limits, "OVERFLOW": overflow, **named})


@pytest.fixture
async def open_one(monkeypatch):
    """Admits conversations; all have ended in the end, and nothing runs any more."""
    monkeypatch.setattr(keeping, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(keeping, "POLL_SECONDS", 0.05)
    # What other tests counted in this process.
    monkeypatch.setattr(offices, "_locals", {})
    made = []

    async def open_one(*args, handler=None, **how):
        admission = Admission(handler or Handler(*args, **how))
        made.append(admission)
        await admission.begin()
        await admission.admit()
        return admission

    yield open_one
    for admission in made:
        await admission.ended("closed", None)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a companion left a task behind"


async def refusal(opening):
    with pytest.raises(Refused) as refused:
        await opening
    return refused.value.close, refused.value.code, refused.value.retryable


def used(usd):
    return events.Usage(turn=1, at=1.0, raw_type="usageEvent", delta=COUNTS, total=COUNTS, usd=usd)


async def test_an_owner_has_three_conversations_unless_told_otherwise(open_one):
    with use():
        for _ in range(3):
            await open_one()
        assert await refusal(open_one()) == (CloseCode.TOO_MANY, "too_many_conversations", True)
        await open_one("bob")
        assert get_office().snapshot().refusals == {"owner": 1}


async def test_who_is_not_known_is_counted_by_address(open_one):
    with use(conversations_per_owner=1):
        await open_one(None)
        assert (await refusal(open_one(None)))[0] == CloseCode.TOO_MANY
        await open_one(None, client="192.0.2.2")


async def test_a_full_process_and_a_full_site_have_no_capacity(open_one):
    with use(per_process=1):
        await open_one()
        assert await refusal(open_one("bob")) == (CloseCode.NO_CAPACITY, "no_capacity", True)
    with use(conversations=1):
        assert await refusal(open_one("bob")) == (CloseCode.NO_CAPACITY, "no_capacity", True)
        assert get_office().snapshot().refusals == {"process": 1, "site": 1}


async def test_without_a_free_stream_it_is_refused(open_one):
    with use(streams=1):
        first = await open_one()
        assert await refusal(open_one("bob")) == (CloseCode.NO_CAPACITY, "no_capacity", True)
        await first.ended("closed", None)
        await open_one("bob")


async def test_who_waits_is_told_the_place_in_line_and_gets_in(open_one, eventually):
    with use("wait", streams=1):
        first = await open_one()
        handlers = [Handler(str(number)) for number in range(2)]
        opening = []
        for number, handler in enumerate(handlers, 1):
            opening.append(asyncio.create_task(open_one(handler=handler)))
            await eventually(lambda handler=handler, n=number: handler.told == [{"type": "queued", "position": n}])
        await first.ended("gone", None)
        second = await opening[0]
        await eventually(lambda: handlers[1].told[-1] == {"type": "queued", "position": 1})
        await second.ended("closed", None)
        await opening[1]


async def test_nobody_waits_for_ever(open_one):
    with use("wait", streams=1, wait_seconds=0.05):
        await open_one()
        assert await refusal(open_one("bob")) == (CloseCode.NO_CAPACITY, "no_capacity", True)
        assert get_office().snapshot().waiting == 0


async def test_a_full_region_spills_into_the_next_that_is_listed(open_one):
    with use("region", streams=1, regions=["eu-north-1", "ap-northeast-1"]):
        opened = [await open_one(str(number)) for number in range(3)]
        assert [one.conversation.region for one in opened] == [None, "eu-north-1", "ap-northeast-1"]
        assert await refusal(open_one("d")) == (CloseCode.NO_CAPACITY, "no_capacity", True)


async def test_no_speech_crosses_a_border_unless_a_region_is_listed(open_one):
    with use("region", streams=1):
        await open_one()
        assert (await refusal(open_one("bob")))[1] == "no_capacity"


async def test_a_budget_for_three_is_for_three(open_one):
    with use(usd_per_day=0.75, conversations_per_owner=None):
        opened = await asyncio.gather(*(open_one() for _ in range(20)), return_exceptions=True)
        refused = [one for one in opened if isinstance(one, Refused)]
        assert len(refused) == 17
        assert {(one.close, one.code, one.retryable) for one in refused} == {
            (CloseCode.TOO_MANY, "budget_used_up", False)
        }


async def test_what_was_used_is_charged_and_the_rest_of_the_reserve_given_back(open_one):
    with use(usd_per_day=1.0):
        first = await open_one()
        first.event(used(0.4))
        first.event(used(0.6))  # a total, not a difference
        await first.ended("closed", None)
        second = await open_one()
        assert second.settings()["limits"].usd == pytest.approx(0.4)


async def test_what_it_cost_on_another_worker_counts(open_one):
    with use(usd_per_day=1.0):
        handler = Handler(generation=2, usd_before=5.0)
        resumed = await open_one(handler=handler)
        assert resumed.settings()["limits"].usd == pytest.approx(1.0), "that was charged over there"
        resumed.event(used(0.1))
        await resumed.ended("closed", None)
        assert (await open_one()).settings()["limits"].usd == pytest.approx(0.9)


async def test_who_uses_up_the_budget_of_the_day_is_hung_up(open_one):
    with use(usd_per_day=1.0):
        one = await open_one()
        one.event(used(1.2))
        async with asyncio.timeout(5):
            assert await one.handler.hung_up == (CloseCode.TOO_MANY, "budget_used_up", "limit")


async def test_who_talked_the_days_minutes_is_hung_up_and_not_let_in_again(open_one):
    with use(minutes_per_day=0.002):
        one = await open_one()
        assert one.settings()["limits"].seconds == pytest.approx(0.12)
        async with asyncio.timeout(5):
            assert await one.handler.hung_up == (CloseCode.TOO_MANY, "minutes_used_up", "limit")
        assert (await refusal(open_one()))[1] == "minutes_used_up"


async def test_a_conversation_is_not_longer_because_it_moved(open_one):
    with use(seconds=0.2):
        old = await open_one()
        await asyncio.sleep(0.1)
        await old.ended("reconnect", None)
        new = await open_one(handler=Handler(id=old.conversation.id, generation=2))
        assert 0 < new.settings()["limits"].seconds < 0.11
        await asyncio.sleep(0.11)
        await new.ended("reconnect", None)
        last = Handler(id=old.conversation.id, generation=3)
        assert await refusal(open_one(handler=last)) == (CloseCode.TOO_MANY, "conversation_too_long", False)


async def test_waiting_in_line_is_no_talking(open_one, eventually):
    with use("wait", streams=1):
        first = await open_one()
        waiting = asyncio.create_task(open_one("bob"))
        await eventually(lambda: get_office().snapshot().waiting)
        await asyncio.sleep(0.05)
        await first.ended("closed", None)
        second = await waiting
        assert second._holder.update().ms < 50


async def test_the_tighter_of_two_limits_holds(open_one):
    with use(seconds=100, idle_seconds=None, usd_per_day=9, restarts_per_hour=5):
        handler = Handler()
        handler.limits = novasonic.Limits(seconds=200, idle_seconds=7, tokens=10, usd=2)
        handler.continuation = novasonic.Continuation(renew_after=3, restarts_per_hour=9)
        chosen = (await open_one(handler=handler)).settings()
        assert chosen["limits"] == novasonic.Limits(seconds=100, idle_seconds=7, tokens=10, usd=2)
        assert chosen["continuation"] == novasonic.Continuation(renew_after=3, restarts_per_hour=5)
    with use(seconds=None, idle_seconds=None):
        handler = Handler("bob")
        handler.continuation = None
        chosen = (await open_one(handler=handler)).settings()
        assert chosen["limits"] == novasonic.Limits()
        assert "continuation" not in chosen


async def test_a_takeover_hangs_the_older_one_up_and_frees_nothing(open_one):
    with use(streams=1, conversations_per_owner=1):
        old = await open_one()
        await open_one(handler=Handler(id=old.conversation.id, generation=2))
        async with asyncio.timeout(5):
            assert await old.handler.hung_up == (CloseCode.TAKEN_OVER, "taken_over", "reconnect")
        await old.ended("reconnect", None)
        assert (await refusal(open_one("bob")))[1] == "no_capacity"


async def test_a_renewal_may_overlap_where_a_stream_is_free(open_one):
    with use(streams=2):
        one = await open_one()
        assert await one.may_overlap()
        assert (await refusal(open_one("bob")))[1] == "no_capacity"
        one.overlap_ended()
        await asyncio.sleep(0)
        other = await open_one("bob")
        assert not await one.may_overlap()
        await other.ended("closed", None)


async def test_the_end_gives_all_back_though_its_task_is_cancelled(open_one):
    with use(streams=1):
        one = await open_one()
        ending = asyncio.create_task(one.ended("gone", None))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait({ending})
        await open_one("bob")


async def test_one_that_never_asked_ends_without_a_word():
    admission = Admission(Handler())
    await admission.ended("gone", None)
    assert admission.settings() == {}
    admission.event(used(1.0))
    admission.overlap_ended()
    assert await admission.may_overlap()


async def test_snapshots_tell_of_this_process(open_one):
    with use():
        await open_one()
        (pool,) = [one for one in snapshots() if one.conversations]
        assert (pool.redis, pool.waiting, pool.owed) == ("off", 0, 0)


async def test_an_address_is_what_the_trusted_proxy_saw(open_one):
    with use(conversations_per_owner=1, trusted_proxies=1):
        for client, status in (("192.0.2.1", None), ("192.0.2.2", None), ("192.0.2.1", "refused")):
            handler = Handler(None, client="10.0.0.1")
            handler.scope["headers"] = [(b"x-forwarded-for", f"1.1.1.1, {client}".encode())]
            if status is None:
                await open_one(handler=handler)
            else:
                assert (await refusal(open_one(handler=handler)))[0] == CloseCode.TOO_MANY


async def test_a_page_with_its_own_keys_uses_its_own_account(open_one):
    with use(streams=1, usd_per_day=0.01, reserve_usd=0.0):
        handlers = [Handler(str(number)) for number in range(3)]
        for handler, key in zip(handlers[1:], ("AKIAONE", "AKIAONE"), strict=True):
            handler.chosen.credentials = SimpleNamespace(access_key_id=key, region="us-east-1")
        await open_one(handler=handlers[0])
        page = await open_one(handler=handlers[1])
        assert page.settings()["limits"].usd is None
        assert (await refusal(open_one(handler=handlers[2])))[1] == "no_capacity"


async def test_what_a_page_pays_by_its_own_keys_is_no_part_of_the_sites_budget(open_one):
    with use(usd_per_day=1.0, site_usd_per_day=1.0):
        for usd_before in (0.0, 3.0):
            handler = Handler(generation=1 if usd_before == 0 else 2, usd_before=usd_before)
            handler.chosen.credentials = SimpleNamespace(access_key_id="AKIAONE", region="us-east-1")
            page = await open_one(handler=handler)
            page.event(used(5.0))
            await page.ended("closed", None)
        assert (await open_one()).settings()["limits"].usd == pytest.approx(1.0)


async def test_a_page_that_talks_to_the_service_itself_counts_until_its_keys_end(open_one):
    with use(streams=2, conversations_per_owner=1, usd_per_day=0.5):
        lease = await lease_for_page(owner="ann", seconds=0.2)
        assert (await refusal(open_one("ann")))[1] == "too_many_conversations"
        with pytest.raises(Refused, match="as many"):
            await lease_for_page(owner="ann", seconds=0.2)
        other = await lease_for_page(owner="bob", seconds=60, region="us-east-1")
        with pytest.raises(Refused, match="busy"):
            await lease_for_page(owner="eve", seconds=60)
        await other.give_back()
        await open_one("bob")
        async with asyncio.timeout(5):
            # It ends by the clock: nobody sets an event.
            while (await asyncio.gather(open_one("ann"), return_exceptions=True))[0].__class__ is Refused:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await lease.give_back()


def test_what_is_counted_without_redis_outlives_a_loop(monkeypatch):
    monkeypatch.setattr(offices, "_locals", {})

    async def ask():
        with pytest.raises(Refused) if asked else nullcontext():
            asked.append(await lease_for_page(owner="ann", seconds=60))

    asked = []
    with use(conversations_per_owner=1):
        asyncio.run(ask())
        asyncio.run(ask())


def test_an_owner_is_a_digest():
    assert owner_key("192.0.2.7") != owner_key(None, "192.0.2.7")
    assert "ann" not in owner_key("ann")


def test_pools_are_by_account_endpoint_and_region(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with override_settings(NOVASONIC={"PROFILE": "voice"}):
        assert pool_of(get_settings(), None) == "voice/eu-west-1"
    with override_settings(NOVASONIC={"REGION": "us-east-1", "ENDPOINT_URL": "https://localhost:1"}):
        assert pool_of(get_settings(), "us-west-2") == "default@https://localhost:1/us-west-2"
    assert "AKIA" not in pool_of(get_settings(), "us-west-2", access_key_id="AKIAONE")


def test_bounds_are_whole_numbers_of_what_the_settings_say():
    bounds = Bounds.of(LimitSettings(minutes_per_day=1.5, site_usd_per_day=0.1, reserve_usd=0.07))
    assert (bounds.owner_ms, bounds.site_usd, bounds.reserve) == (90_000, 100_000, 70_000)
    assert (bounds.owner_conversations, bounds.owner_usd, bounds.site_ms) == (3, None, None)


def test_a_redis_without_its_client_is_a_mistake_in_the_settings(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(redis_store, "import_module", missing)
    with pytest.raises(ImproperlyConfigured, match="install redis"):
        redis_store.RedisStore("redis://localhost")
