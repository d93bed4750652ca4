"""What pages with keys of their own tell: whose it must be, what is kept of it, and that nothing believes it."""

import json
import logging
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from credentialsupport import StandIn, sts_giving
from django.contrib.auth import get_user_model
from django.db import OperationalError, connections
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

import novasonic
from novasonic.contrib.django import grant
from novasonic.contrib.django.limits import office
from novasonic.contrib.django.models import AccessRecord, Conversation, Turn, UsageRecord
from novasonic.contrib.django.records import erase, reported, store
from novasonic.contrib.django.records.erase import delete_of, hang_up, prune
from novasonic.contrib.django.records.export import as_dict
from novasonic.contrib.django.views import live, report

APP = "https://app.example.org"
KEYS = novasonic.Credentials("ASIASTANDIN", "the-pages-secret", "the-pages-token")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _no_connection_left():
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture(autouse=True)
def site(settings, monkeypatch):
    settings.NOVASONIC = {
        "REGION": "us-east-1",
        "CREDENTIALS_ENDPOINT": {"ROLE_ARN": "arn:aws:iam::111122223333:role/page", "REPORTS": True},
    }
    monkeypatch.setattr(report, "_pace", report.Doorkeeper())
    return settings


@pytest.fixture
async def anna():
    return await get_user_model().objects.acreate(username="anna")


@pytest.fixture
async def client(anna):
    client = AsyncClient()
    await client.aforce_login(anna)
    return client


@pytest.fixture
async def grant_id(anna):
    """As the credentials view makes it."""
    made = uuid.uuid4()
    await reported.open_row(made, anna, model="amazon.nova-2-sonic-v1:0", region="us-east-1")
    return made


def told(grant_id, number=1, **more):
    return {"grant": str(grant_id), "number": number, **more}


def turn(number=1, **more):
    return {"number": number, "startedMs": 1_500, "userText": "Sing", "assistantText": "La la", **more}


def usage(turn=1, speech_in=100, text_in=20, speech_out=300, text_out=40):
    return {"turn": turn, "speechIn": speech_in, "textIn": text_in, "speechOut": speech_out, "textOut": text_out}


async def post(client, body, **more):
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return await client.post("/report/", data, content_type="application/json", **more)


def code(answer):
    return answer.status_code, answer.json()["code"]


async def test_a_report_is_kept_as_told_by_the_page(client, anna, grant_id):
    answer = await post(
        client,
        told(
            grant_id,
            voice="tiffany",
            turns=[turn(ms=4_200, responseMs=700), turn(2, startedMs=9_000, interrupted=True)],
            usage=[usage(), usage(2, 10, 2, 30, 4)],
        ),
    )
    assert (answer.status_code, answer.json()) == (200, {"number": 1, "outcome": "stored"})
    assert answer["Cache-Control"] == "no-store"
    kept = await Conversation.objects.aget()
    assert (kept.pk, kept.owner, kept.user_id, kept.client_reported) == (grant_id, str(anna.pk), anna.pk, True)
    assert (kept.voice, kept.model, kept.region) == ("tiffany", "amazon.nova-2-sonic-v1:0", "us-east-1")
    assert (kept.speech_in, kept.text_in, kept.speech_out, kept.text_out) == (110, 22, 330, 44)
    assert (kept.ended_at, kept.last_report) == (None, 1)
    first, second = [one async for one in Turn.objects.order_by("number")]
    assert (first.user_text, first.assistant_text, first.interrupted) == ("Sing", "La la", False)
    assert (first.seconds, first.response_seconds) == (4.2, 0.7)
    assert first.started_at - kept.started_at == timedelta(seconds=1.5)
    assert second.interrupted
    assert first.client_reported
    assert [one.client_reported async for one in UsageRecord.objects.all()] == [True, True]


async def test_what_it_cost_is_reckoned_here_by_the_list_price(client, grant_id):
    await post(client, told(grant_id, usage=[usage(1, 1_000_000, 0, 0, 0), usage(2, 0, 0, 1_000_000, 0)]))
    kept = await Conversation.objects.aget()
    assert kept.usd == Decimal("15.000000")
    assert code(await post(client, told(grant_id, 2, usage=[usage() | {"usd": 0}]))) == (400, "bad_report")


