"""An ECS task in one process: the agent at its fixed address, the service, and a conversation with keys of the task."""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from credentialsupport import StandIn
from talk import main

from novasonic import Credentials
from novasonic.emulator import Emulator

KEYS = json.loads(os.environ["KEYS"])


async def task():
    keys = Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"])
    async with Emulator(speed=20, brain=answer, credentials=keys) as emulator:
        os.environ["AWS_REGION"] = "us-east-1"
        os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = emulator.url
        os.environ["AWS_CA_BUNDLE"] = emulator.ca_bundle
        os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/task"
        with StandIn(lambda _: (200, KEYS), host="169.254.170.2", port=80) as agent:
            return {**await main(1, None), "asked": agent.asked}


async def answer(turn):
    await turn.say("Yes.")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(task())))
