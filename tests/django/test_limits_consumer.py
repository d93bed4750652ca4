"""Limits as a page meets them, with the real consumer and the emulator."""

import asyncio

import pytest
from django.conf import settings
from django.test import override_settings

import novasonic
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.limits import keeping
from novasonic.contrib.django.limits import office as offices
from novasonic.contrib.django.limits.companion import Admission
from novasonic.contrib.django.limits.office import get_office


class Consumer(NovaSonicConsumer):
    permission = None

    async def is_allowed(self):
        return True

    async def get_owner(self):
        return "ann"

    def get_companions(self):
        return (Admission(self),)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(offices, "_locals", {})
    monkeypatch.setattr(keeping, "POLL_SECONDS", 0.05)


@pytest.fixture
def use(use_emulator, parrot):
    use_emulator(parrot)
    return lambda overflow="refuse", **limits: override_settings(
        NOVASONIC={
            **settings.NOVASONIC,
            "OVERFLOW": overflow,
            "LIMITS": {name.upper(): value for name, value in limits.items()},
        }
    )


async def hello(page):
    await page.send({"type": "text_message", "text": "Hello."})


async def test_a_page_that_says_nothing_takes_no_lease(open_page, use):
    with use(streams=1):
        async with open_page(Consumer) as quiet, open_page(Consumer) as page:
            await quiet.send({"type": "initialize"})
            await quiet.until("initialized")
            await hello(page)
            await page.until("turn_ended")
            assert get_office().snapshot().conversations == 1
        assert get_office().snapshot().conversations == 0


async def test_one_conversation_too_many_is_closed_with_4429(open_page, use):
    with use(conversations_per_owner=1):
        async with open_page(Consumer) as first, open_page(Consumer) as second:
            await hello(first)
            await first.until("turn_started")
            await hello(second)
            await second.until("error", code="too_many_conversations", fatal=True, retryable=True)
            assert await second.until_closed() == 4429


async def test_no_free_stream_is_4503(open_page, use):
    with use(streams=1):
        async with open_page(Consumer) as first, open_page(Consumer) as second:
            await hello(first)
            await first.until("turn_started")
            await hello(second)
            await second.until("error", code="no_capacity", retryable=True)
            assert await second.until_closed() == 4503


async def test_who_waits_is_queued_and_loses_nothing_that_was_said(open_page, use):
    with use("wait", streams=1):
        async with open_page(Consumer) as first, open_page(Consumer) as second:
            await hello(first)
            await first.until("turn_ended")
            await second.send({"type": "text_message", "text": "I wait."})
            assert (await second.until("queued"))["position"] == 1
            await first.send({"type": "close"})
            assert await first.until_closed() == 1000
            await second.until("transcript", role="user", text="I wait.")
            await second.until("turn_ended")


async def test_a_page_that_goes_away_while_it_waits_frees_its_place(open_page, use, eventually):
    with use("wait", streams=1):
        async with open_page(Consumer) as first:
            await hello(first)
            await first.until("turn_started")
            async with open_page(Consumer) as second:
                await hello(second)
                await second.until("queued")
            assert get_office().snapshot().conversations == 1
            assert get_office().snapshot().waiting == 0


async def test_the_newer_handler_of_a_conversation_closes_the_older_with_4409(open_page, use):
    made = []

    class Resumed(Consumer):
        def get_companions(self):
            made.append(self)
            if len(made) == 2:
                self.conversation.id, self.conversation.generation = made[0].conversation.id, 2
            return super().get_companions()

    with use(streams=1):
        async with open_page(Resumed) as old, open_page(Resumed) as new:
            await hello(old)
            await old.until("turn_ended")
            await hello(new)
            await new.until("turn_ended")
            await old.until("error", code="taken_over")
            assert await old.until_closed() == 4409
            assert old.of_type("closed") == [{"type": "closed", "reason": "reconnect"}]
            assert get_office().snapshot().conversations == 1


async def test_a_conversation_is_charged_for_what_it_used(open_page, use):
    with use(usd_per_day=1.0):
        async with open_page(Consumer) as page:
            await hello(page)
            await page.until("turn_ended")
            await page.send({"type": "close"})
            await page.until_closed()
            usd = page.of_type("usage")[-1]["usd"]
        (spent,) = {amount for key, amount in get_office()._local._spent.items() if key[0] == "usd"}
        assert 0 < spent == pytest.approx(usd * 1_000_000, abs=1)


async def test_a_conversation_ends_where_its_limit_is(open_page, use):
    with use(idle_seconds=0.3):
        async with open_page(Consumer) as page:
            await hello(page)
            async with asyncio.timeout(20):
                await page.until("closed", reason="limit")
                assert await page.until_closed() == 1000


@pytest.mark.parametrize(("streams", "overlaps"), [(1, False), (2, True)])
async def test_a_renewal_opens_a_second_stream_only_by_a_lease_of_its_own(open_page, use, parrot, streams, overlaps):
    class Renewing(Consumer):
        continuation = novasonic.Continuation(renew_after=0.3, force_after=60)

    before = len(parrot.streams)
    with use(streams=streams):
        async with open_page(Renewing) as page:
            await hello(page)
            await page.until("turn_ended", turn=1)
            await page.until("renewed")
            await hello(page)
            await page.until("turn_ended", turn=2)
            await page.send({"type": "close"})
            assert await page.until_closed() == 1000
        assert get_office().snapshot().conversations == 0
    first, second = parrot.streams[before : before + 2]
    assert (first.ended_at > second.opened_at) is overlaps
