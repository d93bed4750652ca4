"""The same site on each ASGI server: what is the same on all of them, and where they differ."""

import asyncio
import contextlib
import json
import signal
import time

import pytest
import websockets
from websupport import SERVERS, running_site

from novasonic.emulator import Emulator

APPLICATION = "novasonic.contrib.django.demo.asgi:application"
SETTINGS = "novasonic.contrib.django.demo.settings"
SOCKET = "novasonic/ws/"
# Larger than the servers are told to take (128 KiB), and much larger than any message of the wire.
TOO_LARGE = 300_000
# Daphne drops the connection; granian has no such limit, and what comes after it is the one of the wire.
TOO_LARGE_CODES = {"uvicorn": 1009, "daphne": 1006, "granian": 4413}
# What a page learns from SIGTERM: uvicorn says "service restart", the others drop the connection.
RESTART_CODES = {"uvicorn": 1012, "daphne": 1006, "granian": 1006}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parrot():
    with Emulator(brain="parrot", speed=4) as emulator:
        yield emulator


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def site(parrot, server, tmp_path_factory):
    with running_site(
        APPLICATION, parrot, state=tmp_path_factory.mktemp("site"), settings=SETTINGS, server=server
    ) as site:
        yield site


def connect(site, *, cookie=None, origin=None):
    headers = {"Cookie": cookie} if cookie else {}
    # A server that dropped the connection leaves nobody to say goodbye to.
    return websockets.connect(
        site.socket_url + SOCKET,
        origin=origin or site.origin,
        additional_headers=headers,
        compression="deflate",
        close_timeout=1,
    )


async def hear(page, kind, **fields):
    """Read on to this message; returns it and the seconds' worth of audio before it."""
    audio = 0
    async with asyncio.timeout(30):
        while True:
            frame = await page.recv()
            if isinstance(frame, bytes):
                audio += len(frame)
                continue
            message = json.loads(frame)
            if message["type"] == kind and fields.items() <= message.items():
                return message, audio


async def test_who_signs_in_is_answered_in_words_and_sound(site, parrot):
    status, headers, _ = site.request("GET", "/")
    assert (status, headers["Location"]) == (302, "/sign-in/?next=/")
    async with connect(site, cookie=site.sign_in()) as page:
        # The page's deflate is declined: audio does not get smaller, and each frame would cost a compressor's run.
        assert "Sec-WebSocket-Extensions" not in page.response.headers
        await page.send(json.dumps({"type": "initialize"}))
        opened, _ = await hear(page, "initialized")
        assert opened["protocol"] == 1
        await page.send(json.dumps({"type": "text_message", "text": "Good evening."}))
        said, _ = await hear(page, "transcript", role="assistant")
        assert "Good evening" in said["text"]
        _, audio = await hear(page, "turn_ended", turn=1)
        assert audio > 0
        await page.send(json.dumps({"type": "close"}))
        await hear(page, "closed", reason="closed")
        # granian 2.8 keeps a close back until the page's next frame; a microphone's comes within 32 ms.
        with contextlib.suppress(websockets.ConnectionClosed):
            await page.send(bytes(1024))
        await page.wait_closed()
        assert page.close_code == 1000
    assert parrot.streams[-1].ended == "clean"


async def test_a_page_learns_why_it_is_refused(site):
    async with connect(site) as page:
        refused, _ = await hear(page, "error", fatal=True)
        assert refused["code"] == "not_signed_in"
        await page.wait_closed()
        assert page.close_code == 4401
    # Before the socket is accepted a server can say no more than 403, and the browser tells its page 1006.
    with pytest.raises(websockets.InvalidStatus) as foreign:
        await connect(site, cookie=site.sign_in(), origin="http://evil.example")
    assert foreign.value.response.status_code == 403


@pytest.mark.parametrize(
    ("frame", "code"),
    [("{", 4400), (bytes(32_002), 4413), ('{"type":"initialize","secretAccessKey":"1"}', 4403)],
)
async def test_close_codes_arrive_as_they_were_meant(site, frame, code):
    async with connect(site, cookie=site.sign_in()) as page:
        await page.send(frame)
        await page.wait_closed()
        assert page.close_code == code


async def test_a_message_beyond_the_limit_closes_that_socket_only(site, server):
    cookie = site.sign_in()
    async with connect(site, cookie=cookie) as other, connect(site, cookie=cookie) as page:
        await other.send(json.dumps({"type": "initialize"}))
        await hear(other, "initialized")
        await page.send(bytes(TOO_LARGE))
        await page.wait_closed()
        assert page.close_code == TOO_LARGE_CODES[server]
        await other.send(json.dumps({"type": "text_message", "text": "Still there?"}))
        await hear(other, "turn_ended", turn=1)


async def test_sigterm_in_mid_turn(server, tmp_path, eventually):
    """Only uvicorn lets the consumer say goodbye to page and model; with the others drain first."""
    with (
        Emulator(brain="parrot") as emulator,
        running_site(APPLICATION, emulator, state=tmp_path, settings=SETTINGS, server=server) as site,
    ):
        async with connect(site, cookie=site.sign_in()) as page:
            await page.send(json.dumps({"type": "text_message", "text": "one two three four five six " * 20}))
            await hear(page, "turn_started")
            begun = time.monotonic()
            code = await asyncio.to_thread(site.stop)
            await page.wait_closed()
            assert page.close_code == RESTART_CODES[server]
            assert time.monotonic() - begun < 15
        assert code in (0, -signal.SIGTERM)
        # Whatever the server, a process that has ended holds no stream.
        await eventually(lambda: emulator.streams[-1].ended is not None)
        ended = emulator.streams[-1].ended
        print(f"{server}: page {page.close_code}, stream {ended}, exit {code}")
        assert (ended == "clean") == (server == "uvicorn")
