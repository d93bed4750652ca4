"""What operators and pages are told over HTTP, and whose pages may read it."""

import asyncio
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import AsyncClient, RequestFactory
from django.urls import resolve

from novasonic import events
from novasonic.contrib.asgi.origins import normal_origin
from novasonic.contrib.django import metering
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.permissions import IsStaff
from novasonic.contrib.django.views import (
    SOCKET_PATH,
    CredentialsView,
    HealthView,
    MetricsView,
    StatusView,
    TalkView,
    live,
)
from novasonic.contrib.django.views.access import is_from_here
from novasonic.contrib.django.workers.shared import worker_id

APP = "https://app.example.org"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _no_connection_left():
    """A request that fails ends without the signal that closes connections, and PostgreSQL drops no database in use."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def people():
    """Make users of the database."""

    async def people(**fields):
        return await get_user_model().objects.acreate(username=f"user-{fields}", **fields)

    return people


@pytest.fixture
def client_of(people):
    async def client_of(**fields):
        client = AsyncClient()
        await client.aforce_login(await people(**fields))
        return client

    return client_of


@pytest.fixture
def draining(monkeypatch):
    monkeypatch.setattr(live, "is_draining", lambda: True)


@pytest.fixture
def talking(monkeypatch):
    """Two pages, one of which talks."""
    one, other = SimpleNamespace(id="s-1"), SimpleNamespace(id="s-2")
    handlers = [SimpleNamespace(conversation=one, session=True), SimpleNamespace(conversation=other, session=None)]
    monkeypatch.setattr(live, "open_handlers", handlers)
    monkeypatch.setattr(live, "_elsewhere", (float("-inf"), frozenset()))


def test_what_others_import_from_the_views_is_there():
    assert SOCKET_PATH == "novasonic/ws/"
    assert TalkView.socket_path == SOCKET_PATH


async def test_status_counts_for_those_who_may_talk(client_of, talking):
    answer = await (await client_of()).get("/status/")
    assert answer.status_code == 200
    told = answer.json()
    assert (told.pop("timestamp")[:2], told) == ("20", {"status": "ok", "activeConnections": 2, "activeSessions": 1})
    assert answer["Cache-Control"] == "no-store"


async def test_status_names_conversations_to_staff_alone(client_of, talking):
    assert (await (await client_of(is_staff=True)).get("/status/")).json()["sessionIds"] == ["s-1"]


async def test_status_counts_other_workers_and_asks_them_once_for_many(client_of, talking, monkeypatch):
    asked = []

    async def conversations():
        asked.append(True)
        ended_here = SimpleNamespace(id="s-3", worker=worker_id())
        return [ended_here, SimpleNamespace(id="s-1", worker="other"), SimpleNamespace(id="s-9", worker="other")]

    monkeypatch.setattr(live, "conversations", conversations)
    client = await client_of(is_staff=True)
    for _ in range(3):
        told = (await client.get("/status/")).json()
        assert (told["activeConnections"], told["activeSessions"]) == (3, 2)
        assert told["sessionIds"] == ["s-1", "s-9"]
    assert len(asked) == 1


async def test_status_is_not_for_strangers_nor_for_the_deactivated(client_of, people):
    answer = await AsyncClient().get("/status/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    client = await client_of()
    await get_user_model().objects.all().aupdate(is_active=False)
    assert (await client.get("/status/")).status_code == 401


async def test_status_tells_that_the_worker_is_drained(client_of, draining):
    assert (await (await client_of()).get("/status/")).json()["status"] == "draining"


async def test_health_needs_nobody_and_tells_nothing():
    answer = await AsyncClient().get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (await AsyncClient().head("/health/")).status_code == 200


async def test_health_is_bad_while_the_worker_is_drained(draining):
    answer = await AsyncClient().get("/health/")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


@pytest.mark.django_db(databases=[])
async def test_health_asks_no_database():
    assert (await AsyncClient().get("/health/")).status_code == 200


async def test_other_methods_are_refused():
    answer = await AsyncClient().post("/health/")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("address", "view"),
    [
        ("/api/nova-sonic/status", StatusView),
        ("/api/nova-sonic/health", HealthView),
        ("/api/aws-credentials/", CredentialsView),
    ],
)
@pytest.mark.django_db(databases=[])
def test_the_storyteller_has_them_at_addresses_of_its_own(address, view):
    assert resolve(address, "storyteller.urls").func.view_class is view


@pytest.mark.django_db(databases=[])
def test_the_storyteller_takes_sockets_at_an_address_of_its_own():
    from storyteller.routing import websocket_urlpatterns

    taken = [pattern for pattern in websocket_urlpatterns if pattern.resolve("api/nova-sonic/stream")]
    assert [pattern.callback.consumer_class.__name__ for pattern in taken] == ["Storyteller"]


async def test_a_view_may_have_a_permission_of_its_own(people):
    view = StatusView.as_view(permission=IsStaff())
    for staff, status in ((True, 200), (False, 403)):
        request = RequestFactory().get("/status/")
        request.auser = AsyncMock(return_value=await people(is_staff=staff))
        assert (await view(request)).status_code == status


# Metrics.


async def test_metrics_are_off_by_default(client_of):
    assert (await (await client_of(is_staff=True)).get("/metrics/")).status_code == 404


async def metrics_for(user, *, address="127.0.0.1", host="localhost"):
    request = RequestFactory().get("/metrics/", headers={"host": host}, REMOTE_ADDR=address)
    request.auser = AsyncMock(return_value=user)
    return await MetricsView.as_view()(request)


async def test_metrics_are_for_staff_and_for_this_machine(people, settings):
    settings.NOVASONIC = {"METRICS": True}
    away = {"address": "192.0.2.7", "host": "testserver"}
    assert (await metrics_for(None)).status_code == 200
    assert (await metrics_for(await people(is_staff=True), **away)).status_code == 200
    assert (await metrics_for(await people(), **away)).status_code == 404
    assert (await metrics_for(None, **away)).status_code == 404


@pytest.mark.parametrize(
    ("address", "headers", "expected"),
    [
        ("127.0.0.1", {"host": "localhost:8000"}, True),
        ("127.0.0.1", {"host": "127.0.0.1:8000"}, True),
        ("::1", {"host": "[::1]:8000"}, True),
        ("::1", {"host": "[::1]"}, True),
        ("::ffff:127.0.0.1", {"host": "localhost"}, True),
        ("192.0.2.7", {"host": "localhost"}, False),
        ("", {"host": "localhost"}, False),  # a UNIX socket: who knows who is behind it
        ("127.0.0.1", {"host": "voice.example.org"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "192.0.2.7"}, False),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 proxy"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=192.0.2.7"}, False),
    ],
)
@pytest.mark.django_db(databases=[])
def test_what_a_proxy_passes_on_is_not_from_here(address, headers, expected, settings):
    settings.ALLOWED_HOSTS = ["*"]
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=address)
    assert is_from_here(request) is expected


async def test_metrics_are_those_of_what_happened(settings, monkeypatch, talking):
    settings.NOVASONIC = {"METRICS": True}
    meters = metering.Meters()
    for module in ("novasonic.contrib.django.metering", "novasonic.contrib.django.views.exposition"):
        monkeypatch.setattr(f"{module}.meters", meters)
    pools = {"us-east-1": 7, "page-0123/us-east-1": 1, "page-4567/us-east-1": 2}
    pools = {name: SimpleNamespace(leases=leases) for name, leases in pools.items()}
    snapshot = SimpleNamespace(waiting=1, pools=pools, refusals={"owner_usd": 2}, redis="down")
    monkeypatch.setattr("novasonic.contrib.django.views.exposition.snapshots", lambda: [snapshot])
    companion = metering.Metering(None)
    await companion.opened(None)
    timings = events.Timings(started=1.0, user_ended=1.0, first_audio=1.6, ended=3.0)
    place = {"at": 3.0, "turn": 1, "raw_type": "x"}
    counts = events.TokenCounts(speech_in=10, text_in=2, speech_out=30, text_out=4)
    for event in (
        events.TurnEnded(interrupted=False, timings=timings, **place),
        events.ToolFinished(id="t", ok=False, seconds=0.1, **place),
        events.Renewing(reason="age", **place),
        events.Usage(delta=counts, total=counts, usd=0.25, **place),
        events.Usage(delta=counts, total=counts, usd=0.75, **place),
    ):
        companion.event(event)
    await companion.ended("closed", TimeoutError())
    answer = await metrics_for(None)
    assert answer["Content-Type"].startswith("text/plain")
    told = set(answer.content.decode().splitlines())
    assert told >= {
        "novasonic_connections 2.0",
        "novasonic_sessions 1.0",
        "novasonic_waiting 1.0",
        'novasonic_leases{pool="us-east-1"} 7.0',
        'novasonic_leases{pool="page"} 3.0',
        'novasonic_refusals_total{reason="owner_usd"} 2.0',
        "novasonic_redis_down 1.0",
        "novasonic_draining 0.0",
        "novasonic_conversations_opened_total 1.0",
        'novasonic_conversations_ended_total{reason="closed"} 1.0',
        'novasonic_turns_total{end="whole"} 1.0',
        'novasonic_tool_calls_total{result="failed"} 1.0',
        'novasonic_renewals_total{reason="age"} 1.0',
        'novasonic_tokens_total{kind="speech_out"} 60.0',
        "novasonic_usd_total 0.75",
        'novasonic_errors_total{error="TimeoutError"} 1.0',
        'novasonic_response_seconds_bucket{le="0.5"} 0.0',
        'novasonic_response_seconds_bucket{le="0.75"} 1.0',
        "novasonic_response_seconds_count 1.0",
    }
    assert not any(line.startswith("python_info") for line in told), "the site's own registry is not ours to show"


# Origins.


@pytest.mark.parametrize(
    ("origin", "normal"),
    [
        ("https://app.example.org", "https://app.example.org"),
        ("https://APP.example.org:443", "https://app.example.org"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("null", None),
        ("*", None),
        ("https://app.example.org/path", None),
        ("https://app.example.org@evil.example", None),
        ("https://app.example.org:99999", None),
        ("ftp://app.example.org", None),
        ("https://", None),
    ],
)
@pytest.mark.django_db(databases=[])
def test_an_origin_is_a_scheme_a_host_and_a_port(origin, normal):
    assert normal_origin(origin) == normal


async def test_pages_of_the_list_may_read_and_no_others(client_of, settings):
    settings.NOVASONIC = {"ALLOWED_ORIGINS": [APP]}
    client = await client_of()
    answer = await client.get("/status/", headers={"origin": APP})
    assert answer["Access-Control-Allow-Origin"] == APP
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer["Vary"]
    for origin in ("https://evil.example", "https://app.example.org.evil.example", "http://app.example.org", "null"):
        answer = await client.get("/status/", headers={"origin": origin})
        assert "Access-Control-Allow-Origin" not in answer
        assert "Origin" in answer["Vary"]


async def test_a_browser_that_asks_first_is_told(settings):
    settings.NOVASONIC = {"ALLOWED_ORIGINS": [APP]}
    headers = {"origin": APP, "access-control-request-method": "GET", "access-control-request-headers": "x-csrftoken"}
    answer = await AsyncClient().options("/status/", headers=headers)
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == APP
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert "x-csrftoken" in answer["Access-Control-Allow-Headers"]
    answer = await AsyncClient().options("/status/", headers={**headers, "origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer


async def test_a_refusal_can_be_read_by_pages_of_the_list_too(settings):
    settings.NOVASONIC = {"ALLOWED_ORIGINS": [APP]}
    answer = await AsyncClient().get("/status/", headers={"origin": APP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (401, APP)


async def test_many_may_ask_at_once(client_of, talking):
    client = await client_of()
    answers = await asyncio.gather(*(client.get("/health/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_page_that_talks_is_counted_by_the_id_it_was_told(
    open_page, parrot, use_emulator, client_of, monkeypatch
):
    use_emulator(parrot)
    client = await client_of(is_staff=True)
    async with open_page(NovaSonicConsumer) as page:
        told = (await client.get("/status/")).json()
        assert (told["activeConnections"], told["activeSessions"]) == (1, 0)
        await page.send({"type": "text_message", "text": "Good morning."})
        session_id = (await page.until("initialized"))["sessionId"]
        await page.until("turn_started")
        monkeypatch.setattr(live, "_elsewhere", (float("-inf"), frozenset()))  # as if long had passed
        told = (await client.get("/status/")).json()
        assert (told["activeConnections"], told["sessionIds"]) == (1, [session_id])
    told = (await client.get("/status/")).json()
    assert (told["activeConnections"], told["activeSessions"]) == (0, 0)
