"""Two workers of one site, real processes with Redis and PostgreSQL, of which one is killed, frozen or drained."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
import websockets
from processsupport import free_port, wait_for_port
from services import postgres_server, redis_server
from websupport import emulator_environment

from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

SUPPORT = Path(__file__).parents[1] / "support"
# What a page has to be back after its worker died.
BACK_SECONDS = 3.0
PATIENCE_SECONDS = 20


class Brain:
    """Answers; told to hold, only when it is let; told to wait, the rest of it; told to note, by the tool."""

    def __init__(self):
        self.go = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    async def __call__(self, turn):
        if "hold" in turn.text:
            await self.until_let()
        await turn.say("Well.")
        if "wait" in turn.text:
            await self.until_let()
        if "note" in turn.text:
            await turn.call("note", {})
        await turn.say(f"You said: {turn.text}")

    async def until_let(self):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.go.wait(), self.loop))


class Worker:
    def __init__(self, process, port):
        self.process = process
        self.port = port

    @property
    def id(self):
        return f"{os.uname().nodename}:{self.process.pid}"


class Page:
    """What a browser would do: talk, keep what it was shown and its newest token, come back."""

    def __init__(self, cookie):
        self.cookie = cookie
        self.token = None
        self.session = None
        self.shown = []  # numbers of the turns that it was told are over
        self.socket = None
        self.resumed = None
        self.errors = []
        self.reconnect = None

    async def open(self, worker):
        origin = "http://localhost"
        headers = {"Cookie": self.cookie}
        self.socket = await websockets.connect(
            f"ws://localhost:{worker.port}/", origin=origin, additional_headers=headers, compression=None
        )
        message = {"type": "initialize"}
        if self.token is not None:
            message["resumeToken"] = self.token
        await self.socket.send(json.dumps(message))
        await self.until("initialized" if self.token is None else "resumed")

    async def until(self, kind, **fields):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                frame = await self.socket.recv()
                if isinstance(frame, bytes):
                    continue
                message = json.loads(frame)
                self.note(message)
                if message["type"] == kind and fields.items() <= message.items():
                    return message
                assert message["type"] != "error", message

    def note(self, message):
        self.token = message.get("resumeToken") or self.token
        match message["type"]:
            case "initialized":
                self.session = message["sessionId"]
            case "turn_ended":
                self.shown.append(message["turn"])
            case "resumed":
                self.resumed = message["turn"]
            case "error":
                self.errors.append(message["code"])
            case "reconnect":
                self.reconnect = message

    async def say(self, text):
        await self.socket.send(json.dumps({"type": "text_message", "text": text}))

    async def turn(self, text):
        await self.say(text)
        await self.until("turn_ended")

    async def until_closed(self):
        """Read on to the end; returns the close code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while True:
                    frame = await self.socket.recv()
                    if isinstance(frame, str):
                        self.note(json.loads(frame))
            except websockets.ConnectionClosed:
                return self.socket.close_code


class Site:
    """The workers' site: its environment, its database, its people."""

    def __init__(self, environment, database, redis_url):
        self.environment = environment
        self.database = database
        self.redis_url = redis_url
        self.workers = []

    def configure(self, **keys):
        settings = {"REDIS_URL": self.redis_url, "HANDSHAKES_PER_MINUTE": 10_000, **keys}
        self.environment["NOVASONIC_TEST_SETTINGS"] = json.dumps(settings)

    def manage(self, *command):
        return subprocess.run(
            [sys.executable, "-m", "django", *command],
            env=self.environment,
            check=True,
            timeout=60,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def cookies(self, many):
        """Sign so many users in, each with a session of its own."""
        script = f"""
from django.contrib.auth import get_user_model
from django.test import Client
for number in range({many}):
    client = Client()
    client.force_login(get_user_model().objects.create_user(f"user{{number}}-{time.time_ns()}", password="x"))
    print("sessionid=" + client.cookies["sessionid"].value)
"""
        return self.manage("shell", "-v0", "-c", script).split()

    def query(self, statement, *values):
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, values).fetchall()

    @property
    def who_ran_the_tool(self):
        return Counter(self.notes.read_text().split()) if self.notes.exists() else Counter()


