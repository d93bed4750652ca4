"""The commands of the page on keys for pages, run as they stand there."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from websupport import ROOT, running_site

from novasonic.contrib.django import grant
from novasonic.emulator import Emulator

PAGE = (Path(ROOT) / "docs/how-to/credentials-endpoint.md").read_text()


@pytest.mark.slow
def test_the_commands_give_the_status_and_keys(tmp_path, monkeypatch):
    from moto.server import ThreadedMotoServer

    (commands,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{host}:{port}")
    monkeypatch.setenv("STORYTELLER_PAGE_ROLE", "arn:aws:iam::111122223333:role/my-pages")
    storyteller = {"path": ROOT / "examples" / "storyteller", "settings": "storyteller.settings"}
    try:
        with (
            Emulator() as emulator,
            running_site("storyteller.asgi:application", emulator, state=tmp_path, **storyteller) as site,
        ):
            said = subprocess.run(
                ["bash", "-euc", commands],
                env={"PATH": "/usr/bin:/bin", "SITE": site.origin, "TMPDIR": str(tmp_path)},
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
    finally:
        moto.stop()
    shown = [json.loads(line) for line in re.findall(r"^\{\".*\}$", PAGE, re.MULTILINE)]
    decoder = json.JSONDecoder()
    status, end = decoder.raw_decode(said)
    keys, _ = decoder.raw_decode(said[end:].lstrip())
    assert [list(status), list(keys)] == [list(each) for each in shown], "the page shows what comes"
    assert (status["status"], status["activeSessions"]) == ("ok", 0)
    assert keys["accessKeyId"].startswith("ASIA")


def test_the_page_shows_the_policy_that_is_asked_for():
    policies = [
        json.loads(block) for block in re.findall(r"^   ```json\n(.*?)^   ```$", PAGE, re.MULTILINE | re.DOTALL)
    ]
    assert grant.policy("amazon.nova-2-sonic-v1:0", "us-east-1") == policies[0]
