"""Credentials that a program fetches itself: asked for by one session at a time, and only when they are needed."""

import asyncio
import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

import novasonic
from novasonic import Credentials, NovaSonic, Timeouts, TurnEnded
from novasonic.emulator import Emulator

SECRET = "the-secret-of-all-of-them"


async def answer(turn):
    await turn.say("Yes.")


@pytest.fixture
async def emulator():
    """Does not verify, but tells the key of each stream."""
    async with Emulator(brain=answer, speed=20, verify=False) as emulator:
        yield emulator


class Vault:
    """Gives key after key, each with the same life."""

    def __init__(self, **life):
        self.given = []
        self.life = timedelta(**life) if life else None

    def __call__(self):
        expires_at = None if self.life is None else datetime.now(UTC) + self.life
        self.given.append(Credentials(f"AKIDNUMBER{len(self.given)}", SECRET, expires_at=expires_at))
        return self.given[-1]

    async def fetch(self):
        await asyncio.sleep(0)
        return self()


@pytest.fixture
def client(emulator):
    def client(credentials):
        return NovaSonic(
            region="us-east-1", credentials=credentials, endpoint_url=emulator.url, ca_bundle=emulator.ca_bundle
        )

    return client


@contextlib.asynccontextmanager
async def sessions(client, count):
    async with contextlib.AsyncExitStack() as stack:
        connecting = (stack.enter_async_context(client.connect()) for _ in range(count))
        yield await asyncio.gather(*connecting)


async def reply(session):
    await session.send_text("Who are you?")
    async for event in session:
        if isinstance(event, TurnEnded):
            return
    pytest.fail("no turn")


async def failure(client, cls=novasonic.CredentialsError, **settings):
    with pytest.raises(cls) as failed:
        await client.connect(**settings)
    assert SECRET not in str(failed.value)
    return failed.value


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_keys_that_last_are_asked_for_once(emulator, client, how):
    vault = Vault(hours=1)
    async with sessions(client(vault if how == "sync" else vault.fetch), 20) as live:
        await asyncio.gather(*map(reply, live))
    assert len(vault.given) == 1
    assert {stream.access_key_id for stream in emulator.streams} == {"AKIDNUMBER0"}


async def test_keys_near_their_end_are_asked_for_anew_and_live_conversations_keep_theirs(emulator, client):
    vault = Vault(minutes=8, seconds=30)
    shared = client(vault)
    async with shared.connect() as first, shared.connect() as second:
        await reply(second)
        await reply(first)
        vault.life = timedelta(hours=1)
        async with shared.connect() as third, shared.connect() as fourth:
            for session in (fourth, third, second, first):
                await reply(session)
    assert [stream.access_key_id[-1] for stream in emulator.streams] == ["0", "1", "2", "2"]


async def test_keys_without_an_end_are_asked_for_each_time(emulator, client):
    vault = Vault()
    shared = client(vault)
    for _ in range(3):
        async with shared.connect() as session:
            await reply(session)
    assert [stream.access_key_id[-1] for stream in emulator.streams] == ["0", "1", "2"]


async def test_one_ask_at_a_time_for_all_who_wait(emulator, client):
    """Even keys that end at once serve whoever waited while they were fetched."""
    vault = Vault(minutes=2)
    asking = most = 0

    async def slow():
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        # Until the other sessions wait as well.
        await asyncio.sleep(0.3)
        asking -= 1
        return vault()

    async with sessions(client(slow), 20) as live:
        await asyncio.gather(*map(reply, live))
    assert most == 1
    assert len(vault.given) < 5


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.slow
async def test_a_callable_that_hangs_is_bounded(client, how):
    released = threading.Event()

    async def never():
        await asyncio.Event().wait()

    began = time.monotonic()
    hanging = client(released.wait if how == "sync" else never)
    error = await failure(hanging, novasonic.OperationTimeout, timeouts=Timeouts(open=0.6))
    took = time.monotonic() - began
    released.set()
    assert "credentials callable" in str(error)
    assert took < 2


async def test_a_session_that_gives_up_leaves_the_asking_to_the_next(emulator, client, eventually):
    vault = Vault(hours=1)
    asked = []

    async def first_hangs():
        asked.append(asyncio.current_task())
        if len(asked) == 1:
            await asyncio.Event().wait()
        return vault()

    shared = client(first_hangs)
    gives_up = asyncio.ensure_future(wait_for(shared.connect()))
    await eventually(lambda: asked)
    waits = asyncio.ensure_future(wait_for(shared.connect()))
    await asyncio.sleep(0.1)
    assert len(asked) == 1
    gives_up.cancel()
    session = await waits
    await reply(session)
    await session.aclose()
    assert len(asked) == 2


async def wait_for(connecting):
    return await connecting


async def test_a_callable_that_fails_while_its_last_keys_live(emulator, client):
    vault = Vault(minutes=5)
    down = False

    def keys():
        if down:
            raise LookupError("the vault is down")
        return vault()

    shared = client(keys)
    async with shared.connect() as session:
        await reply(session)
    down = True
    async with shared.connect() as session:
        await reply(session)
    assert [stream.access_key_id for stream in emulator.streams] == ["AKIDNUMBER0"] * 2


async def test_a_callable_that_fails(emulator, client):
    def keys():
        raise LookupError(f"no such secret: {SECRET}")

    error = await failure(client(keys))
    assert isinstance(error.__cause__, LookupError)
    assert error.cure


async def test_keys_that_have_ended(emulator, client):
    for credentials in (Vault(minutes=-1), Vault(minutes=-1)()):
        error = await failure(client(credentials))
        assert error.code == "credentials_expired"
        assert "ended at 20" in str(error)
    assert not emulator.streams


async def test_keys_that_were_refused_are_asked_for_anew():
    async with Emulator(brain=answer, speed=20) as emulator:
        right = emulator.credentials
        given = iter([Credentials("AKIDROTATED", SECRET, expires_at=datetime.now(UTC) + timedelta(hours=1)), right])
        client = NovaSonic(
            region="us-east-1",
            credentials=lambda: next(given),
            endpoint_url=emulator.url,
            ca_bundle=emulator.ca_bundle,
        )
        await failure(client, novasonic.AccessDeniedError)
        async with client.connect() as session:
            await reply(session)
