"""What goes wrong has its own class, and nobody else notices."""

import asyncio
import socket

import pytest

import novasonic
from novasonic import Credentials, Timeouts, TurnEnded
from novasonic.emulator import Emulator, Fault


async def answer(turn):
    await turn.say("Yes.")


@pytest.fixture
async def emulator():
    async with Emulator(brain=answer, speed=20) as emulator:
        yield emulator


@pytest.fixture
async def neighbour(emulator):
    """A session that must still work after whatever the test did."""
    async with emulator.client().connect() as session:
        yield session
        await session.send_text("Are you still there?")
        async for event in session:
            if isinstance(event, TurnEnded):
                break
        assert session.error is None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def client(emulator, **settings):
    usual = {
        "region": "us-east-1",
        "credentials": emulator.credentials,
        "endpoint_url": emulator.url,
        "ca_bundle": emulator.ca_bundle,
    }
    return novasonic.NovaSonic(**{**usual, **settings})


class TestOpening:
    async def failure(self, client, **settings):
        with pytest.raises(novasonic.NovaSonicError) as failed:
            async with asyncio.timeout(10):
                await client.connect(**settings)
        error = failed.value
        assert error.code
        assert error.message
        return error

    async def test_a_refused_port(self, emulator, neighbour):
        error = await self.failure(client(emulator, endpoint_url=f"https://127.0.0.1:{free_port()}"))
        assert type(error) is novasonic.ConnectError
        assert error.retryable

    async def test_an_untrusted_certificate(self, emulator, neighbour):
        async with Emulator() as stranger:
            error = await self.failure(client(emulator, ca_bundle=stranger.ca_bundle))
        assert type(error) is novasonic.CertificateError
        assert not error.retryable

    async def test_a_ca_bundle_that_is_none(self, emulator, neighbour, tmp_path):
        for path in (tmp_path / "missing.pem", tmp_path / "junk.pem"):
            (tmp_path / "junk.pem").write_text("junk")
            error = await self.failure(client(emulator, ca_bundle=path))
            assert type(error) in (novasonic.ConfigError, novasonic.CertificateError)

    async def test_a_bad_key(self, emulator, neighbour):
        for keys in (
            Credentials("AKIDNOBODY", emulator.credentials.secret_access_key),
            Credentials(emulator.credentials.access_key_id, "another secret"),
        ):
            error = await self.failure(client(emulator, credentials=keys))
            assert type(error) is novasonic.AccessDeniedError
            assert "another secret" not in str(error)

    async def test_missing_credentials(self, emulator, neighbour):
        error = await self.failure(client(emulator, credentials=None))
        assert type(error) is novasonic.CredentialsError

    async def test_a_failing_callable_is_the_cause(self, emulator, neighbour):
        def keys():
            raise LookupError("vault at 10.0.0.1: token s3cr3t refused")

        error = await self.failure(client(emulator, credentials=keys))
        assert type(error) is novasonic.CredentialsError
        assert isinstance(error.__cause__, LookupError)
        assert "s3cr3t" not in str(error)

    @pytest.mark.parametrize(
        ("fault", "cls", "retryable"),
        [
            (Fault.refuse(429, "ThrottlingException", "Too many."), novasonic.ThrottledError, True),
            (Fault.refuse(400, "ValidationException", "No."), novasonic.ValidationError, False),
            (Fault.refuse(403, "AccessDeniedException", "No."), novasonic.AccessDeniedError, False),
            (Fault.refuse(500, "InternalServerException", "Oh."), novasonic.ServiceError, True),
        ],
    )
    async def test_a_refusal(self, fault, cls, retryable):
        async with Emulator(faults=[fault]) as emulator:
            error = await self.failure(emulator.client())
            assert type(error) is cls
            assert error.retryable is retryable
            assert error.code == fault.name

    @pytest.mark.parametrize("region", ["sa-east-1", "us-west-1"])
    async def test_a_model_that_the_region_does_not_have(self, region, monkeypatch):
        monkeypatch.setenv("AWS_REGION", region)

        def keys():
            raise AssertionError("nobody may be asked")

        for model in novasonic.models():
            error = await self.failure(novasonic.NovaSonic(credentials=keys), model=model.id)
            assert type(error) is novasonic.ConfigError
            assert error.code == "model_region"
            for named in (region, model.id, *model.regions):
                assert named in str(error)

    async def test_a_region_behind_an_endpoint_of_ones_own_is_not_checked(self, emulator):
        async with client(emulator, region="sa-east-1").connect():
            pass
        assert emulator.streams[-1].region == "sa-east-1"

    async def test_plain_http_to_another_host(self):
        with pytest.raises(novasonic.ConfigError):
            novasonic.NovaSonic(endpoint_url="http://example.com")
        novasonic.NovaSonic(endpoint_url="http://example.com", allow_insecure=True)