@pytest.fixture(scope="module")
def services():
    with postgres_server() as postgres, redis_server() as redis:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "workersite.settings",
            "NOVASONIC_TEST_DATABASE": postgres,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")])),
        }
        site = Site(environment, postgres, redis.url)
        site.configure(TRANSCRIPTS="full")
        site.manage("migrate", "-v0")
        yield site


@contextmanager
def worker(site):
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "workersite.asgi:application", "--port", str(port)]
    options = ["--log-level", "warning", "--ws-per-message-deflate", "false", "--lifespan", "off"]
    process = subprocess.Popen([*command, *options], env=site.environment)
    try:
        wait_for_port(port, process)
        yield Worker(process, port)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


@pytest.fixture(params=["full", "off"])
async def site(request, services, tmp_path):
    services.notes = tmp_path / "notes"
    services.configure(TRANSCRIPTS=request.param)
    brain = Brain()
    with Emulator(brain=brain, speed=20, idle_limit=100_000, stream_limit=100_000) as emulator, ExitStack() as stack:
        services.brain, services.emulator, services.transcripts = brain, emulator, request.param
        services.environment |= emulator_environment(emulator)
        services.environment["NOVASONIC_TEST_NOTES"] = str(services.notes)
        services.workers = [stack.enter_context(worker(services)) for _ in range(2)]
        yield services
        brain.go.set()


@asynccontextmanager
async def pages_of(site, many):
    pages = [Page(cookie) for cookie in await asyncio.to_thread(site.cookies, many)]
    try:
        yield pages
    finally:
        await asyncio.gather(*(page.socket.close() for page in pages if page.socket is not None))


async def test_every_page_of_a_worker_that_is_killed_goes_on_with_every_turn_it_was_shown(site):
    killed, other = site.workers
    async with pages_of(site, 8) as pages:
        for number, page in enumerate(pages):
            await page.open(site.workers[number % 2])
        lost = pages[::2]
        for number in range(2):
            await asyncio.gather(*(page.turn(f"sentence {number}") for page in pages))
        # In mid-turn: the first words of the third answer are there.
        for page in lost:
            await page.say("wait for it")
        await asyncio.gather(*(page.until("transcript", role="assistant", turn=3) for page in lost))
        killed.process.kill()
        died_at = time.monotonic()

        async def come_back(page):
            assert await page.until_closed() == 1006
            await page.open(other)
            return time.monotonic() - died_at

        assert max(await asyncio.gather(*(come_back(page) for page in lost))) < BACK_SECONDS
        site.brain.go.set()
        assert [page.resumed for page in lost] == [2] * len(lost)
        await asyncio.gather(*(page.turn("and on") for page in pages))
        assert [page.shown for page in pages] == [[1, 2, 3]] * len(pages)
        for page in pages:
            rows = site.query(
                "SELECT number, user_text FROM novasonic_turn WHERE conversation_id = %s ORDER BY 1", page.session
            )
            texts = ["sentence 0", "sentence 1", "and on"] if site.transcripts == "full" else [""] * 3
            assert rows == [(number, text) for number, text in enumerate(texts, 1)]
        # What the other worker told the model was all of it.
        replayed = [stream.inputs.get("textInput", 0) for stream in site.emulator.streams[-len(lost) :]]
        assert all(count >= 5 for count in replayed), replayed


