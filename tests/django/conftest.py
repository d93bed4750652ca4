"""A page that speaks the browser wire to a consumer in this process."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest
from asgiref.sync import SyncToAsync
from asgiref.testing import ApplicationCommunicator
from django.db import connections
from django.test import override_settings

from novasonic.contrib.asgi import handler
from novasonic.contrib.asgi.door import Doorkeeper
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.records.companion import Records
from novasonic.emulator import Emulator

# Tests that ask for one of these, or bear pytest-django's mark, meet the database.
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback"}
# Longer than anything here takes on a busy machine; what is awaited comes by event.
PATIENCE_SECONDS = 20


def meets_database(item):
    return bool(item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())))


def pytest_collection_modifyitems(config, items):
    """On another database than the usual one, leave out the tests that would only do again what they did."""
    if "NOVASONIC_TEST_DATABASE" not in os.environ:
        return
    meet_it = {item: meets_database(item) for item in items}
    config.hook.pytest_deselected(items=[item for item, meets in meet_it.items() if not meets])
    items[:] = [item for item, meets in meet_it.items() if meets]


class Page:
    """What a browser would be: sends frames, collects what comes."""

    def __init__(self, communicator: ApplicationCommunicator) -> None:
        self.communicator = communicator
        self.messages: list[dict] = []
        self.audio = bytearray()
        self.close_code: int | None = None

    async def send(self, message: dict | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self.communicator.send_input({"type": "websocket.receive", "text": text})

    async def send_audio(self, pcm: bytes) -> None:
        await self.communicator.send_input({"type": "websocket.receive", "bytes": pcm})

    async def next(self) -> dict | bytes | None:
        """The next message, the next audio, or None once the server has closed."""
        output = await self.communicator.receive_output(PATIENCE_SECONDS)
        match output:
            case {"type": "websocket.close"}:
                self.close_code = output["code"]
                return None
            case {"bytes": bytes(pcm)}:
                self.audio += pcm
                return pcm
            case _:
                message = json.loads(output["text"].encode())  # as a server would send it
                self.messages.append(message)
                return message

    async def until(self, kind: str, **fields) -> dict:
        """Read on to a message of this type with these fields."""
        while (message := await self.next()) is not None:
            if isinstance(message, dict) and message["type"] == kind and fields.items() <= message.items():
                return message
        pytest.fail(f"closed with {self.close_code} before {kind} {fields}; got {self.messages}")

    async def until_closed(self) -> int:
        while await self.next() is not None:
            pass
        return self.close_code

    def of_type(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["type"] == kind]


USER = SimpleNamespace(pk=7, is_authenticated=True, is_active=True)


@asynccontextmanager
async def open_page(consumer, *, user=USER, origin="http://testserver"):
    """Connect a page to `consumer`; on leaving, the browser goes away."""
    headers = [] if origin is None else [(b"origin", origin.encode())]
    scope = {"type": "websocket", "path": "/", "headers": headers, "subprotocols": [], "user": user}
    communicator = ApplicationCommunicator(consumer.as_asgi(), scope)
    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output(PATIENCE_SECONDS))["type"] == "websocket.accept"
    page = Page(communicator)
    try:
        yield page
    finally:
        if not communicator.future.done():
            await communicator.send_input({"type": "websocket.disconnect", "code": page.close_code or 1001})
            await communicator.wait(PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def _door_of_its_own(monkeypatch):
    # All pages of all tests knock from one address.
    monkeypatch.setattr(handler, "doorkeeper", Doorkeeper())


@pytest.fixture(name="open_page")
async def _open_page():
    yield open_page
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a consumer left a task behind"


@pytest.fixture(autouse=True)
def _no_database_left_over(request, monkeypatch):
    """Keep conversations of tests without a database from it, and its connections from the tests that follow."""
    if meets_database(request.node):
        yield
        # Of the thread that asynchronous code shares: tidied by a test that may not use it, it would be an access.
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    else:
        everybody = NovaSonicConsumer.get_companions
        monkeypatch.setattr(
            NovaSonicConsumer,
            "get_companions",
            lambda consumer: [one for one in everybody(consumer) if not isinstance(one, Records)],
        )
        yield


@pytest.fixture
def unaccompanied(monkeypatch):
    """Leave out what goes with a conversation: the handler alone, without a database."""
    monkeypatch.setattr(NovaSonicConsumer, "get_companions", lambda _: ())


@pytest.fixture(scope="session")
def parrot():
    """An emulator that says back what it hears, in a hurry: what most tests ask for is the answer, not its pace."""
    with Emulator(brain="parrot", speed=20, idle_limit=100_000, stream_limit=100_000) as emulator:
        yield emulator


@pytest.fixture
def use_emulator(monkeypatch):
    """Point this process at an emulator; the last one asked for counts."""
    with ExitStack() as stack:

        def use(emulator):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulator.credentials.access_key_id)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulator.credentials.secret_access_key)
            where = {"ENDPOINT_URL": emulator.url, "CA_BUNDLE": str(emulator.ca_bundle), "REGION": "us-east-1"}
            stack.enter_context(override_settings(NOVASONIC=where))

        yield use
