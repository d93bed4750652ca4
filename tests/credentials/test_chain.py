"""Each link of AWS's default chain gives the keys of a real conversation, or says in its own name why it cannot."""

import hashlib
import json
import stat
import sys
from datetime import UTC, datetime

import pytest
from credentialsupport import StandIn

ONE_REPLY = {"replies": [True]}
pytestmark = pytest.mark.slow


def refuse(_):
    return 500, "A stand-in that nobody may ask."


class TestEnvironmentAndProfile:
    async def test_the_environment(self, emulator, talk):
        keys = emulator.credentials
        variables = {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key}
        # Neither a token for other operations nor a profile is preferred to them.
        variables |= {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-of-another-operation"}
        assert await talk(emulator, **variables, AWS_SESSION_TOKEN="a-session-token") == ONE_REPLY

    @pytest.mark.parametrize("how", ["variable", "argument"])
    async def test_a_profile(self, emulator, talk, how):
        keys = emulator.credentials
        config = f"""
            [profile talk]
            aws_access_key_id = {keys.access_key_id}
            aws_secret_access_key = {keys.secret_access_key}
            aws_session_token = a-session-token
        """.replace("            ", "")
        if how == "variable":
            assert await talk(emulator, config, AWS_PROFILE="talk") == ONE_REPLY
        else:
            other = {"AWS_ACCESS_KEY_ID": "AKIDOTHER", "AWS_SECRET_ACCESS_KEY": "another-secret"}
            assert await talk(emulator, config, profile="talk", **other) == ONE_REPLY

    async def test_a_profile_that_is_not_there(self, emulator, talk, keys_as_json):
        with StandIn(lambda _: (200, keys_as_json())) as machine:
            failed = await talk(emulator, AWS_PROFILE="tlak", AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{machine.url}/keys")
            assert not machine.asked
        assert (failed["error"], failed["code"]) == ("CredentialsError", "profile_missing")
        assert "tlak" in failed["said"]

    async def test_nothing_at_all(self, emulator, talk):
        failed = await talk(emulator)
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_missing")
        assert failed["seconds"] < 1


class TestCredentialProcess:
    def script(self, home, text):
        script = home / "keys"
        script.write_text(f"#!{sys.executable}\n{text}")
        script.chmod(stat.S_IRWXU)
        return f"[default]\ncredential_process = {script} --token an-argument\n"

    async def test_its_keys(self, emulator, talk, home, keys_as_json):
        answer = keys_as_json(Version=1, SessionToken="a-session-token")
        assert await talk(emulator, self.script(home, f"print({json.dumps(json.dumps(answer))})")) == ONE_REPLY

    async def test_a_failure_repeats_nothing_that_may_be_secret(self, emulator, talk, home):
        config = self.script(home, "import sys; print('s3cr3t'); sys.exit('vault refused s3cr3t')")
        failed = await talk(emulator, config)
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
        assert 'profile "default"' in failed["said"]
        assert "exited with code" in failed["said"]
        assert "s3cr3t" not in failed["said"]
        assert "an-argument" not in failed["said"]

    async def test_keys_that_have_ended(self, emulator, talk, home, keys_as_json):
        answer = keys_as_json(Version=1, SessionToken="a-session-token", Expiration="2026-01-02T03:04:05Z")
        failed = await talk(emulator, self.script(home, f"print({json.dumps(json.dumps(answer))})"))
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_expired")
        assert "2026-01-02T03:04:05Z" in failed["said"]
        assert not emulator.streams


class TestSso:
    START = "https://voice.awsapps.com/start"
    SESSION = f"""
        [profile talk]
        sso_session = voice
        sso_account_id = 111122223333
        sso_role_name = talker
        [sso-session voice]
        sso_region = us-east-1
        sso_start_url = {START}
    """.replace("        ", "")
    LEGACY = f"""
        [profile talk]
        sso_region = us-east-1
        sso_start_url = {START}
        sso_account_id = 111122223333
        sso_role_name = talker
    """.replace("        ", "")

    def portal(self, keys, *, token="an-access-token"):
        """What `aws sso login` talked to: it has keys for whoever has the token."""

        def portal(request):
            if request.headers["x-amz-sso_bearer_token"] != token:
                return 401, {"message": "Session token not found or invalid", "__type": "UnauthorizedException"}
            role = {
                "accessKeyId": keys.access_key_id,
                "secretAccessKey": keys.secret_access_key,
                "sessionToken": "a-session-token",
                "expiration": int((datetime.now(UTC).timestamp() + 3600) * 1000),
            }
            return 200, {"roleCredentials": role}

        return StandIn(portal)

    def signed_in(self, home, name, expires_at="2099-01-01T00:00:00Z"):
        token = {"accessToken": "an-access-token", "expiresAt": expires_at, "startUrl": self.START}
        file = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        (home / ".aws/sso/cache" / f"{file}.json").write_text(json.dumps({**token, "region": "us-east-1"}))

    @pytest.mark.parametrize(("config", "name"), [(SESSION, "voice"), (LEGACY, START)], ids=["session", "legacy"])
    async def test_its_keys(self, emulator, talk, home, config, name):
        self.signed_in(home, name)
        with self.portal(emulator.credentials) as portal:
            outcome = await talk(emulator, config, profile="talk", AWS_ENDPOINT_URL_SSO=portal.url)
        assert outcome == ONE_REPLY
        (asked,) = portal.asked
        assert asked.startswith("GET /federation/credentials?")
        assert "role_name=talker" in asked
        assert "account_id=111122223333" in asked

    async def test_nobody_signed_in(self, emulator, talk):
        with StandIn(refuse) as portal:
            failed = await talk(emulator, self.SESSION, profile="talk", AWS_ENDPOINT_URL_SSO=portal.url)
        assert (failed["error"], failed["code"]) == ("CredentialsError", "credentials_failed")
        assert "aws sso login" in failed["said"]
        assert not portal.asked

    async def test_a_sign_in_that_has_ended(self, emulator, talk, home):
        self.signed_in(home, "voice", "2026-01-01T00:00:00Z")
        with StandIn(refuse) as portal:
            failed = await talk(emulator, self.SESSION, profile="talk", AWS_ENDPOINT_URL_SSO=portal.url)
        assert failed["error"] == "CredentialsError"
        assert "aws sso login" in failed["said"]
        assert "an-access-token" not in failed["said"]

    async def test_a_sign_in_that_the_portal_refuses(self, emulator, talk, home):
        self.signed_in(home, "voice")
        with self.portal(emulator.credentials, token="another") as portal:
            failed = await talk(emulator, self.SESSION, profile="talk", AWS_ENDPOINT_URL_SSO=portal.url)
        assert failed["error"] == "CredentialsError"
        assert 'profile "talk"' in failed["said"]
        assert "an-access-token" not in failed["said"]
