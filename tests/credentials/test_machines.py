"""Containers and instances: their keys come from an address beside the program."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from credentialsupport import StandIn, in_future

from novasonic.emulator import Emulator

ONE_REPLY = {"replies": [True]}
pytestmark = pytest.mark.slow


def can_have_a_network_of_its_own():
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0


class TestContainer:
    async def test_a_full_uri_and_a_token_file(self, emulator, talk, home, keys_as_json):
        (home / "token").write_text("a-pods-token")

        def agent(request):
            if request.headers["authorization"] != "a-pods-token":
                return 403, {"code": "AccessDenied", "message": "No."}
            return 200, keys_as_json()

        with StandIn(agent) as pod:
            variables = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{pod.url}/v1/credentials"}
            token_file = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(home / "token")}
            assert await talk(emulator, **variables, **token_file) == ONE_REPLY
            token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a-pods-token"}
            assert await talk(emulator, **variables, **token) == ONE_REPLY
            failed = await talk(emulator, **variables, AWS_CONTAINER_AUTHORIZATION_TOKEN="s3cr3t")
        assert set(pod.asked) == {"GET /v1/credentials"}
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
        assert failed["said"].startswith("The container's credentials address failed")
        assert "s3cr3t" not in failed["said"]

    @pytest.mark.skipif(not can_have_a_network_of_its_own(), reason="no network namespaces here: the address is fixed")
    async def test_a_relative_uri(self, talk, home, keys_as_json):
        """The agent of ECS is at 169.254.170.2, so the whole play is in a network that has this address."""
        program = Path(__file__).parent / "programs" / "ecs.py"
        command = f"ip link set lo up && ip address add 169.254.170.2/32 dev lo && exec {sys.executable} {program}"
        process = await asyncio.create_subprocess_exec(
            *("unshare", "-rn", "sh", "-c", command),
            stdout=asyncio.subprocess.PIPE,
            env={"HOME": str(home), "PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "KEYS": json.dumps(keys_as_json())},
        )
        said, _ = await process.communicate()
        assert json.loads(said) == {**ONE_REPLY, "asked": ["GET /v2/credentials/task"]}

    async def test_each_stream_has_the_keys_it_began_with(self, talk, keys_as_json):
        """Keys that last five minutes are fetched anew for each stream; those that are open keep theirs."""
        given = []

        def agent(_):
            given.append(f"ASIANUMBER{len(given)}")
            return 200, keys_as_json(AccessKeyId=given[-1], Expiration=in_future(minutes=5))

        async with Emulator(brain=answer, speed=20, verify=False) as emulator:
            with StandIn(agent) as pod:
                outcome = await talk(emulator, count=3, AWS_CONTAINER_CREDENTIALS_FULL_URI=pod.url)
            assert outcome == {"replies": [True] * 3}
            assert len(given) == 3
            assert [stream.access_key_id for stream in emulator.streams] == given

    async def test_keys_that_last_are_fetched_once(self, emulator, talk, keys_as_json):
        with StandIn(lambda _: (200, keys_as_json())) as pod:
            outcome = await talk(emulator, count=5, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{pod.url}/keys")
        assert outcome == {"replies": [True] * 5}
        assert pod.asked == ["GET /keys"]


async def answer(turn):
    await turn.say("Yes.")


class TestInstance:
    ROLE = "/latest/meta-data/iam/security-credentials/"

    def metadata(self, keys):
        def metadata(request):
            if request.command == "PUT":
                return 200, "a-metadata-token"
            if request.headers["x-aws-ec2-metadata-token"] != "a-metadata-token":
                return 401, "This instance speaks IMDSv2 only."
            return (200, "talker") if request.path == self.ROLE else (200, {"Code": "Success", **keys})

        return StandIn(metadata)

    async def test_its_keys(self, emulator, talk, keys_as_json):
        with self.metadata(keys_as_json()) as machine:
            variables = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.url, "AWS_EC2_METADATA_DISABLED": "false"}
            assert await talk(emulator, **variables) == ONE_REPLY
        token, role, keys = machine.asked
        assert token == "PUT /latest/api/token"
        assert (role, keys) == (f"GET {self.ROLE}", f"GET {self.ROLE}talker")

    async def test_metadata_that_is_switched_off_is_not_asked(self, emulator, talk, keys_as_json):
        with self.metadata(keys_as_json()) as machine:
            failed = await talk(emulator, AWS_EC2_METADATA_SERVICE_ENDPOINT=machine.url)
        assert failed["code"] == "credentials_missing"
        assert not machine.asked

    async def test_an_instance_without_a_role(self, emulator, talk):
        with StandIn(lambda request: (200, "token") if request.command == "PUT" else (404, "none")) as machine:
            variables = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.url, "AWS_EC2_METADATA_DISABLED": "false"}
            failed = await talk(emulator, **variables)
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_missing")
        assert failed["seconds"] < 1

    async def test_an_address_that_swallows_packets(self, emulator, talk):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = "http://{}:{}".format(*silent.getsockname())
            variables = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": "false"}
            failed = await talk(emulator, **variables)
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_missing"), failed
        assert failed["seconds"] < 3