async def test_a_worker_that_was_frozen_and_comes_back_writes_no_row_and_runs_no_tool(site, eventually):
    frozen, other = site.workers
    async with pages_of(site, 1) as [page]:
        await page.open(frozen)
        await page.turn("note this")
        assert site.who_ran_the_tool == {str(frozen.process.pid): 1}
        await page.say("wait and note that")
        await page.until("transcript", role="assistant", turn=2)
        frozen.process.send_signal(signal.SIGSTOP)
        left = page.socket
        # The model calls the tool now: the call waits in the frozen worker's socket.
        stream = site.emulator.streams[-1]
        site.brain.go.set()
        before = stream.outputs.get("toolUse", 0)
        await eventually(lambda: site.emulator.streams[-1].outputs.get("toolUse", 0) > before)
        await page.open(other)
        assert page.resumed == 1
        await page.turn("note something else")
        rows = everything(site, page)
        frozen.process.send_signal(signal.SIGCONT)
        page.socket, now = left, page.socket
        assert await page.until_closed() == 4409
        assert page.errors == ["taken_over"]
        page.socket = now
        await eventually(lambda: site.emulator.streams[0].ended is not None)
        await page.turn("still here")
        assert page.shown == [1, 2, 3]
        assert site.who_ran_the_tool == {str(frozen.process.pid): 1, str(other.process.pid): 1}
        after = everything(site, page)
        assert after["calls"] == rows["calls"]
        assert after["turns"][: len(rows["turns"])] == rows["turns"]
        assert [generation for _, generation, *_ in after["turns"]] == [1, 2, 2]
        assert after["conversation"] == [(2,)]


def everything(site, page):
    return {
        "conversation": site.query("SELECT generation FROM novasonic_conversation WHERE id = %s", page.session),
        "turns": site.query(
            "SELECT number, generation, user_text, assistant_text FROM novasonic_turn WHERE conversation_id = %s"
            " ORDER BY number",
            page.session,
        ),
        "calls": site.query(
            "SELECT turn, name, ok FROM novasonic_toolcall WHERE conversation_id = %s ORDER BY started_at",
            page.session,
        ),
    }


async def test_a_drained_worker_hands_its_pages_over_and_is_empty(site):
    drained, other = site.workers
    async with pages_of(site, 3) as pages:
        idle, busy, neighbour = pages
        await idle.open(drained)
        await busy.open(drained)
        await neighbour.open(other)
        await busy.turn("one")
        await busy.say("hold on")
        await busy.until("turn_started", turn=2)
        command = asyncio.to_thread(site.manage, "novasonic_drain", "--pid", str(drained.process.pid))
        draining = asyncio.create_task(command)
        assert await idle.until_closed() == 1012
        assert idle.reconnect is not None
        site.brain.go.set()
        assert await busy.until_closed() == 1012
        assert "holds no conversations" in await draining
        # The turn was let end, and told.
        assert busy.shown == [1, 2]
        listed = json.loads(await asyncio.to_thread(site.manage, "novasonic_sessions", "--json"))
        assert [one["id"] for one in listed] == [other.id]
        await busy.open(other)
        assert busy.resumed == 2
        await busy.turn("three")
        drained.process.terminate()
        assert await asyncio.to_thread(drained.process.wait, 10) is not None
        await neighbour.turn("not disturbed")


async def test_pages_of_a_worker_that_is_stopped_without_a_drain_come_back_all_the_same(site):
    stopped, other = site.workers
    async with pages_of(site, 1) as [page]:
        await page.open(stopped)
        await page.turn("one")
        stopped.process.terminate()
        assert await page.until_closed() == 1012  # uvicorn's; others' pages see 1006
        await page.open(other)
        assert page.resumed == 1
        await page.turn("two")
        assert page.shown == [1, 2]


async def listed(site):
    told = json.loads(await asyncio.to_thread(site.manage, "novasonic_sessions", "--json"))
    return sorted(one["id"] for worker in told for one in worker["conversations"])


async def test_who_is_hung_up_on_or_deactivated_anywhere_is_so_on_every_worker(site):
    async with pages_of(site, 4) as pages:
        for number, page in enumerate(pages):
            await page.open(site.workers[number % 2])
            await page.turn("hello")
        # A worker lists a new conversation at its next tick.
        async with asyncio.timeout(10):
            while await listed(site) != sorted(page.session for page in pages):
                pass
        await asyncio.to_thread(site.manage, "novasonic_sessions", "--hang-up", pages[0].session)
        assert await pages[0].until_closed() == 1000
        [(user,)] = site.query("SELECT user_id FROM novasonic_conversation WHERE id = %s", pages[1].session)
        script = f"""
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(pk={user})
user.is_active = False
user.save()
"""
        await asyncio.to_thread(site.manage, "shell", "-v0", "-c", script)
        async with asyncio.timeout(5):
            assert await pages[1].until_closed() == 4401
        for page in pages[2:]:
            await page.turn("still here")
