"""Who may not talk any more is hung up on: by Django's signals at once, by the re-check in the end."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.utils import timezone
from services import redis_server
from workersupport import Talker, configured, redis_layer, say

from novasonic.contrib.django.workers import layer, revocation, supervisor
from novasonic.contrib.django.workers.revocation import Subject
from novasonic.contrib.django.workers.shared import worker_id


class Browser:
    """The consumer behind Django's sessions, as a site routes it, and a browser that brings its cookie."""

    def __init__(self, client):
        self.cookie = f"sessionid={client.cookies['sessionid'].value}".encode()

    def as_asgi(self):
        site = AuthMiddlewareStack(Talker.as_asgi())

        async def visit(scope, receive, send):
            signed_in = {name: value for name, value in scope.items() if name != "user"}
            signed_in["headers"] = [*scope["headers"], (b"cookie", self.cookie)]
            await site(signed_in, receive, send)

        return visit


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator):
    use_emulator(parrot)


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


@pytest.fixture(params=["alone", "with a layer"])
def world(request):
    """Re-checks too late for these tests: what closes a socket here is a signal."""
    if request.param == "alone":
        with configured(TRANSCRIPTS="off", RECHECK_SECONDS=60):
            yield
    else:
        url = request.getfixturevalue("redis").url
        with configured(TRANSCRIPTS="off", RECHECK_SECONDS=60, REDIS_URL=url), redis_layer(url):
            yield


@pytest.fixture
def ann(transactional_db):
    return get_user_model().objects.create_user("ann", password="secret")


@pytest.fixture
def browser(ann):
    client = Client()
    client.force_login(ann)
    return client


@pytest.fixture
def talking(open_page, browser):
    """Open a page of this browser that has said `initialize`."""

    @asynccontextmanager
    async def talking():
        async with open_page(Browser(browser)) as page:
            await page.send({"type": "initialize"})
            await page.until("initialized")
            yield page

    return talking


async def is_hung_up(page):
    async with asyncio.timeout(5):
        assert (await page.until("error"))["code"] == "signed_out"
        assert await page.until_closed() == 4401


async def test_who_logs_out_is_hung_up_on(world, talking, browser):
    async with talking() as page:
        await say(page, "Hello", turn=1)
        await sync_to_async(browser.logout)()
        await is_hung_up(page)


async def test_who_logs_out_asynchronously_is_hung_up_on(world, talking, browser):
    async with talking() as page:
        await browser.alogout()
        await is_hung_up(page)


async def test_who_is_deactivated_is_hung_up_on(world, talking, ann):
    async with talking() as page:
        ann.is_active = False
        await ann.asave()
        await is_hung_up(page)


async def test_who_gets_another_password_is_hung_up_on(world, talking, ann):
    async with talking() as page:
        ann.set_password("another")
        await ann.asave(update_fields=["password"])
        await is_hung_up(page)


async def test_who_is_deleted_is_hung_up_on(world, talking, ann):
    async with talking() as page:
        await ann.adelete()
        await is_hung_up(page)


async def test_other_changes_and_other_users_hang_up_on_nobody(world, talking, ann):
    async with talking() as page:
        ann.first_name = "Ann"
        await ann.asave()
        await ann.asave(update_fields=["last_login"])
        other = await get_user_model().objects.acreate_user("bob", password="secret")
        other.is_active = False
        await other.asave()
        await say(page, "Still here", turn=1)


async def test_what_is_rolled_back_hangs_up_on_nobody(world, talking, ann):
    def change_one_s_mind():
        with transaction.atomic():
            ann.is_active = False
            ann.save()
            transaction.set_rollback(True)

    async with talking() as page:
        await sync_to_async(change_one_s_mind)()
        await say(page, "Still here", turn=1)


async def test_an_order_of_another_worker_is_carried_out(redis, talking, ann):
    """As `test_workers_kill` shows with two processes: here the order is sent by hand."""
    with configured(TRANSCRIPTS="off", RECHECK_SECONDS=60, REDIS_URL=redis.url), redis_layer(redis.url):
        async with talking() as page:
            await layer.say({"do": "close_user", "user": str(ann.pk), "from": "elsewhere:1"})
            await is_hung_up(page)
        async with talking() as page:
            # Its own come back to it by the layer, and were carried out before.
            await layer.say({"do": "close_user", "user": str(ann.pk), "from": worker_id()})
            await say(page, "Still here", turn=1)


@pytest.fixture
def rechecking(monkeypatch):
    """A site without a layer, and a clock in a hurry."""
    monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.05)
    with configured(TRANSCRIPTS="off", RECHECK_SECONDS=0.1):
        yield


async def test_the_recheck_finds_a_user_who_was_deactivated_past_the_signals(rechecking, talking, ann):
    async with talking() as page:
        await get_user_model().objects.filter(pk=ann.pk).aupdate(is_active=False)
        await is_hung_up(page)


async def test_the_recheck_finds_another_password(rechecking, talking, ann):
    async with talking() as page:
        await get_user_model().objects.filter(pk=ann.pk).aupdate(password="another")
        await is_hung_up(page)


async def test_the_recheck_finds_a_session_that_is_gone(rechecking, talking):
    async with talking() as page:
        await Session.objects.all().adelete()
        await is_hung_up(page)


async def test_a_session_that_expires_is_found_when_it_does_and_not_at_the_next_recheck(talking, monkeypatch):
    monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.05)
    with configured(TRANSCRIPTS="off", RECHECK_SECONDS=60):
        await Session.objects.all().aupdate(expire_date=timezone.now() + timedelta(seconds=1.5))
        async with talking() as page:
            await say(page, "Still here", turn=1)
            await is_hung_up(page)


async def test_the_recheck_leaves_alone_who_may_talk(rechecking, talking, monkeypatch):
    looked = asyncio.Event()
    rounds = []
    look = revocation.check
    loop = asyncio.get_running_loop()

    def check(subjects):
        rounds.append(len(subjects))
        if len(rounds) == 3:
            loop.call_soon_threadsafe(looked.set)
        return look(subjects)

    monkeypatch.setattr(revocation, "check", check)
    async with talking() as page:
        await looked.wait()
        await say(page, "Still here", turn=1)


async def test_a_database_that_fails_hangs_up_on_nobody(ann, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise OSError("no database")

    subject = Subject.of(ann, {})
    monkeypatch.setattr(revocation, "close_old_connections", lambda: None)
    monkeypatch.setattr(type(get_user_model()._default_manager), "filter", fail, raising=False)
    assert [verdict.revoked for verdict in revocation.check([subject])] == [False]
    assert "could not be looked up" in caplog.text


def test_who_came_by_other_means_than_the_session_is_not_asked_for_one(ann):
    class Unsigned(dict):
        session_key = "of nobody"

    subject = Subject.of(ann, {"session": Unsigned()})
    assert subject.session_key is None
    assert not revocation.check([subject])[0].revoked
    assert not revocation.check([Subject.of(object(), {})])[0].revoked
