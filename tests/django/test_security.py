"""What must not come out of a site, and what must not get in; docs/explanation/security.md names each of these."""

import asyncio
import base64
import json
import random
import re
from pathlib import Path

import pytest
import websockets
from django.test import override_settings
from websupport import running_site

import novasonic
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.emulator import Emulator

HERE = Path(__file__).parent
DUMPED = "dumped the locals of"
SETTINGS = "novasonic.contrib.django.demo.settings"


@pytest.fixture
def loose_tongue():
    """An emulator that says, and calls tools with, what must not be found in the site's output."""

    async def brain(turn):
        for word in ("canary-argument", "canary-broken-argument"):
            await turn.call("look_up", {"word": word})
        await turn.say("canary-answer is what I know.")

    with Emulator(brain=brain, speed=20) as emulator:
        yield emulator


async def say(site, path, cookie, frames):
    """Send frames; read on until a turn has ended or the server has closed."""
    async with websockets.connect(
        site.socket_url + path, origin=site.origin, additional_headers={"Cookie": cookie}, compression=None
    ) as page:
        for frame in frames:
            await page.send(frame if isinstance(frame, bytes) else json.dumps(frame))
        async with asyncio.timeout(30):
            try:
                while True:
                    frame = await page.recv()
                    if isinstance(frame, str) and json.loads(frame)["type"] == "turn_ended":
                        return
            except websockets.ConnectionClosed:
                return


@pytest.mark.slow
async def test_a_whole_runs_output_holds_nothing_that_was_said_or_secret(loose_tongue, tmp_path):
    speech = random.Random(5).randbytes(3200)
    typed = {"type": "text_message", "text": "canary-typed, if you please."}
    output = tmp_path / "output"
    with running_site(
        "canary_site:application", loose_tongue, state=tmp_path, path=HERE, settings=SETTINGS, output=output
    ) as site:
        cookie = site.sign_in()
        opening = {"type": "initialize"}
        await say(site, "keeper/", cookie, [opening, *[speech] * 5, typed])
        await say(site, "words/", cookie, [opening, speech, typed])
        await say(site, "calls/", cookie, [opening, speech, typed])
        # Nonsense that bears secrets: words of a broken message, keys of a page that brings its own.
        await say(site, "keeper/", cookie, [{"type": "canary-kind", "text": "canary-text"}, b"\x00" * 64_000])
        await say(site, "keeper/", cookie, [{"type": "initialize", "awsSecretAccessKey": "canary-key"}])
        pages = [site.request("GET", address)[2] for address in ("/nowhere/?q=canary-query", "/admin/", "/sign-in/")]
    told = output.read_text(errors="replace")
    # The run did tell: of two hooks and a tool that failed, with locals.
    assert told.count("the site's own hook is broken") >= 2
    assert DUMPED in told
    found = sorted(set(re.findall(r"canary-(?!site|query)[\w-]+", told + "".join(pages))))
    assert found == [], "\n".join(line[:300] for line in told.splitlines() if found[0] in line)
    assert loose_tongue.credentials.secret_access_key not in told
    for shown in (repr(speech[100:130])[2:-1], speech[99:129].hex(), base64.b64encode(speech[99:129]).decode()):
        assert shown not in told


@pytest.mark.parametrize("url", ["http://example.org", "http://10.0.0.8:8080", "http://localhost.example.org"])
def test_an_endpoint_in_the_clear_is_on_this_machine_only(url):
    with pytest.raises(novasonic.ConfigError, match="http"):
        novasonic.NovaSonic(region="us-east-1", endpoint_url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_an_endpoint_in_the_clear_on_this_machine_is_fine(url):
    novasonic.NovaSonic(region="us-east-1", endpoint_url=url)


@pytest.mark.parametrize(
    "key",
    [
        *("endpoint", "endpointUrl", "endpoint_url", "ENDPOINT_URL", "awsEndpointUrl"),
        *("proxy", "httpsProxy", "caBundle", "ca_bundle", "profile", "awsProfile", "allowInsecure"),
        *("region", "awsRegion", "model", "modelId"),
    ],
)
async def test_a_page_cannot_say_where_its_conversation_goes(open_page, use_emulator, parrot, key):
    use_emulator(parrot)
    streams = len(parrot.streams)
    async with open_page(NovaSonicConsumer) as page:
        await page.send({"type": "initialize", key: "https://evil.example"})
        # Refused by name, or closed: never taken.
        answer = await page.next()
        assert answer["type"] == "error", answer
        assert "evil" not in json.dumps(answer)
    assert len(parrot.streams) == streams


def test_the_setting_of_a_site_reaches_no_page_and_no_row():
    """Where conversations go is read from NOVASONIC and the environment: no model or form has a field for it."""
    from django.apps import apps

    forbidden = {"endpoint_url", "endpoint", "proxy", "ca_bundle", "profile", "allow_insecure"}
    fields = {
        field.name for model in apps.get_app_config("novasonic").get_models() for field in model._meta.get_fields()
    }
    assert fields & forbidden == set()


@pytest.mark.parametrize(
    "region", ["us-east-1.evil.example", "evil.example/", "us-east-1#", "us east 1", "-", "a" * 64]
)
def test_a_region_that_is_none_never_becomes_a_host_name(region):
    with pytest.raises(novasonic.ConfigError, match="region") as refused:
        novasonic.NovaSonic(region=region)
    assert refused.value.code == "invalid_region"


def test_a_site_that_names_a_clear_endpoint_elsewhere_gets_an_error_not_a_conversation():
    from novasonic.contrib.django.lifecycle import get_client

    settings = override_settings(NOVASONIC={"REGION": "us-east-1", "ENDPOINT_URL": "http://example.org"})
    with settings, pytest.raises(novasonic.ConfigError):
        get_client()
