"""What older clients send works as it did, and what the reference page shows runs as written."""

import asyncio
import base64
import json
import math
import re
import shlex
import struct
import subprocess
from pathlib import Path

import pytest
import websockets
from websupport import running_site

from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.emulator import Emulator

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "browser-wire.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = "localhost:8000"
PATIENCE_SECONDS = 20
RATE = 16_000
OLD_FRAME = 4_096 * 2


def by_hand():
    """The blocks of "By hand, with wscat": a shell's, then wscat's."""
    section = REFERENCE.read_text().split("## By hand, with wscat")[1].split("\n## ")[0]
    shell, *transcripts = CONSOLE.findall(section)
    assert transcripts
    assert all("wscat" in transcript for transcript in transcripts)
    return shell, transcripts


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    application = "novasonic.contrib.django.demo.asgi:application"
    settings = "novasonic.contrib.django.demo.settings"
    state = tmp_path_factory.mktemp("demo")
    with Emulator(brain="parrot") as parrot, running_site(application, parrot, state=state, settings=settings) as site:
        yield site


@pytest.fixture(scope="module")
def cookie(site, tmp_path_factory):
    """What the shell of a reader ends up with, who types what the page says."""
    shell = by_hand()[0].replace(DOCUMENTED, f"localhost:{site.port}")
    commands = [line[2:] for line in shell.splitlines() if line.startswith("$ ")]
    answers = [line for line in shell.splitlines() if not line.startswith("$ ")]
    script = "\n".join(["set -e", *commands, 'echo "$cookie"'])
    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path_factory.mktemp("shell"), capture_output=True, text=True, check=True
    )
    *said, cookie = run.stdout.splitlines()
    assert said == answers
    return cookie


