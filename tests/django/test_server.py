"""The stock site on a real server, over real sockets."""

import asyncio
import json
import signal
import statistics
import time
from pathlib import Path

import pytest
import websockets
from websupport import running_site

from novasonic.emulator import Emulator

DEMO_SETTINGS = "novasonic.contrib.django.demo.settings"
STOCK_SOCKET = "novasonic/ws/"
FRAME = bytes(1024)
FRAME_SECONDS = 0.032


@pytest.fixture(scope="module")
def echo():
    with Emulator(brain="echo") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def site(echo, tmp_path_factory):
    state = tmp_path_factory.mktemp("site")
    with running_site(
        "slow_site:application", echo, state=state, path=Path(__file__).parent, settings=DEMO_SETTINGS
    ) as running:
        yield running


@pytest.fixture(scope="module")
def stock(echo, tmp_path_factory):
    state = tmp_path_factory.mktemp("stock")
    application = "novasonic.contrib.django.demo.asgi:application"
    with running_site(application, echo, state=state, settings=DEMO_SETTINGS) as running:
        yield running


def connect(site, path, *, cookie=None, origin=None):
    headers = {"Cookie": cookie} if cookie else {}
    return websockets.connect(
        site.socket_url + path, origin=origin or site.origin, additional_headers=headers, compression=None
    )


async def receive_json(page, kind):
    while True:
        frame = await asyncio.wait_for(page.recv(), 20)
        if isinstance(frame, str) and (message := json.loads(frame))["type"] == kind:
            return message


def test_pages_ask_to_sign_in_and_then_show_the_talk_button(stock):
    status, headers, _ = stock.request("GET", "/")
    assert (status, headers["Location"]) == (302, "/sign-in/?next=/")
    status, _, page = stock.request("GET", "/", headers={"Cookie": stock.sign_in()})
    assert status == 200
    assert 'data-url="/novasonic/ws/"' in page
    assert "Offline emulator voice, not Nova" in page
    for part in page.split('"'):
        if part.startswith("/static/"):
            status, headers, _ = stock.request("GET", part)
            assert status == 200, part
    # Under `script-src 'self'` a page may hold no script of its own.
    assert "<script>" not in page
    assert "onclick" not in page


async def test_a_signed_in_page_talks(stock):
    async with connect(stock, STOCK_SOCKET, cookie=stock.sign_in()) as page:
        await page.send(json.dumps({"type": "initialize"}))
        opened = await receive_json(page, "initialized")
        assert opened["protocol"] == 1
        assert "Sec-WebSocket-Extensions" not in page.response.headers


async def test_nobody_talks_without_signing_in(stock):
    async with connect(stock, STOCK_SOCKET) as page:
        assert (await receive_json(page, "error"))["code"] == "not_signed_in"
        await page.wait_closed()
        assert page.close_code == 4401


async def test_a_foreign_page_is_refused_by_the_documented_routing(stock):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(stock, STOCK_SOCKET, cookie=stock.sign_in(), origin="http://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_a_foreign_page_is_refused_where_the_routing_forgot_to(site):
    async with connect(site, "voice/", cookie=site.sign_in(), origin="http://evil.example") as page:
        await page.wait_closed()
        assert page.close_code == 4403


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", 4400),
        ("RIFF....WAVEfmt ", 4400),
        (bytes(32_002), 4413),
        ('{"type":"initialize","secretAccessKey":1}', 4403),
        # The server's own limit, before anything of ours reads it; just below it is ours to refuse.
        (bytes(131_072), 4413),
        (bytes(131_073), 1009),
        ("x" * 131_073, 1009),
    ],
)
async def test_close_codes_reach_the_browser(stock, frame, code):
    async with connect(stock, STOCK_SOCKET, cookie=stock.sign_in()) as page:
        await page.send(frame)
        await page.wait_closed()
        assert page.close_code == code
    # The server is as well as before.
    await test_a_signed_in_page_talks(stock)


@pytest.mark.slow
async def test_a_slow_neighbour_delays_nobodys_audio(site):
    """With Channels' stock dispatcher a frame waits for the neighbour's query: p90 is above 200 ms."""
    cookie = site.sign_in()
    alone = await round_trips(site, cookie)
    stop = asyncio.Event()
    slow = asyncio.create_task(slow_neighbour(site, cookie, stop))
    beside = await round_trips(site, cookie)
    stop.set()
    await slow
    for name, (p50, p90, p99) in (("alone", alone), ("beside a slow neighbour", beside)):
        print(f"{name}: p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms")
    # One query is 300 ms; the machine's own noise is a fraction of it.
    assert beside[1] < alone[1] + 50
    assert beside[2] < alone[2] + 150


async def slow_neighbour(site, cookie, stop):
    async with connect(site, "slow/", cookie=cookie) as page:
        while not stop.is_set():
            await page.send("x")
            await page.recv()
            await asyncio.sleep(0.1)


async def round_trips(site, cookie):
    """Return p50, p90 and p99, in ms, of ten pages' frames to the service and back."""
    taken = await asyncio.gather(*(one_pages_round_trips(site, cookie, number) for number in range(10)))
    percentiles = statistics.quantiles([seconds * 1000 for page in taken for seconds in page[10:]], n=100)
    return percentiles[49], percentiles[89], percentiles[98]


async def one_pages_round_trips(site, cookie, number):
    taken = []
    async with connect(site, "voice/", cookie=cookie) as page:
        await page.send(json.dumps({"type": "initialize"}))
        await receive_json(page, "initialized")
        await asyncio.sleep(number * FRAME_SECONDS / 10)
        for _ in range(150):
            sent_at = time.perf_counter()
            await page.send(FRAME)
            while not isinstance(await asyncio.wait_for(page.recv(), 20), bytes):
                pass
            taken.append(time.perf_counter() - sent_at)
            await asyncio.sleep(max(0, sent_at + FRAME_SECONDS - time.perf_counter()))
    return taken


@pytest.mark.slow
async def test_sigterm_closes_the_paid_stream_in_order(echo, tmp_path):
    application = "novasonic.contrib.django.demo.asgi:application"
    with running_site(application, echo, state=tmp_path, settings=DEMO_SETTINGS) as site:
        async with connect(site, STOCK_SOCKET, cookie=site.sign_in()) as page:
            await page.send(json.dumps({"type": "initialize"}))
            await receive_json(page, "initialized")
            await page.send(FRAME)
            code = await asyncio.to_thread(site.stop)
            await page.wait_closed()
            assert page.close_code == 1012
        # uvicorn ends by the signal that it was sent, once its work is done.
        assert code in (0, -signal.SIGTERM)
    assert echo.streams[-1].ended == "clean"