@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        (Fault.rst_stream(after_input=10), novasonic.StreamLostError),
        (Fault.fin(after_input=10), novasonic.StreamLostError),
        (Fault.end_stream(after_input=10), novasonic.StreamLostError),
        (Fault.exception("throttlingException", "Slow down.", after_input=10), novasonic.ThrottledError),
        (Fault.exception("validationException", "No.", after_input=10), novasonic.ValidationError),
        (Fault.exception("modelStreamErrorException", "Oh.", after_input=10), novasonic.ServiceError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_stream_that_breaks_is_an_error_never_an_end(fault, cls):
    async with Emulator(faults=[fault]) as emulator, emulator.client().connect(continuation=None) as session:
        task = session.feed(bytes(320_000))
        seen = []
        async with asyncio.timeout(20):
            with pytest.raises(cls) as failed:
                await read_into(seen, session)
        assert seen[-1].reason == "error"
        assert seen[-1].error is failed.value is session.error
        with pytest.raises(cls):
            await session.send_audio(bytes(2))
        with pytest.raises(cls):
            await task


async def read_into(seen, session):
    async for event in session:
        seen.append(event)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"input_rate": 7_999}, "sample_rate"),
        ({"output_rate": "24000"}, "sample_rate"),
        ({"voice": ""}, "invalid_voice"),
        ({"model": None}, "invalid_model"),
        ({"system": 5}, "invalid_system"),
        ({"turn_taking": "HIGH"}, "invalid_turn_taking"),
        ({"max_tokens": 0}, "invalid_max_tokens"),
        ({"max_tokens": 1.5}, "invalid_max_tokens"),
        ({"top_p": 1.1}, "invalid_top_p"),
        ({"temperature": -0.1}, "invalid_temperature"),
        ({"history": ["hello"]}, "invalid_history"),
        ({"history": [novasonic.Message("assistant", "Hello.")]}, "invalid_history"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_opened(settings, code):
    client = novasonic.NovaSonic(region="us-east-1")
    with pytest.raises(novasonic.ConfigError) as refused:
        client.connect(**settings)
    assert refused.value.code == code


def test_clients_show_no_secret():
    client = novasonic.NovaSonic(region="us-east-1", credentials=Credentials("AKIDEXAMPLE", "s3cr3t"))
    assert "s3cr3t" not in repr(client)
    assert "AKID" not in repr(client)
    for bad in ("key", 5):
        with pytest.raises(novasonic.ConfigError):
            novasonic.NovaSonic(credentials=bad)


async def test_a_close_towards_a_silent_peer_is_bounded_and_silent():
    async with Emulator(faults=[Fault.stall(after_input=10)]) as emulator:
        started = asyncio.get_running_loop().time()
        async with emulator.client().connect(timeouts=Timeouts(close=0.3)) as session:
            for _ in range(20):
                await session.send_audio(bytes(1_024))
        assert asyncio.get_running_loop().time() - started < 5
        assert session.error is None
