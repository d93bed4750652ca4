"""A Django site in a process of its own, and a way to sign in to it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from processsupport import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 10
# As docs/how-to/deploy.md says to start each of them.
SERVERS = {
    "uvicorn": (
        *("uvicorn", "--host", "127.0.0.1", "--log-level", "warning", "--lifespan", "off"),
        *("--ws-per-message-deflate", "false", "--ws-max-size", "131072"),
    ),
    "daphne": ("daphne", "-b", "127.0.0.1", "-v", "0", "--websocket-max-message-size", "131072"),
    "granian": ("granian", "--interface", "asginl", "--ws", "--log-level", "warning", "--workers-kill-timeout", "5"),
}


class Site:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.origin = f"http://localhost:{port}"

    @property
    def socket_url(self) -> str:
        return f"ws://localhost:{self.port}/"

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def sign_in(self) -> str:
        """Press the demo's button; return the Cookie header of whoever did."""
        status, headers, page = self.request("GET", "/sign-in/")
        assert status == 200, status
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        cookies = _cookies(headers)
        status, headers, page = self.request(
            "POST",
            "/sign-in/",
            body=urlencode({"csrfmiddlewaretoken": token[1]}),
            headers={"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"},
        )
        assert status == 302, page
        return _cookies(headers)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("localhost", self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()


def _cookies(headers) -> str:
    return "; ".join(cookie.split(";", 1)[0] for cookie in headers.get_all("Set-Cookie", []))


@contextmanager
def running_site(
    application: str,
    emulator,
    *,
    state: Path,
    path: Path | None = None,
    settings: str,
    server: str = "uvicorn",
    output: Path | None = None,
) -> Iterator[Site]:
    """Serve `application` as the documents say to, its conversations going to `emulator`; `output` takes its output."""
    port = free_port()
    environment = {
        **os.environ,
        **emulator_environment(emulator),
        "DJANGO_SETTINGS_MODULE": settings,
        "NOVASONIC_DEMO_STATE": str(state),
        "NOVASONIC_DEMO_HOSTS": "localhost,127.0.0.1,voice.test",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(path or ROOT), os.environ.get("PYTHONPATH")])),
    }
    subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=environment, check=True, timeout=60)
    command = [sys.executable, "-m", *SERVERS[server], "--port", str(port), application]
    with ExitStack() as stack:
        told = None if output is None else stack.enter_context(output.open("wb"))
        process = subprocess.Popen(command, env=environment, stdout=told, stderr=told)
    try:
        wait_for_port(port, process)
        yield Site(process, port)
    finally:
        # Killed at once, it would take with it what coverage has measured.
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def emulator_environment(emulator) -> dict[str, str]:
    """What a process needs to find the emulator: AWS's own variables."""
    return {
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
        "AWS_CA_BUNDLE": str(emulator.ca_bundle),
        "AWS_ACCESS_KEY_ID": emulator.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": emulator.credentials.secret_access_key,
    }
