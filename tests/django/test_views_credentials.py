"""Keys for pages: who gets them, what STS is asked, and what nobody is told."""

import json
import logging
import os
import re
import urllib.parse
import urllib.request
from datetime import datetime

import pytest
from asgiref.sync import sync_to_async
from credentialsupport import StandIn
from django.contrib.auth import get_user_model
from django.db import OperationalError, connections
from django.test import AsyncClient
from django.views.debug import ExceptionReporter

from novasonic.contrib.asgi.companion import Refused
from novasonic.contrib.django import grant
from novasonic.contrib.django.limits import office
from novasonic.contrib.django.limits.memory import MemoryStore
from novasonic.contrib.django.limits.office import lease_for_page
from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.views import live

ROLE = "arn:aws:iam::111122223333:role/page"
APP = "https://app.example.org"
SECRET = "wJalrSECRETOFTHESTANDIN"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
async def _no_connection_left():
    """A request that fails ends without the signal that closes connections, and PostgreSQL drops no database in use."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture(scope="module")
def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def site(settings, monkeypatch):
    """A site that names a role, and lends each owner one set of keys at a time."""
    settings.NOVASONIC = {
        "REGION": "us-east-1",
        "CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE},
        "LIMITS": {"CONVERSATIONS_PER_OWNER": 1},
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASITE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-sites-secret")
    monkeypatch.setattr(grant, "_clients", {})
    # Nothing has been lent yet.
    monkeypatch.setattr(office, "_offices", {})
    monkeypatch.setattr(office, "_locals", {})
    return settings


@pytest.fixture
def sts(moto, monkeypatch):
    """A moto server, and what it was asked."""
    asked = []

    def relay(request):
        asked.append(dict(urllib.parse.parse_qsl(request.body.decode())))
        headers = {"Authorization": request.headers["Authorization"]}
        with urllib.request.urlopen(urllib.request.Request(moto, request.body, headers), timeout=10) as response:
            return 200, response.read().decode()

    with StandIn(relay) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", between.url)
        yield asked


@pytest.fixture
def sts_that(monkeypatch):
    """An STS that answers so."""
    stand_ins = []

    def sts_that(answer):
        stand_ins.append(StandIn(answer).__enter__())
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stand_ins[-1].url)
        return stand_ins[-1]

    yield sts_that
    for stand_in in stand_ins:
        stand_in.__exit__()


async def assert_that_nothing_is_lent():
    user = await get_user_model().objects.aget()
    lease = await lease_for_page(owner=str(user.pk), seconds=900, region="us-east-1")
    await lease.give_back()


@pytest.fixture
async def user():
    return await get_user_model().objects.acreate(username="anna")


@pytest.fixture
async def client(user):
    client = AsyncClient()
    await client.aforce_login(user)
    return client


async def test_keys_are_asked_for_one_model_in_one_region_for_900_seconds(client, user, sts):
    answer = await client.post("/credentials/")
    assert answer.status_code == 200
    (request,) = sts
    assert request["Action"] == "AssumeRole"
    assert (request["RoleArn"], request["DurationSeconds"]) == (ROLE, "900")
    assert json.loads(request["Policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream"],
                "Resource": ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-sonic-v1:0"],
            }
        ],
    }
    assert len(request["Policy"]) <= 2_048
    assert "ExternalId" not in request
    assert re.fullmatch(r"novasonic-[0-9a-f]{32}", request["RoleSessionName"])
    assert request["RoleSessionName"] == grant.session_name(user.pk)
    given = answer.json()
    assert given["accessKeyId"].startswith("ASIA")
    assert given["secretAccessKey"]
    assert given["sessionToken"]
    assert given["region"] == "us-east-1"
    assert given["model"] == "amazon.nova-2-sonic-v1:0"
    assert datetime.fromisoformat(given["expiration"]).tzinfo is not None
    assert answer["Cache-Control"] == "no-store"


async def test_an_external_id_goes_along(client, sts, settings):
    settings.NOVASONIC = {
        "REGION": "us-east-1",
        "CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE, "EXTERNAL_ID": "site-7"},
    }
    assert (await client.post("/credentials/")).status_code == 200
    assert sts[0]["ExternalId"] == "site-7"


def test_a_session_name_tells_nobody_who_and_stays_the_same(settings):
    assert grant.session_name(1) == grant.session_name(1) != grant.session_name(2)
    before = grant.session_name(1)
    settings.SECRET_KEY = "another"
    assert grant.session_name(1) != before


@pytest.mark.parametrize(
    ("region", "arn"),
    [
        ("eu-north-1", "arn:aws:bedrock:eu-north-1::foundation-model/m"),
        ("us-gov-west-1", "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/m"),
        ("cn-north-1", "arn:aws-cn:bedrock:cn-north-1::foundation-model/m"),
    ],
)
def test_a_model_is_named_in_its_partition(region, arn):
    assert grant.resource("m", region) == arn


@pytest.mark.parametrize(
    ("model", "region"), [("m", "*"), ("*", "us-east-1"), ("m", "us-east-1.evil"), ('m","*', "us-east-1"), ("", "x")]
)
def test_nothing_odd_enters_a_policy(model, region):
    with pytest.raises(grant.GrantError):
        grant.policy(model, region)


async def test_it_is_off_by_default(client, settings):
    settings.NOVASONIC = {}
    assert (await client.post("/credentials/")).status_code == 404
    assert (await client.get("/credentials/")).status_code == 404


async def test_strangers_get_none(sts):
    answer = await AsyncClient().post("/credentials/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert (await AsyncClient().get("/credentials/")).status_code == 401
    assert sts == []


async def test_a_post_without_its_token_gets_none_and_with_it_does(user, sts):
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(user)
    assert (await client.post("/credentials/")).status_code == 403
    assert sts == []
    token = (await client.get("/credentials/")).json()["csrfToken"]
    assert (await client.post("/credentials/", headers={"x-csrftoken": token})).status_code == 200


async def test_the_token_is_wanted_where_the_site_has_no_such_middleware_too(user, sts, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(user)
    assert (await client.post("/credentials/")).status_code == 403
    assert sts == []


async def test_a_page_of_another_origin_gets_none_unless_it_is_listed(client, sts, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "ALLOWED_ORIGINS": [APP]}
    answer = await client.post("/credentials/", headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert sts == []
    # Django takes this host, and neither of the two is an origin.
    answer = await client.get("/credentials/", headers={"origin": "null", "host": "testserver."})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    answer = await client.post("/credentials/", headers={"origin": APP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, APP)
    settings.NOVASONIC = {**settings.NOVASONIC, "LIMITS": {"CONVERSATIONS_PER_OWNER": 2}}
    assert (await client.post("/credentials/", headers={"origin": "http://testserver"})).status_code == 200


async def test_one_owner_gets_so_many_at_a_time(client, sts, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "LIMITS": {"CONVERSATIONS_PER_OWNER": 2}}
    answers = [await client.post("/credentials/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "too_many_conversations"
    assert answers[2]["Retry-After"] == "30"
    assert len(sts) == 2


async def test_a_budget_that_is_used_up_is_no_reason_to_try_again_soon(client, sts, settings):
    limits = {"CONVERSATIONS_PER_OWNER": None, "USD_PER_DAY": 0.3, "RESERVE_USD": 0.25}
    settings.NOVASONIC = {**settings.NOVASONIC, "LIMITS": limits}
    answers = [await client.post("/credentials/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["code"] == "budget_used_up"
    assert "Retry-After" not in answers[1]


async def test_each_set_of_keys_takes_a_stream_of_the_account(client, sts, settings):
    limits = {"CONVERSATIONS_PER_OWNER": None, "STREAMS": 1}
    settings.NOVASONIC = {**settings.NOVASONIC, "LIMITS": limits}
    assert (await client.post("/credentials/")).status_code == 200
    answer = await client.post("/credentials/")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_capacity")
    assert len(sts) == 1


async def test_who_got_keys_is_written_down(client, user, sts):
    given = (await client.post("/credentials/")).json()
    row = await AccessRecord.objects.aget()
    assert (row.action, row.user_id, row.username, row.owner) == ("credentials", user.pk, "anna", str(user.pk))
    assert row.detail.startswith(f"{grant.session_name(user.pk)} until 20")
    for name in ("accessKeyId", "secretAccessKey", "sessionToken"):
        assert given[name] not in row.detail


async def test_a_database_that_is_away_gives_no_keys(client, sts, monkeypatch):
    async def acreate(**_):
        raise OperationalError("no connection to db.internal")

    monkeypatch.setattr(AccessRecord.objects, "acreate", acreate)
    answer = await client.post("/credentials/")
    assert answer.status_code == 503
    assert "db.internal" not in answer.content.decode()
    assert "accessKeyId" not in answer.content.decode()
    await assert_that_nothing_is_lent()


async def test_a_worker_that_is_drained_gives_none(client, sts, monkeypatch):
    monkeypatch.setattr(live, "is_draining", lambda: True)
    assert (await client.post("/credentials/")).status_code == 503
    assert sts == []


DENIED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::111122223333:user/"
    "site is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"
)


@pytest.mark.parametrize("failure", ["denied", "away", "odd"])
async def test_a_failure_tells_no_detail_and_leaves_no_lease(client, failure, sts_that, monkeypatch, caplog):
    if failure == "denied":
        sts_that(lambda _: (403, DENIED))
    elif failure == "odd":
        sts_that(lambda _: (400, "no xml"))
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with caplog.at_level(logging.INFO, "novasonic"):
        answer = await client.post("/credentials/")
    assert (answer.status_code, answer.json()["code"]) == (503, "credentials_unavailable")
    await assert_that_nothing_is_lent()
    said = answer.content.decode() + caplog.text
    for secret in ("111122223333", "the-sites-secret", "AKIASITE", "role/page"):
        assert secret not in said
    assert "sts: " in caplog.text, "the operator is told the code"


async def test_a_lease_lasts_as_long_as_keys_that_came_late(client, user, sts, monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(office, "_locals", {(os.getpid(), None): MemoryStore(lambda: now[0])})
    assume = grant.assume

    def slowly(*args):
        now[0] += 15
        return assume(*args)

    monkeypatch.setattr(grant, "assume", slowly)
    assert (await client.post("/credentials/")).status_code == 200
    now[0] += grant.SECONDS - 1
    with pytest.raises(Refused):
        await lease_for_page(owner=str(user.pk), seconds=900, region="us-east-1")
    now[0] += 5
    await assert_that_nothing_is_lent()


async def test_no_log_line_holds_the_keys(client, sts, caplog):
    with caplog.at_level(logging.INFO):
        given = (await client.post("/credentials/")).json()
    for name in ("accessKeyId", "secretAccessKey", "sessionToken"):
        assert given[name] not in caplog.text
    assert "111122223333" not in caplog.text


def test_keys_show_nothing():
    keys = grant.Keys("ASIA1", SECRET, "token-1", expires_at=datetime(2026, 1, 1), region="us-east-1", model="m")
    assert SECRET not in repr(keys)
    assert "token-1" not in repr(keys)


async def test_without_a_region_there_are_none(client, sts, settings, caplog):
    settings.NOVASONIC = {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}}
    assert (await client.post("/credentials/")).status_code == 503
    assert "no_region" in caplog.text
    assert sts == []


async def test_the_region_is_found_as_aws_tools_find_it(client, sts, settings, monkeypatch):
    settings.NOVASONIC = {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}}
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert (await client.post("/credentials/")).json()["region"] == "us-west-2"


async def test_where_the_model_is_not_offered_there_are_none(client, sts, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "REGION": "eu-central-1"}
    assert (await client.post("/credentials/")).status_code == 503
    assert sts == []


async def test_an_error_page_holds_no_keys(client, sts, monkeypatch):
    given = []
    assume = grant.assume

    def remember(*arguments):
        keys = assume(*arguments)
        given.extend((keys.access_key_id, keys.secret_access_key, keys.session_token))
        return keys

    async def fail(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr(grant, "assume", remember)
    monkeypatch.setattr(live, "write_access", fail)
    with pytest.raises(RuntimeError) as failed:
        await client.post("/credentials/")
    frames = failed.tb
    while not frames.tb_frame.f_code.co_filename.endswith("views/api.py"):
        frames = frames.tb_next  # the test's own hold the keys
    page = ExceptionReporter(None, failed.type, failed.value, frames).get_traceback_html()
    assert "credentials.py" in page
    assert [len(key) > 10 for key in given] == [True] * 3
    assert [key for key in given if key in page] == []
    await assert_that_nothing_is_lent()