async def test_a_report_that_comes_twice_counts_once(client, grant_id):
    assert (await post(client, told(grant_id, 2, turns=[turn(assistantText="first")]))).json()["outcome"] == "stored"
    for number in (2, 1):
        answer = await post(client, told(grant_id, number, turns=[turn(assistantText="second")], ended="closed"))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "repeated")
    assert (await Turn.objects.aget()).assistant_text == "first"
    assert (await Conversation.objects.aget()).ended_at is None


async def test_of_two_at_once_with_one_number_one_is_kept(client, grant_id):
    one, other = [
        await reported.prepare(reported.msgspec.convert(told(grant_id, turns=[turn(userText=text)]), reported.Report))
        for text in ("one", "other")
    ]
    owner = str((await Conversation.objects.aget()).owner)
    # Both were looked at before either was written.
    assert await reported.store(one, owner) == "stored"
    assert await reported.store(other, owner) == "repeated"
    assert (await Turn.objects.aget()).user_text == "one"


async def test_a_turn_is_told_again_as_more_of_it_is_known(client, grant_id):
    await post(client, told(grant_id, 1, turns=[turn(assistantText="La")], usage=[usage(speech_out=1)]))
    await post(client, told(grant_id, 2, turns=[turn(interrupted=True)], usage=[usage()], ended="closed"))
    kept = await Turn.objects.aget()
    assert (kept.assistant_text, kept.interrupted) == ("La la", True)
    conversation = await Conversation.objects.aget()
    assert (conversation.speech_out, conversation.reason) == (300, "closed")
    assert conversation.ended_at is not None
    # It is over, and its last tokens may still be told.
    await post(client, told(grant_id, 3, usage=[usage(speech_out=400)], ended="limit"))
    later = await Conversation.objects.aget()
    assert (later.speech_out, later.reason, later.ended_at) == (400, "closed", conversation.ended_at)


