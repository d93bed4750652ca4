"""Roles that are assumed, by a moto server's STS: the emulator lets in nobody but who holds the role's keys."""

import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

import pytest
from credentialsupport import StandIn

from novasonic import Credentials
from novasonic.emulator import Emulator

ONE_REPLY = {"replies": [True]}
ROLE = "arn:aws:iam::111122223333:role/talker"
SEED = 20_261_125
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sts():
    # Third of a second that only those wait for who need it.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def post(url, body=b""):
    # Which service is meant, moto reads from the signature, which it does not check.
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIABASE/20261125/us-east-1/sts/aws4_request"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as response:
        return response.read()


def keys_to_come(sts, **request):
    """What the STS will answer next: it draws keys from a generator that can be set back."""
    seed = f"{sts}/moto-api/seed?a={SEED}"
    post(seed)
    form = urllib.parse.urlencode({"Version": "2011-06-15", "RoleArn": ROLE, "RoleSessionName": "me", **request})
    answer = ElementTree.fromstring(post(sts, form.encode()))
    post(seed)
    given = {element.tag.partition("}")[2]: element.text for element in answer.iter()}
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"])


@pytest.fixture
async def emulator_for():
    emulators = []

    async def emulator_for(keys):
        emulators.append(await Emulator(brain=answer, speed=20, credentials=keys).__aenter__())
        return emulators[-1]

    yield emulator_for
    for emulator in emulators:
        await emulator.aclose()


async def answer(turn):
    await turn.say("Yes.")


async def test_a_web_identity(sts, emulator_for, talk, home):
    (home / "token").write_text("a-web-identity-token")
    emulator = await emulator_for(
        keys_to_come(sts, Action="AssumeRoleWithWebIdentity", WebIdentityToken="a-web-identity-token")
    )
    forms = []

    def relay(request):
        forms.append(dict(urllib.parse.parse_qsl(request.body.decode())))
        return 200, post(sts, request.body).decode()

    role = {"AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "voice"}
    with StandIn(relay) as between:
        role |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token"), "AWS_ENDPOINT_URL_STS": between.url}
        assert await talk(emulator, count=2, **role) == {"replies": [True, True]}
    (form,) = forms
    assert form["Action"] == "AssumeRoleWithWebIdentity"
    assert (form["RoleArn"], form["RoleSessionName"]) == (ROLE, "voice")
    assert form["WebIdentityToken"] == "a-web-identity-token"


@pytest.mark.parametrize("source", ["source_profile = base", "credential_source = Environment"])
async def test_a_role_of_a_profile(sts, emulator_for, talk, source):
    emulator = await emulator_for(keys_to_come(sts, Action="AssumeRole"))
    config = f"""
        [profile talk]
        role_arn = {ROLE}
        role_session_name = voice
        {source}
        [profile base]
        aws_access_key_id = AKIABASE
        aws_secret_access_key = secret-of-the-base
    """.replace("        ", "")
    environment = {"AWS_ACCESS_KEY_ID": "AKIABASE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-base"}
    assert await talk(emulator, config, profile="talk", AWS_ENDPOINT_URL_STS=sts, **environment) == ONE_REPLY
    assert emulator.streams[-1].access_key_id.startswith("ASIA")


async def test_a_token_file_that_is_not_there(sts, emulator_for, talk, home):
    emulator = await emulator_for(None)
    role = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "none")}
    failed = await talk(emulator, AWS_ENDPOINT_URL_STS=sts, **role)
    assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
    assert "The web identity (AWS_WEB_IDENTITY_TOKEN_FILE) failed" in failed["said"]


async def test_a_role_that_sts_refuses(emulator_for, talk):
    refusal = (
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
        "<Message>User: base is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"
    )
    emulator = await emulator_for(None)
    config = f"[default]\nrole_arn = {ROLE}\ncredential_source = Environment\n"
    environment = {"AWS_ACCESS_KEY_ID": "AKIABASE", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    with StandIn(lambda _: (403, refusal)) as sts:
        failed = await talk(emulator, config, profile="default", AWS_ENDPOINT_URL_STS=sts.url, **environment)
    assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
    assert not failed["retryable"]
    assert "not authorized to perform: sts:AssumeRole" in failed["said"]
    assert "s3cr3t" not in failed["said"]
