"""A service that knows one pair of keys, and programs that must find them in an environment of their own."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from credentialsupport import in_future

from novasonic import Credentials
from novasonic.emulator import Emulator

TALK = Path(__file__).parent / "programs" / "talk.py"
KEYS = Credentials("ASIAFROMTHESTANDIN00", "the-secret-of-the-stand-in")


@pytest.fixture
def keys_as_json():
    """As containers, instances and credential processes give them."""

    def keys_as_json(**other):
        return {
            "AccessKeyId": KEYS.access_key_id,
            "SecretAccessKey": KEYS.secret_access_key,
            "Token": "a-session-token",
            "Expiration": in_future(hours=1),
            **other,
        }

    return keys_as_json


async def answer(turn):
    await turn.say("I am who you pay.")


@pytest.fixture
async def emulator():
    """Lets nobody in but the holder of `KEYS`."""
    async with Emulator(brain=answer, speed=20, credentials=KEYS) as emulator:
        yield emulator


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".aws" / "sso" / "cache").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def talk(home):
    """Runs the program against an emulator, with these variables and no others, and this ``.aws/config``."""

    async def talk(emulator, config="", *, count=1, profile=None, wrapper=(), **variables):
        (home / ".aws" / "config").write_text(config)
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
            "AWS_CA_BUNDLE": emulator.ca_bundle,
            "AWS_EC2_METADATA_DISABLED": "true",
            **variables,
        }
        command = [*wrapper, sys.executable, "-W", "error", str(TALK), str(count), *([profile] if profile else [])]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment, cwd=home
        )
        async with asyncio.timeout(30):
            said, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()
        assert not complaints, complaints.decode()
        return json.loads(said)

    return talk
