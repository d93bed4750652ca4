"""The deployment as its files describe it: a conversation through nginx, health, and a worker that is drained."""

import asyncio
import http.client
import json
import re
import signal
import ssl
from urllib.parse import urlencode

import pytest
import websockets

psycopg = pytest.importorskip("psycopg")
from rehearsal import PASSWORD, deployment  # noqa: E402  - needs psycopg

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
USER = "rehearsal"


@pytest.fixture(scope="module")
def running():
    with deployment() as running:
        running.manage(
            "createsuperuser", "--noinput", f"--username={USER}", "--email=", DJANGO_SUPERUSER_PASSWORD=PASSWORD
        )
        yield running


@pytest.fixture(scope="module")
def trusted(running):
    return ssl.create_default_context(cafile=running.certificate)


@pytest.fixture
def ask(running, trusted):
    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPSConnection("localhost", running.port, context=trusted, timeout=20)
        try:
            connection.request(method, path, body=body, headers={"Cookie": "", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()

    return ask


def cookies_of(headers):
    return "; ".join(cookie.split(";", 1)[0] for cookie in headers.get_all("Set-Cookie", []))


@pytest.fixture
def cookie(running, ask):
    _, headers, page = ask("GET", "/accounts/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    assert all("Secure" in cookie for cookie in headers.get_all("Set-Cookie"))
    form = urlencode({"csrfmiddlewaretoken": token, "username": USER, "password": PASSWORD})
    status, headers, page = ask(
        "POST",
        "/accounts/login/",
        form,
        **{
            "Cookie": cookies_of(headers),
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"https://localhost:{running.port}",
            "Referer": f"https://localhost:{running.port}/accounts/login/",
        },
    )
    assert status == 302, page
    return cookies_of(headers)


@pytest.fixture
def talk(running, trusted, cookie):
    def talk():
        return websockets.connect(
            f"wss://localhost:{running.port}/novasonic/ws/",
            ssl=trusted,
            origin=f"https://localhost:{running.port}",
            additional_headers={"Cookie": cookie},
        )

    return talk


async def hear(page, kind, **fields):
    async with asyncio.timeout(30):
        while True:
            frame = await page.recv()
            if isinstance(frame, str):
                message = json.loads(frame)
                if message["type"] == kind and fields.items() <= message.items():
                    return message


async def holder(running):
    """The worker that has the one conversation; they list themselves about once a second."""
    for _ in range(10):
        listed = json.loads(await asyncio.to_thread(running.manage, "novasonic_sessions", "--json"))
        for one in listed:
            if one["conversations"]:
                return next(w for w in running.workers if one["id"].endswith(f":{w.process.pid}"))
    pytest.fail("no worker lists a conversation")


async def one_turn(page, words):
    await page.send(json.dumps({"type": "text_message", "text": words}))
    await hear(page, "turn_ended")


async def resumed(talk, token):
    """Come back as a page does: the proxy may send it to the worker that is being drained, which turns it away."""
    for _ in range(4):
        page = await talk()
        await page.send(json.dumps({"type": "initialize", "resumeToken": token}))
        answer = json.loads(await page.recv())
        while answer["type"] not in {"resumed", "error"}:
            answer = json.loads(await page.recv())
        if answer["type"] == "resumed":
            return page
        assert answer["code"] == "draining", answer
        await page.close()
    pytest.fail("no worker takes the page")


def test_django_finds_nothing_to_warn_of(running):
    # The emulator is the rehearsal's, and rightly an error on a site with DEBUG off.
    unset = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "", "AWS_CA_BUNDLE": ""}
    running.manage("check", "--deploy", "--fail-level", "WARNING", **unset)


def test_pages_come_on_https_with_their_rules_and_may_keep_what_has_a_hash(ask, cookie):
    status, headers, page = ask("GET", "/talk/", Cookie=cookie)
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Strict-Transport-Security"]
    assert headers["Server"] == "nginx"
    parts = re.findall(r'"(/static/[^"]+)"', page)
    assert parts
    for part in parts:
        status, headers, _ = ask("GET", part)
        assert status == 200, part
        assert "immutable" in headers["Cache-Control"], part
        assert re.search(r"\.[0-9a-f]{12}\.", part), part


def test_what_a_module_imports_has_a_hash_too(ask, cookie):
    _, _, page = ask("GET", "/talk/", Cookie=cookie)
    script = re.search(r'src="(/static/novasonic/[^"]+\.js)"', page)[1]
    _, _, source = ask("GET", script)
    imported = re.findall(r'from\s*"\./([^"]+\.js)"', source)
    assert imported
    assert all(re.search(r"\.[0-9a-f]{12}\.js$", name) for name in imported)
    for name in imported:
        assert ask("GET", f"/static/novasonic/{name}")[0] == 200


def test_large_bodies_and_questions_about_workers_stop_at_the_proxy(ask):
    assert ask("POST", "/accounts/login/", "x" * 100_000)[0] == 413
    assert ask("GET", "/talk/health/")[0] == 404
    assert ask("GET", "/talk/metrics/")[0] == 404


async def test_a_page_talks_through_the_proxy(running, talk):
    async with talk() as page:
        assert "Sec-WebSocket-Extensions" not in page.response.headers
        await one_turn(page, "Good evening.")
        await page.send(json.dumps({"type": "close"}))
        await page.wait_closed()
        assert page.close_code == 1000
    assert running.emulator.streams[-1].ended == "clean"


async def test_a_drained_worker_sends_its_pages_to_the_other(running, talk):
    """What `docker compose stop worker-N` does: the stop hook, then SIGTERM."""
    pytest.importorskip("novasonic.contrib.django.workers")
    async with talk() as page:
        await one_turn(page, "Remember me.")
        worker = await holder(running)
        assert running.is_healthy(worker)
        hook = asyncio.create_task(asyncio.to_thread(worker.stop_hook))
        token = (await hear(page, "reconnect"))["resumeToken"]
        await page.wait_closed()
        assert page.close_code == 1012
        await hook
        assert not running.is_healthy(worker)
    async with await resumed(talk, token) as page:
        await one_turn(page, "Who am I?")
        assert worker.terminate() in (0, -signal.SIGTERM)
        # The proxy needs no telling.
        await one_turn(page, "Still there?")
