"""The same handler as an ASGI application without Django, on a real server in this process."""

import asyncio
import json

import pytest
import uvicorn
import websockets
from processsupport import free_port

from novasonic.contrib.asgi.application import VoiceApplication


@pytest.fixture
async def served():
    """Serves an application and gives its address."""
    servers = []

    async def serve(application):
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(application, port=port, log_level="error", lifespan="off"))
        server.install_signal_handlers = lambda: None
        task = asyncio.create_task(server.serve())
        servers.append((server, task))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        return f"localhost:{port}"

    yield serve
    for server, task in servers:
        server.should_exit = True
        await task


def assistant(parrot, user="Ada"):
    class Assistant(VoiceApplication):
        system = "You are a parrot."
        client = parrot.client()

        async def authenticate(self):
            return user

    return Assistant.as_asgi()


async def _json(page, kind):
    async for frame in page:
        if isinstance(frame, str) and (message := json.loads(frame))["type"] == kind:
            return message
    pytest.fail(f"closed with {page.close_code} before {kind}")


async def test_a_page_talks_without_django(served, parrot):
    host = await served(assistant(parrot))
    async with websockets.connect(f"ws://{host}/", origin=f"http://{host}") as page:
        await page.send(json.dumps({"type": "text_message", "text": "Good evening"}))
        await _json(page, "initialized")
        sentence = await _json(page, "transcript")
        assert sentence["role"] in ("user", "assistant")
        await _json(page, "turn_ended")
        await page.send(json.dumps({"type": "close"}))
        assert (await _json(page, "closed"))["reason"] == "closed"
        await page.wait_closed()
        assert page.close_code == 1000


async def test_another_sites_page_and_nobody_are_refused(served, parrot):
    host = await served(assistant(parrot))
    async with websockets.connect(f"ws://{host}/", origin="http://evil.example") as page:
        await page.wait_closed()
        assert page.close_code == 4403
    host = await served(assistant(parrot, user=None))
    async with websockets.connect(f"ws://{host}/", origin=f"http://{host}") as page:
        await page.wait_closed()
        assert page.close_code == 4401


@pytest.mark.parametrize(
    ("origin", "host"), [(b"http://[", b"localhost"), (b"null", b""), (b"http://evil.example", b"localhost")]
)
async def test_an_origin_that_names_no_page_of_ours_is_refused_in_words(parrot, origin, host):
    sent, received = [], [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]

    async def receive():
        return received.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"origin", origin), (b"host", host)]
    await assistant(parrot)({"type": "websocket", "path": "/", "headers": headers, "client": None}, receive, send)
    assert sent[-1] == {"type": "websocket.close", "code": 4403}


async def test_a_page_that_goes_away_closes_the_stream(served, parrot, eventually):
    host = await served(assistant(parrot))
    async with websockets.connect(f"ws://{host}/", origin=f"http://{host}") as page:
        await page.send(json.dumps({"type": "text_message", "text": "Good evening"}))
        await _json(page, "turn_ended")
    await eventually(lambda: parrot.streams[-1].ended is not None)