async def test_it_is_off_unless_the_setting_says_otherwise(client, grant_id, settings):
    settings.NOVASONIC = {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": "arn:aws:iam::111122223333:role/page"}}
    assert code(await post(client, told(grant_id))) == (404, "not_found")
    settings.NOVASONIC = {}
    assert (await client.get("/report/")).status_code == 404


async def test_strangers_tell_nothing(grant_id):
    assert code(await post(AsyncClient(), told(grant_id))) == (401, "not_signed_in")
    assert (await Conversation.objects.aget()).last_report == 0


async def test_nobody_is_signed_in_where_strangers_may_talk(grant_id, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "PERMISSION": "novasonic.contrib.django.permissions.AllowAny"}
    assert code(await post(AsyncClient(), told(grant_id))) == (401, "not_signed_in")


async def test_nobody_reports_for_another(grant_id):
    other = AsyncClient()
    await other.aforce_login(await get_user_model().objects.acreate(username="eve"))
    assert code(await post(other, told(grant_id, turns=[turn()]))) == (404, "no_such_grant")
    assert not await Turn.objects.aexists()


async def test_nobody_reports_without_having_been_given_keys(client, anna):
    assert code(await post(client, told(uuid.uuid4()))) == (404, "no_such_grant")
    # A conversation that this server held is not open to what its user's page says of it.
    held = await Conversation.objects.acreate(owner=str(anna.pk), user=anna)
    assert code(await post(client, told(held.pk, turns=[turn()]))) == (404, "no_such_grant")
    assert not await Turn.objects.aexists()


async def test_what_was_deleted_stays_deleted(client, anna, grant_id):
    await post(client, told(grant_id, turns=[turn()]))
    await sync_to_async(delete_of)(user=anna)
    assert code(await post(client, told(grant_id, 2, turns=[turn()]))) == (404, "no_such_grant")
    assert not await Conversation.objects.aexists()


async def test_erasing_asks_no_worker_about_what_none_can_hold(client, anna, grant_id, monkeypatch):
    await Conversation.objects.acreate(owner=str(anna.pk), user=anna)
    asked = []
    # Each question waits a second for answers, and a page that was closed leaves its conversation open for good.
    monkeypatch.setattr(erase, "_tell_workers", lambda conversation: asked.append(conversation))
    await sync_to_async(delete_of)(user=anna)
    assert len(asked) == 1
    assert grant_id not in asked
    assert not await Conversation.objects.aexists()


async def test_keys_that_are_over_for_long_have_nothing_to_report(client, grant_id):
    began = timezone.now() - timedelta(seconds=reported.ACCEPTED_SECONDS - 30)
    await Conversation.objects.aupdate(started_at=began)
    assert (await post(client, told(grant_id))).status_code == 200
    await Conversation.objects.aupdate(started_at=began - timedelta(seconds=60))
    assert code(await post(client, told(grant_id, 2))) == (410, "grant_over")


async def test_a_post_without_its_token_is_refused_and_with_it_is_not(anna, grant_id):
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(anna)
    assert (await post(client, told(grant_id))).status_code == 403
    token = (await client.get("/report/")).json()["csrfToken"]
    assert (await post(client, told(grant_id), headers={"x-csrftoken": token})).status_code == 200
    # The one for keys serves as well: a page asks once.
    token = (await client.get("/credentials/")).json()["csrfToken"]
    assert (await post(client, told(grant_id, 2), headers={"x-csrftoken": token})).status_code == 200


async def test_the_token_is_wanted_where_the_site_has_no_such_middleware_too(anna, grant_id, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(anna)
    assert (await post(client, told(grant_id))).status_code == 403
    assert (await Conversation.objects.aget()).last_report == 0


async def test_a_page_of_another_origin_is_refused_unless_it_is_listed(client, grant_id, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "ALLOWED_ORIGINS": [APP]}
    answer = await post(client, told(grant_id), headers={"origin": "https://evil.example"})
    assert code(answer) == (403, "origin_not_allowed")
    answer = await post(client, told(grant_id), headers={"origin": APP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, APP)


async def test_one_user_reports_so_often_and_another_is_not_slowed(client, grant_id, monkeypatch):
    # Few, so that a busy machine does not take the half minute in which one more is allowed.
    monkeypatch.setattr(report, "PER_MINUTE", 2)
    answers = [await post(client, told(grant_id, 1)) for _ in range(3)]
    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert code(answers[-1]) == (429, "too_many_reports")
    assert answers[-1]["Retry-After"] == "2"
    other = AsyncClient()
    await other.aforce_login(await get_user_model().objects.acreate(username="eve"))
    assert (await post(other, told(grant_id))).status_code == 404


@pytest.mark.parametrize("declared", [True, False])
async def test_a_report_that_is_too_long_is_not_read(client, grant_id, declared):
    body = json.dumps(told(grant_id, turns=[turn(userText="x" * 15_000) for _ in range(5)]))
    more = {} if declared else {"headers": {"content-length": ""}}
    assert code(await post(client, body, **more)) == (413, "report_too_long")
    assert (await Conversation.objects.aget()).last_report == 0


async def test_only_json_is_read(client, grant_id):
    answer = await client.post("/report/", {"grant": str(grant_id), "number": 1})
    assert code(answer) == (415, "not_json")


BAD = {
    "no JSON": (b"{", None),
    "no UTF-8": (b'{"grant": "\xff"}', None),
    "half a character": (b'{"grant": "\\ud800!"}', None),
    "no object": ([], "$"),
    "nothing": ({}, "$"),
    "an unknown key": ({"secret-word": 1}, "$"),
    "a number of zero": ({"number": 0}, "$.number"),
    "a number as text": ({"number": "1"}, "$.number"),
    "a number that is true": ({"number": True}, "$.number"),
    "too high a number": ({"number": reported.MAX_REPORTS + 1}, "$.number"),
    "no UUID": ({"grant": "secret-word"}, "$.grant"),
    "a UUID and a line's end": ({"grant": f"{uuid.uuid4()}\n"}, "$.grant"),
    "an unknown end": ({"ended": "secret-word"}, "$.ended"),
    "an odd voice": ({"voice": "Secret-Word"}, "$.voice"),
    "a voice and a line's end": ({"voice": f"{'x' * 40}\n"}, "$.voice"),
    "a turn of number zero": ({"turns": [turn(0)]}, "$.turns[0].number"),
    "too many turns": ({"turns": [turn(n) for n in range(1, 22)]}, "$.turns"),
    "a turn in the future": ({"turns": [turn(startedMs=10**8)]}, "$.turns[0].startedMs"),
    "a turn before its time": ({"turns": [turn(startedMs=-1)]}, "$.turns[0].startedMs"),
    "too long a text": ({"turns": [turn(userText="x" * 16_001)]}, "$.turns[0].userText"),
    "an unknown key of a turn": ({"turns": [turn(withheld=True)]}, "$.turns[0]"),
    "tokens below zero": ({"usage": [usage(speech_in=-1)]}, "$.usage[0].speechIn"),
    "tokens without end": ({"usage": [usage(text_out=10**9)]}, "$.usage[0].textOut"),
    "half a token": ({"usage": [usage(text_in=0.5)]}, "$.usage[0].textIn"),
    "layers without end": (b'{"turns":' + b"[" * 60_000, None),
}


@pytest.mark.parametrize("what", BAD)
async def test_what_is_not_as_it_should_be_is_refused_without_being_quoted(client, grant_id, what):
    body, where = BAD[what]
    if isinstance(body, dict) and body:
        body = told(grant_id) | body
    answer = await post(client, body)
    assert code(answer) == (400, "bad_report")
    assert "secret-word" not in answer.content.decode().lower()
    if where is not None:
        # A path that leads to the root is left out by msgspec.
        assert f"at {where}." in answer.json()["message"] or where in ("$", "$.turns[0]")
    assert (await Conversation.objects.aget()).last_report == 0
    assert not await Turn.objects.aexists()


async def test_a_text_that_no_database_takes_is_mended(client, grant_id):
    assert (await post(client, told(grant_id, turns=[turn(userText="a\0b")]))).status_code == 200
    assert (await Turn.objects.aget()).user_text == "ab"


async def test_a_turn_that_stands_there_twice_is_kept_as_it_stands_last(client, grant_id):
    both = {"turns": [turn(userText="a"), turn(userText="b")], "usage": [usage(1, 1), usage(1, 2)]}
    assert (await post(client, told(grant_id, **both))).status_code == 200
    assert (await Turn.objects.aget()).user_text == "b"
    assert (await Conversation.objects.aget()).speech_in == 2


async def hide_numbers(text, *, role):
    return text.replace("42", "(number)")


@pytest.mark.parametrize(("mode", "kept"), [("full", "I am 42"), ("redacted", "I am (number)"), ("off", "")])
async def test_texts_are_kept_as_the_site_keeps_texts(client, grant_id, settings, mode, kept):
    settings.NOVASONIC = {**settings.NOVASONIC, "TRANSCRIPTS": mode, "REDACT": f"{__name__}.hide_numbers"}
    await post(client, told(grant_id, turns=[turn(userText="I am 42")]))
    assert (await Turn.objects.aget()).user_text == kept


async def test_what_cannot_be_redacted_is_withheld(client, grant_id, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "TRANSCRIPTS": "redacted", "REDACT": "no.such.hook"}
    assert (await post(client, told(grant_id, turns=[turn()]))).status_code == 200
    row = await Turn.objects.aget()
    assert (row.user_text, row.assistant_text, row.withheld) == ("", "", True)


async def test_a_database_that_is_away_is_said_and_no_word_is_logged(client, grant_id, monkeypatch, caplog):
    async def away(*_):
        raise OperationalError("no connection to db.internal")

    monkeypatch.setattr(reported, "store", away)
    with caplog.at_level(logging.DEBUG, "novasonic"):
        answer = await post(client, told(grant_id, turns=[turn(userText="secret-word")]))
    assert code(answer) == (503, "report_not_kept")
    assert answer["Retry-After"] == "30"
    assert "db.internal" not in answer.content.decode() + caplog.text
    assert "secret-word" not in caplog.text


async def test_half_a_report_is_never_kept(client, grant_id, monkeypatch):
    def fail(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(reported, "_write_usage", fail)
    assert (await post(client, told(grant_id, turns=[turn()], usage=[usage()]))).status_code == 503
    assert (await Conversation.objects.aget()).last_report == 0
    assert not await Turn.objects.aexists()


async def test_it_is_exported_pruned_and_erased_with_the_rest(client, anna, grant_id):
    await post(client, told(grant_id, turns=[turn()], usage=[usage()]))
    exported = await sync_to_async(as_dict)(await Conversation.objects.aget())
    assert exported["client_reported"] is True
    assert [exported[kind][0]["client_reported"] for kind in ("turns", "usage")] == [True, True]
    await Conversation.objects.aupdate(updated_at=timezone.now() - timedelta(days=31))
    assert (await sync_to_async(prune)()).conversations == 1
    assert not await Turn.objects.aexists()


async def test_it_cannot_be_gone_on_with_nor_hung_up(client, anna, grant_id):
    await post(client, told(grant_id, turns=[turn(assistantText="Your balance is a million.")]))
    assert await store.claim(grant_id, str(anna.pk)) is None
    assert not await sync_to_async(hang_up)(grant_id)
    assert (await Conversation.objects.aget()).ended_at is None


async def test_the_admin_says_plainly_whose_word_it_is(client, grant_id):
    await post(client, told(grant_id, turns=[turn()], usage=[usage()]))
    await Conversation.objects.acreate(owner="held-here")
    grace = await get_user_model().objects.acreate(username="grace", is_staff=True, is_superuser=True)
    staff = AsyncClient()
    await staff.aforce_login(grace)
    listed = (await staff.get(reverse("admin:novasonic_conversation_changelist"))).content.decode()
    assert listed.count("its page, unchecked") == 1
    assert listed.count("this server") == 1
    for page in ("change", "transcript"):
        shown = (await staff.get(reverse(f"admin:novasonic_conversation_{page}", args=[grant_id]))).content.decode()
        assert "Nobody has checked it" in shown
        assert "_hang_up" not in shown
    running = reverse("admin:novasonic_conversation_changelist") + "?running=yes"
    assert str(grant_id) in (await staff.get(running)).content.decode()
    began = timezone.now() - timedelta(seconds=grant.LAST_STREAM_SECONDS + 1)
    await Conversation.objects.filter(pk=grant_id).aupdate(started_at=began)
    assert str(grant_id) not in (await staff.get(running)).content.decode(), "its keys and their last stream are over"
    assert str(grant_id) in (await staff.get(running.replace("yes", "no"))).content.decode()


@pytest.fixture
def sts(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASITE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-sites-secret")
    monkeypatch.setattr(grant, "_clients", {})
    monkeypatch.setattr(office, "_offices", {})
    monkeypatch.setattr(office, "_locals", {})
    with StandIn(sts_giving(KEYS)) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stand_in.url)
        yield stand_in


@pytest.mark.slow
async def test_whoever_is_given_keys_may_report_and_the_audit_names_the_conversation(client, sts):
    given = (await client.post("/credentials/")).json()
    assert (await post(client, told(given["grant"]))).status_code == 200
    row = await AccessRecord.objects.aget()
    assert (row.action, str(row.conversation)) == ("credentials", given["grant"])
    assert [str(one.pk) async for one in Conversation.objects.all()] == [given["grant"]]


@pytest.mark.slow
async def test_without_reports_keys_leave_no_conversation(client, sts, settings):
    settings.NOVASONIC = {
        "REGION": "us-east-1",
        "CREDENTIALS_ENDPOINT": {"ROLE_ARN": "arn:aws:iam::111122223333:role/page"},
    }
    assert "grant" not in (await client.post("/credentials/")).json()
    assert not await Conversation.objects.aexists()
    assert (await AccessRecord.objects.aget()).conversation is None


@pytest.mark.slow
async def test_without_a_place_for_reports_no_keys_are_given(client, sts, monkeypatch):
    async def away(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(live.reported, "open_row", away)
    answer = await client.post("/credentials/")
    assert code(answer) == (503, "credentials_unavailable")
    assert "ASIASTANDIN" not in answer.content.decode()


@pytest.mark.slow
async def test_a_report_frees_no_budget(client, sts, settings):
    limits = {"CONVERSATIONS_PER_OWNER": None, "USD_PER_DAY": 0.3, "RESERVE_USD": 0.25}
    settings.NOVASONIC = {**settings.NOVASONIC, "LIMITS": limits}
    given = (await client.post("/credentials/")).json()
    nothing = told(given["grant"], usage=[usage(1, 0, 0, 0, 0)], ended="closed")
    assert (await post(client, nothing)).status_code == 200
    assert code(await client.post("/credentials/")) == (429, "budget_used_up")
