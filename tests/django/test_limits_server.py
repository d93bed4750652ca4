"""Thirty pages, twenty streams, two servers, and one of them is killed."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis as redis_py
import websockets
from services import redis_server
from websupport import running_site

from novasonic.contrib.django.limits.redis import PREFIX
from novasonic.emulator import Emulator
from novasonic.emulator.faults import Fault

PAGES, STREAMS = 30, 20
SETTINGS = "novasonic.contrib.django.demo.settings"


class Page:
    """A page that wants one turn, then keeps its conversation until it is told to go; comes back if its server dies."""

    def __init__(self, sites, number):
        self.sites = sites
        self.at = number % len(sites)
        self.state = "new"
        self.places = []
        self.comes_back = 0
        self.go = asyncio.Event()

    async def live(self):
        while self.state != "gone":
            try:
                await self.talk(self.sites[self.at])
            except (OSError, websockets.ConnectionClosed):
                self.at = (self.at + 1) % len(self.sites)
                self.comes_back += 1
                self.state = "new"

    async def talk(self, site):
        where = site.socket_url + "voice/"
        async with websockets.connect(where, origin=site.origin, compression=None, open_timeout=30) as socket:
            await socket.send(json.dumps({"type": "text_message", "text": "Hello."}))
            leaving = asyncio.create_task(self.leave(socket))
            try:
                async for frame in socket:
                    if isinstance(frame, str):
                        self.hear(json.loads(frame))
                if not self.go.is_set():
                    raise ConnectionResetError
            finally:
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)

    def hear(self, message):
        match message["type"]:
            case "queued":
                self.state = "queued"
                self.places.append(message["position"])
            case "turn_ended":
                self.state = "talks"
            case "closed":
                self.state = "gone" if message["reason"] == "closed" else f"lost: {message}"
            case "error":
                self.state = f"lost: {message}"

    async def leave(self, socket):
        await self.go.wait()
        await socket.send(json.dumps({"type": "close"}))


@pytest.mark.slow
async def test_thirty_pages_share_twenty_streams_and_a_server_is_killed(tmp_path, monkeypatch):
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        monkeypatch.setenv("NOVASONIC_TEST_REDIS", redis.url)
        emulator = stack.enter_context(Emulator(brain="parrot", speed=20, idle_limit=1_000, stream_limit=1_000))
        emulator.add_faults(Fault.quota(STREAMS))  # the judge: one stream too many is a conversation that fails
        sites = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            sites.append(
                stack.enter_context(
                    running_site(
                        "limits_site:application",
                        emulator,
                        state=tmp_path / name,
                        path=Path(__file__).parent,
                        settings=SETTINGS,
                    )
                )
            )
        client = stack.enter_context(redis_py.Redis.from_url(redis.url))
        pages = [Page(sites, number) for number in range(PAGES)]

        def count(state, among=pages):
            return sum(page.state == state for page in among)

        async def until(condition, seconds=60):
            try:
                async with asyncio.timeout(seconds):
                    while not condition():
                        assert not [page.state for page in pages if page.state.startswith("lost")]
                        await asyncio.sleep(0.02)
            except TimeoutError:
                pytest.fail(f"{[(page.state, page.at, page.places) for page in pages]}")

        async with asyncio.TaskGroup() as group:
            for page in pages:
                group.create_task(page.live())
            await until(lambda: count("talks") == STREAMS and count("queued") == PAGES - STREAMS)
            assert sum(stream.ended is None for stream in emulator.streams) == STREAMS
            (leases,) = client.keys(f"{PREFIX}:leases:*")
            assert client.zcard(leases) == STREAMS

            for _ in range(3):
                waiting = count("queued")
                next(page for page in pages if page.state == "talks").go.set()
                await until(lambda waiting=waiting: count("talks") == STREAMS and count("queued") == waiting - 1)

            victim = next(page for page in pages if page.state == "talks").at
            stay = [page for page in pages if page.at != victim and page.state != "gone"]
            come = [page for page in pages if page.at == victim and page.state != "gone"]
            sites[victim].process.kill()
            await until(lambda: all(page.comes_back for page in come))
            # Fifteen seconds later its leases are free: who waited here gets in, and who came from there.
            await until(lambda: count("talks", stay) == len(stay) and count("talks") == STREAMS)
            assert {page.comes_back for page in stay} == {0}, "nobody on the other server was lost"
            assert client.zcard(leases) == STREAMS

            while left := [page for page in pages if page.state != "gone"]:
                next(page for page in left if page.state == "talks").go.set()
                expected = min(STREAMS, len(left) - 1)
                await until(
                    lambda left=left, expected=expected: (
                        count("gone") == PAGES - len(left) + 1 and count("talks") == expected
                    )
                )
        assert client.zcard(leases) == 0
        assert not [stream.faults for stream in emulator.streams if stream.faults]
