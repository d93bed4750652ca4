"""HTTPS_PROXY and NO_PROXY: whatever goes over TLS goes through the proxy, ours and what the providers ask."""

import pytest
from credentialsupport import ConnectProxy, StandIn

ONE_REPLY = {"replies": [True]}
pytestmark = pytest.mark.slow


@pytest.fixture
def keys(emulator):
    return {
        "AWS_ACCESS_KEY_ID": emulator.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": emulator.credentials.secret_access_key,
        "AWS_SESSION_TOKEN": "a-session-token",
    }


@pytest.fixture
def place(emulator):
    return emulator.url.removeprefix("https://")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
async def test_a_conversation_through_a_proxy(emulator, talk, keys, place, variable):
    async with ConnectProxy(user="me:p@ss") as proxy:
        outcome = await talk(emulator, count=3, **keys, **{variable: f"http://me:p%40ss@{proxy.place}"})
    assert outcome == {"replies": [True] * 3}
    # Conversations share a connection, and so a tunnel.
    assert proxy.asked == [f"CONNECT {place} HTTP/1.1"]
    assert proxy.tunnels == 1


@pytest.mark.parametrize(
    "variables",
    [{"NO_PROXY": "127.0.0.0/8"}, {"no_proxy": "localhost, 127.0.0.1"}, {"no_proxy": "*"}, {"https_proxy": ""}],
    ids=str,
)
async def test_what_needs_no_proxy(emulator, talk, keys, variables):
    async with ConnectProxy() as proxy:
        assert await talk(emulator, **keys, HTTPS_PROXY=f"http://{proxy.place}", **variables) == ONE_REPLY
    assert not proxy.asked


async def test_a_proxy_that_refuses_us(emulator, talk, keys, place):
    async with ConnectProxy(user="me:right") as proxy:
        failed = await talk(emulator, **keys, HTTPS_PROXY=f"http://me:wr0ng@{proxy.place}")
    assert (failed["error"], failed["code"]) == ("ConnectError", "proxy_authentication")
    assert proxy.place in failed["said"]
    assert "wr0ng" not in failed["said"]
    assert proxy.tunnels == 0


async def test_a_proxy_that_is_not_there(emulator, talk, keys):
    async with ConnectProxy() as gone:
        pass
    failed = await talk(emulator, **keys, HTTPS_PROXY=f"http://me:s3cr3t@{gone.place}")
    assert (failed["error"], failed["code"]) == ("ConnectError", "refused")
    assert "HTTPS_PROXY" in failed["said"]
    assert "s3cr3t" not in failed["said"]


async def test_what_is_no_proxy(emulator, talk, keys):
    failed = await talk(emulator, **keys, HTTPS_PROXY="socks5://me:s3cr3t@127.0.0.1:1")
    assert (failed["error"], failed["code"]) == ("ConfigError", "bad_proxy")
    assert "s3cr3t" not in failed["said"]


async def test_providers_go_through_it_too(emulator, talk, home):
    """The proxy lets nobody out of this machine, which is how the provider fails."""
    (home / "token").write_text("a-web-identity-token")
    role = {"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/talker", "AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token")}
    async with ConnectProxy() as proxy:
        failed = await talk(emulator, **role, HTTPS_PROXY=f"http://{proxy.place}")
    assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
    assert failed["retryable"]
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in failed["said"]
    assert set(proxy.asked) == {"CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1"}


async def test_metadata_addresses_are_asked_directly(emulator, talk, keys_as_json):
    async with ConnectProxy() as proxy:
        every = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"), f"http://{proxy.place}")
        with StandIn(lambda _: (200, keys_as_json())) as pod:
            outcome = await talk(emulator, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{pod.url}/keys", **every)
    assert outcome == ONE_REPLY
    assert len(pod.asked) == 1
    assert len(proxy.asked) == 1
