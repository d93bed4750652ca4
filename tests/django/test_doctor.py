"""The doctor: what it finds on a sound site, and what it makes of everything that can be wrong."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from credentialsupport import StandIn
from django.core.management import call_command
from processsupport import free_port, wait_for_port
from services import redis_server
from websupport import ROOT

from novasonic.contrib.django import lifecycle
from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.doctor import aws, live, server, site
from novasonic.contrib.django.management.commands import novasonic_doctor
from novasonic.emulator import Emulator, Fault

KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
NOT_AUTHORIZED = (
    "User: arn:aws:iam::111122223333:user/site is not authorized to perform: bedrock:InvokeModelWithBidirectionalStream"
    " on resource: arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-sonic-v1:0 because "
)


@pytest.fixture(scope="module")
def emulator():
    with Emulator(speed=20) as emulator:
        yield emulator


@pytest.fixture
def service(emulator, monkeypatch, settings):
    """The site talks to the emulator, which has no faults yet."""
    emulator.clear_faults()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulator.credentials.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulator.credentials.secret_access_key)
    monkeypatch.setattr(lifecycle, "_clients", {})  # clients remember keys
    settings.NOVASONIC = {"REGION": "us-east-1", "ENDPOINT_URL": emulator.url, "CA_BUNDLE": emulator.ca_bundle}
    return emulator


def handshake():
    finding = live.handshake(get_settings())
    assert finding.state == "ok" or finding.cure
    return finding


# The handshake.


def test_a_handshake_that_succeeds_took_100_ms_of_silence(service):
    assert handshake().code == "ok"
    assert service.streams[-1].audio_bytes == 3_200
    assert service.streams[-1].ended == "clean"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (
            Fault.refuse(
                403,
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
            ),
            "no_access",
        ),
        (
            Fault.refuse(403, "AccessDeniedException", NOT_AUTHORIZED + "no identity-based policy allows it"),
            "denied",
        ),
        (
            Fault.refuse(
                403,
                "AccessDeniedException",
                NOT_AUTHORIZED + "of an explicit deny in a service control policy",
            ),
            "denied",
        ),
        (Fault.skew(400), "clock_skew"),
        (Fault.skew(-400), "clock_skew"),
        (Fault.throttle(), "throttled"),
        (Fault.quota(0), "quota"),
        (
            Fault.refuse(403, "ExpiredTokenException", "The security token included in the request is expired"),
            "expired",
        ),
        (
            Fault.refuse(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
            "keys_refused",
        ),
        (
            Fault.refuse(
                403,
                "InvalidSignatureException",
                "Credential should be scoped to a valid region.",
            ),
            "wrong_region",
        ),
        (Fault.refuse(404, "ResourceNotFoundException", "Model not found."), "wrong_region"),
        (Fault.refuse(400, "ValidationException", "The provided model identifier is invalid."), "wrong_region"),
        (Fault.refuse(500, "InternalServerException", "Oh."), "failed"),
        (Fault.refuse_connection(), "no_connection"),
        (Fault.exception("validationException", "Odd.", after_input=3), "failed"),
    ],
)
def test_what_the_service_answers_is_told_apart(service, fault, code):
    service.add_faults(fault)
    finding = handshake()
    assert (finding.state, finding.code) == ("failed", code)


def test_an_explicit_deny_is_not_cured_by_another_policy(service):
    service.add_faults(Fault.refuse(403, "AccessDeniedException", f"{NOT_AUTHORIZED} an explicit deny."))
    assert "no other can allow it" in handshake().cure


def test_a_secret_of_another_key_is_told(service, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-another-key")
    finding = handshake()
    assert finding.code == "keys_refused"
    assert "of-another-key" not in str(finding)


def test_a_wrong_signature_with_a_wrong_clock_is_the_clocks_fault(service, monkeypatch):
    monkeypatch.setattr(aws, "skew_seconds", lambda _: 400.0)
    service.add_faults(Fault.refuse(403, "InvalidSignatureException", "The request signature does not match."))
    assert handshake().code == "clock_skew"


@pytest.fixture
def no_keys(service, monkeypatch):
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_no_credentials_are_told(no_keys):
    finding = handshake()
    assert finding.code == "no_credentials"
    assert "AWS_ACCESS_KEY_ID" in finding.cure


def test_a_bearer_token_alone_is_told(no_keys, monkeypatch):
    monkeypatch.setenv(aws.BEARER_VARIABLE, "bedrock-api-key-secret")
    finding = handshake()
    assert finding.code == "bearer_token"
    assert "bedrock-api-key-secret" not in str(finding)


def test_a_profile_that_does_not_exist_is_told(no_keys, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "PROFILE": "nobody"}
    finding = handshake()
    assert finding.code == "credentials_failed"
    assert "nobody" in finding.message


@pytest.mark.parametrize("region", ["eu-central-1", None])
def test_a_wrong_region_is_told_before_anything_is_sent(service, settings, region):
    settings.NOVASONIC = {"REGION": region}
    assert handshake().code == "wrong_region"


def test_a_certificate_that_is_not_trusted_is_told(service, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "CA_BUNDLE": None}
    assert handshake().code == "certificate"


# What needs no stream.


def test_keys_are_found_and_nobody_asks_sts_for_an_emulators(service):
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert found["credentials"].state == "ok"
    assert found["credentials"].message.startswith("Key AKID... from env")
    assert service.credentials.access_key_id not in str(found)
    assert found["identity"].state == "skipped"
    assert found["endpoint"].state == "note"
    assert (found["region"].state, found["model"].state) == ("ok", "ok")


def test_no_keys_are_told(no_keys):
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert (found["credentials"].state, found["credentials"].code) == ("failed", "no_credentials")
    assert "identity" not in found


def test_without_boto3_it_says_what_it_cannot_tell(service, monkeypatch):
    monkeypatch.setattr(aws, "is_installed", lambda _: False)
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert found["credentials"].state == "skipped"
    assert "AWS_ACCESS_KEY_ID is set (AKID...)" in found["credentials"].message
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert "boto3 is not installed" in found["credentials"].message


def test_the_bearer_variable_is_noted(service, monkeypatch):
    monkeypatch.setenv(aws.BEARER_VARIABLE, "bedrock-api-key-secret")
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert (found["bearer"].state, found["bearer"].code) == ("note", "bearer_token")
    assert "bedrock-api-key-secret" not in str(found)


@pytest.fixture(scope="module")
def moto():
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.mark.slow
def test_sts_is_asked_whose_keys_they_are(service, moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert found["identity"].state == "ok"
    assert found["identity"].message.startswith("arn:aws:sts::")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (
            (
                403,
                "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>No.</Message></Error></ErrorResponse>",
            ),
            "failed",
        ),
        (None, "note"),
    ],
)
def test_an_sts_that_refuses_or_is_away(service, monkeypatch, answer, state):
    with StandIn(lambda _: answer) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url if answer else "http://127.0.0.1:9")
        found = {finding.name: finding for finding in aws.examine(get_settings())}
    assert found["identity"].state == state


class Clock:
    """A service whose clock is off."""

    def __init__(self, seconds, status=403):
        self.seconds, self.status = seconds, status

    def __enter__(self):
        import http.server
        import threading

        seconds, status = self.seconds, self.status

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response_only(status)
                if seconds is not None:
                    self.send_header("Date", formatdate(time.time() + seconds, usegmt=True))
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.mark.parametrize(
    ("seconds", "status", "state", "words"),
    [
        (0, 403, "ok", "agrees"),
        (0, 200, "ok", "agrees"),
        (100, 403, "note", "behind"),
        (-100, 403, "note", "ahead of"),
        (400, 403, "failed", "behind"),
        (-400, 403, "failed", "ahead of"),
        (None, 403, "skipped", "no time"),
    ],
)
def test_the_clock_is_held_against_the_services(service, settings, seconds, status, state, words):
    with Clock(seconds, status) as url:
        settings.NOVASONIC = {"REGION": "us-east-1", "ENDPOINT_URL": url}
        finding = aws._clock(get_settings())
    assert (finding.state, words in finding.message) == (state, True)
    assert (finding.code == "clock_skew") == (state == "failed")


def test_an_emulator_tells_its_time(service):
    assert aws._clock(get_settings()).state == "ok"


def test_an_endpoint_that_speaks_http2_alone_tells_no_time(service, settings):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(bytes.fromhex("000000040000000000"))  # a SETTINGS frame

        thread = threading.Thread(target=answer)
        thread.start()
        settings.NOVASONIC = {
            "REGION": "us-east-1",
            "ENDPOINT_URL": f"http://127.0.0.1:{listening.getsockname()[1]}",
        }
        assert aws._clock(get_settings()).state == "skipped"
        thread.join()


def test_no_region_and_odd_ones_are_told(service, settings):
    for region in (None, "us-east-1.evil.example"):
        settings.NOVASONIC = {"REGION": region}
        assert aws._region(get_settings()).code == "wrong_region"
        assert aws.skew_seconds(get_settings()) is None
    settings.NOVASONIC = {"REGION": "eu-central-1"}
    assert aws._model(get_settings()).code == "wrong_region"
    settings.NOVASONIC = {"REGION": "eu-central-1", "MODEL": "amazon.nova-9-sonic"}
    assert aws._model(get_settings()).state == "note"


# The server.


def a_server(name, *arguments, **environment):
    return server.Running(7, name, ("x", *arguments), environment)


@pytest.mark.parametrize(
    ("running", "state", "code"),
    [
        (a_server("uvicorn"), "note", "message_limit"),
        (a_server("uvicorn", "--ws-max-size", "1048576"), "note", "deflate"),
        (a_server("uvicorn", "--ws-max-size=1048576", "--ws-per-message-deflate", "false"), "ok", None),
        (a_server("uvicorn", UVICORN_WS_MAX_SIZE="500000", UVICORN_WS_PER_MESSAGE_DEFLATE="0"), "ok", None),
        (a_server("uvicorn", "--ws-max-size", "65536"), "failed", "message_limit"),
        (a_server("uvicorn", "--ws-max-size", "131072", "--ws-per-message-deflate=false"), "ok", None),
        (a_server("daphne"), "ok", None),
        (a_server("daphne", "--websocket-max-message-size", "0"), "note", "message_limit"),
        (a_server("daphne", "--websocket-max-message-size", "many"), "ok", None),
        (a_server("granian"), "note", None),
    ],
)
def test_a_servers_message_limit_is_judged(running, state, code):
    finding = server.judge(running)
    assert (finding.state, finding.code) == (state, code)


def test_a_server_that_runs_is_found_by_its_application(settings, tmp_path):
    # A name of this run's own: other servers run on this machine, and the tests on other Pythons beside these.
    name = f"{tmp_path.name}_{os.getpid()}"
    (tmp_path / f"{name}.py").write_text("async def application(scope, receive, send): ...\n")
    settings.ASGI_APPLICATION = f"{name}.application"
    assert [finding.state for finding in server.examine()] == ["note"], "none runs"
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        f"{name}:application",
        "--port",
        str(port),
        "--lifespan",
        "off",
    ]
    process = subprocess.Popen(
        [*command, "--ws-max-size", "131072", "--log-level", "warning", "--lifespan", "off"],
        env={**os.environ, "UVICORN_WS_PER_MESSAGE_DEFLATE": "false"},
        cwd=tmp_path,
    )
    try:
        wait_for_port(port, process)
        (finding,) = server.examine()
        settings.ASGI_APPLICATION = None
        assert list(server.running()) == []
    finally:
        process.terminate()
        process.wait(20)
    assert finding.state == "ok"
    assert f"uvicorn (process {process.pid}): messages of 131072 bytes at most" in finding.message


def test_where_no_server_is_installed_it_is_told(monkeypatch):
    monkeypatch.setattr(server, "_SERVERS", {"no-such-server": server._SERVERS["granian"]})
    assert [finding.state for finding in server.examine()] == ["failed"]


# The site.


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


def test_a_message_goes_through_the_layer_and_back(settings, redis):
    place = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [redis.url]}}
    settings.CHANNEL_LAYERS = {"default": place}
    assert site.layer().state == "ok"
    place["CONFIG"] = {"hosts": ["redis://127.0.0.1:9/0"]}
    settings.CHANNEL_LAYERS = {"default": place}
    assert site.layer().state == "failed"


@pytest.mark.parametrize(
    ("layers", "state"),
    [
        ({}, "note"),
        ({"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}, "note"),
        ({"default": {"BACKEND": "nowhere.Layer"}}, "failed"),
    ],
)
def test_a_layer_that_joins_nobody_is_told(settings, layers, state):
    settings.CHANNEL_LAYERS = layers
    assert site.layer().state == state


def test_redis_is_asked(settings, redis):
    assert site.redis(get_settings()).state == "skipped"
    settings.NOVASONIC = {"REDIS_URL": redis.url}
    finding = site.redis(get_settings())
    assert finding.state == "ok"
    assert f"127.0.0.1:{redis.port}" in finding.message
    settings.NOVASONIC = {"REDIS_URL": "redis://:a-password@127.0.0.1:9/0"}
    finding = site.redis(get_settings())
    assert finding.state == "failed"
    assert "a-password" not in str(finding)


def test_a_redis_that_throws_things_away_is_told(settings, redis):
    import redis as client

    settings.NOVASONIC = {"REDIS_URL": redis.url}
    with client.Redis.from_url(redis.url) as connection:
        connection.config_set("maxmemory", "64mb")
        connection.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert site.redis(get_settings()).state == "note"
        finally:
            connection.config_set("maxmemory", "0")
            connection.config_set("maxmemory-policy", "noeviction")


@pytest.mark.django_db
def test_migrations_are_looked_for(settings):
    assert site.database(get_settings()).state == "ok"
    settings.NOVASONIC = {"DATABASE": "records"}
    assert site.database(get_settings()).state == "failed"


@pytest.mark.django_db
def test_a_migration_that_was_not_run_is_told(monkeypatch):
    from django.db.migrations.recorder import MigrationRecorder

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda _: {})
    finding = site.database(get_settings())
    assert finding.state == "failed"
    assert "manage.py migrate" in finding.cure


def test_static_files_are_looked_for(settings, monkeypatch):
    assert site.static_files().state == "ok"
    manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
    finding = site.static_files()
    assert (finding.state, "collectstatic" in finding.cure) == ("failed", True)
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert site.static_files().message.startswith("Not found")


# The command.


def doctor(*arguments):
    out, code = io.StringIO(), 0
    try:
        call_command("novasonic_doctor", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


@pytest.mark.django_db
def test_the_command_shows_ticks_and_cures_and_the_policy(service, settings):
    settings.DEBUG = True
    code, said = doctor("--live")
    assert code == 0, said
    assert "✓ credentials Key AKID... from env" in said
    assert "✓ handshake   amazon.nova-2-sonic-v1:0 took 100 ms of silence." in said
    assert "bedrock:InvokeModelWithBidirectionalStream" in said


@pytest.mark.django_db
def test_the_command_fails_where_something_does_and_speaks_json(service, settings):
    settings.DEBUG = True
    service.add_faults(Fault.quota(0))
    code, said = doctor("--live", "--json")
    told = json.loads(said)
    assert (code, told["ok"]) == (1, False)
    (failed,) = [finding for finding in told["findings"] if finding["state"] == "failed"]
    assert (failed["name"], failed["code"]) == ("handshake", "quota")
    assert told["policy"]["Statement"][0]["Action"] == [
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithBidirectionalStream",
    ]


@pytest.mark.django_db
def test_without_live_no_stream_is_opened(service, settings):
    settings.DEBUG = True
    before = len(service.streams)
    code, said = doctor()
    assert code == 0, said
    assert "handshake" not in said
    assert len(service.streams) == before


def test_settings_that_cannot_be_read_are_all_it_tells(settings):
    settings.NOVASONIC = {"NO_SUCH_KEY": 1}
    code, said = doctor("--live")
    assert code == 1
    assert said.startswith("✗ settings    NOVASONIC cannot be read: NOVASONIC has no setting NO_SUCH_KEY")


@pytest.mark.django_db
def test_what_checks_find_is_among_it(service, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "ACCEPT_CLIENT_CREDENTIALS": True}
    code, said = doctor()
    assert "! checks      Pages may send AWS keys over the socket (ACCEPT_CLIENT_CREDENTIALS). (novasonic.W030)" in said
    assert code == 1, "an emulator with DEBUG off"
    assert "✗ checks      Conversations go to an emulator on this machine" in said


@pytest.mark.django_db
def test_what_the_site_silenced_is_not_told_again(service, settings):
    settings.NOVASONIC = {**settings.NOVASONIC, "ACCEPT_CLIENT_CREDENTIALS": True}
    settings.SILENCED_SYSTEM_CHECKS = ["novasonic.W030"]
    assert "novasonic.W030" not in [finding.code for finding in site.checks()]


def test_a_plain_terminal_gets_plain_marks():
    assert novasonic_doctor._mark("ok", "ascii") == "+"
    assert novasonic_doctor._mark("failed", "latin-1") == "x"
    assert novasonic_doctor._mark("ok", None) == "✓"


def test_the_page_of_settings_names_the_command():
    assert "novasonic_doctor" in Path(ROOT / "docs/reference/settings.md").read_text()