class Wscat:
    """Does what wscat does with a transcript, and compares what it would show."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self._may_skip = False

    async def play(self, lines):
        for line in lines:
            match line[:2], line[2:]:
                case "> ", frame:
                    await self._socket.send(frame)
                case "< ", "…":
                    self._may_skip = True
                case "< ", shown:
                    await self._expect(shown)
                case _:
                    code = re.fullmatch(r"Disconnected \(code: (\d+), reason: \"\"\)", line)
                    assert code, line
                    with pytest.raises(websockets.ConnectionClosed):
                        await asyncio.wait_for(self._socket.recv(), PATIENCE_SECONDS)
                    assert self._socket.close_code == int(code[1])

    async def _expect(self, shown):
        pattern = re.compile(".*".join(map(re.escape, shown.split("…"))), re.DOTALL)
        while True:
            frame = await asyncio.wait_for(self._socket.recv(), PATIENCE_SECONDS)
            if isinstance(frame, str) and pattern.fullmatch(frame):
                self._may_skip = False
                return
            assert self._may_skip, f"{frame[:300]!r} came where {shown} was to"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(by_hand()[1])))
async def test_the_wscat_transcript_runs_as_written(site, cookie, number):
    command, connected, *lines = by_hand()[1][number].splitlines()
    command = command.removeprefix("$ ").replace(DOCUMENTED, f"localhost:{site.port}").replace("$cookie", cookie)
    npx, wscat, *words = shlex.split(command)
    options = dict(zip(words[::2], words[1::2], strict=True))
    name, value = options["--header"].split(": ", 1)
    assert (npx, wscat) == ("npx", "wscat")
    assert connected.startswith("Connected")
    async with websockets.connect(
        options["--connect"], origin=options["--origin"], additional_headers={name: value}
    ) as socket:
        await Wscat(socket).play(lines)


# Older clients, in this process.


def tone(seconds):
    samples = (int(8000 * math.sin(2 * math.pi * 300 * n / RATE)) for n in range(int(RATE * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


def pieces(pcm, size):
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def chunk(pcm, **more):
    return {"type": "audio_chunk", "audio": base64.b64encode(pcm).decode(), **more}


class Talker(NovaSonicConsumer):
    system = "You are a parrot."


async def test_frames_of_4096_samples_are_heard_without_a_word_before(open_page, use_emulator, parrot):
    use_emulator(parrot)
    async with open_page(Talker) as page:
        for frame in pieces(tone(1.0), OLD_FRAME):
            await page.send_audio(frame)
        await page.until("initialized")
        await page.until("turn_ended", turn=1)
        assert page.audio
        assert not page.of_type("error")


async def test_frames_of_4096_samples_are_heard_as_base64(open_page, use_emulator, parrot):
    use_emulator(parrot)
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        opened = await page.until("initialized")
        assert {"sessionId", "message", "timestamp"} <= opened.keys()
        for frame in pieces(tone(1.0), OLD_FRAME):
            await page.send(chunk(frame, isComplete=False))
        await page.send({"type": "audio_chunk", "isComplete": True})
        await page.until("turn_ended", turn=1)
        await page.send({"type": "text_message", "text": "And by hand"})
        await page.until("turn_ended", turn=2)
        assert not page.of_type("error")


@pytest.mark.slow
@pytest.mark.parametrize("size", [OLD_FRAME, RATE * 2])
async def test_a_recording_sent_whole_is_heard_to_its_end(open_page, use_emulator, size):
    """Longer than what binary frames may bring at once, and than what a stream takes to open."""
    with Emulator(brain="parrot") as parrot:
        use_emulator(parrot)
        recording = tone(8.0)
        *most, last = pieces(recording, size)
        async with open_page(Talker) as page:
            for piece in most:
                await page.send(chunk(piece))
            await page.send(chunk(last, isComplete=True))
            await page.until("turn_ended", turn=1)
            assert not page.of_type("error")
        assert parrot.streams[-1].audio_bytes >= len(recording)


KEYS = ("awsAccessKeyId", "awsSecretAccessKey", "awsRegion", "systemPrompt")


@pytest.fixture
def own_account(use_emulator, monkeypatch, settings):
    """A service that knows the page's keys and not the site's."""

    async def says_its_prompt(turn):
        await turn.say(turn.system)

    with Emulator(brain=says_its_prompt) as emulator:
        use_emulator(emulator)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the site has none")
        settings.NOVASONIC = settings.NOVASONIC | {"ACCEPT_CLIENT_CREDENTIALS": True}
        keys = emulator.credentials
        values = (keys.access_key_id, keys.secret_access_key, "us-east-1", "You are a pirate.")
        yield dict(zip(KEYS, values, strict=True))


async def test_a_client_talks_by_its_own_keys_and_prompt_where_the_site_lets_it(open_page, own_account, caplog):
    caplog.set_level("DEBUG")
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", **own_account})
        await page.until("initialized")
        await page.send({"type": "text_message", "text": "Who are you?"})
        await page.until("transcript", role="assistant", text="You are a pirate.")
        await page.until("turn_ended", turn=1)
    for secret in (own_account["awsSecretAccessKey"], "pirate", "Who are you"):
        assert secret not in caplog.text


async def test_wrong_keys_of_a_client_are_its_own_and_the_sites_are_not_tried(open_page, own_account, caplog):
    caplog.set_level("DEBUG")
    own_account["awsSecretAccessKey"] = "wr0ng/s3cr3t"
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", **own_account})
        await page.send({"type": "text_message", "text": "Who are you?"})
        assert await page.until_closed() == 4500
        assert page.of_type("error")[0]["code"] == "service_refused"
        assert "wr0ng" not in json.dumps(page.messages) + caplog.text


async def test_the_keys_of_one_client_are_not_the_next_ones(open_page, own_account):
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", **own_account})
        await page.send({"type": "text_message", "text": "Who are you?"})
        await page.until("turn_ended", turn=1)
    async with open_page(Talker) as page:
        await page.send({"type": "initialize"})
        await page.send({"type": "text_message", "text": "Who are you?"})
        assert await page.until_closed() == 4500


async def test_keys_of_a_client_are_refused_by_default(open_page):
    keys = {"awsAccessKeyId": "AKIAEXAMPLE", "awsSecretAccessKey": "s3cr3t", "awsRegion": "us-east-1"}
    async with open_page(Talker) as page:
        await page.send({"type": "initialize", **keys, "systemPrompt": "You are a pirate."})
        assert await page.until_closed() == 4403
        assert page.messages[0]["code"] == "credentials_not_accepted"
        assert "s3cr3t" not in json.dumps(page.messages)
