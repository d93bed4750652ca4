"""Programs that the tests run to their end, and an emulator for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from novasonic.emulator import Emulator

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def echo():
    with Emulator(brain="echo") as emulator:
        yield emulator


@pytest.fixture
def start(echo):
    """Starts a program against the emulator and kills what a failed test leaves behind."""
    started = []

    def start(name, *arguments):
        environment = {
            **os.environ,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": echo.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": echo.credentials.secret_access_key,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": echo.url,
            "AWS_CA_BUNDLE": echo.ca_bundle,
            "PYTHONFAULTHANDLER": "1",
            # A session left open warns, as it should; the exit codes are what these tests are about.
            "PYTHONWARNINGS": "ignore::ResourceWarning",
        }
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / f"{name}.py"), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
