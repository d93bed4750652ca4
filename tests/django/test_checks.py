"""Every system check: what it finds, and that a sound site passes."""

import re
from pathlib import Path

import pytest
from django.core.checks import Tags, run_checks

from novasonic.contrib.django import checks
from novasonic.contrib.django.checks import base
from novasonic.contrib.django.conf import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"
ROLE = "arn:aws:iam::111122223333:role/page"
SOUND = {"REGION": "us-east-1"}
REDIS_LAYER = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}


@pytest.fixture(autouse=True)
def sound(settings, monkeypatch):
    settings.NOVASONIC = SOUND
    settings.ASGI_APPLICATION = "testsite.asgi.application"
    settings.CHANNEL_LAYERS = REDIS_LAYER
    settings.SESSION_COOKIE_SECURE = True
    for name in (*base.ENDPOINT_VARIABLES, "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    return settings


@pytest.fixture
def ids(settings):
    """The ids of what is found with these changes."""

    def ids(*, deploy=False, **changes):
        settings.NOVASONIC = {**SOUND, **changes}
        found = run_checks(include_deployment_checks=deploy)
        ours = [message for message in found if message.id.startswith("novasonic.")]
        assert all(message.hint for message in ours), "each has its cure"
        assert all(not str(message).isspace() for message in ours)
        return [message.id.removeprefix("novasonic.") for message in ours]

    return ids


def test_a_sound_site_passes(ids):
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"NO_SUCH_KEY": 1}, ["E001"]),
        ({"OVERFLOW": "panic"}, ["E001"]),
        ({"REGIONS": "us-east-1"}, ["E001"]),
        ({"REGIONS": 7}, ["E001"]),
        ({"REGION": 7}, ["E001"]),
        ({"WAIT_SECONDS": "60"}, ["E001"]),
        ({"WAIT_SECONDS": float("nan")}, ["E001"]),
        ({"METRICS": 1}, ["E001"]),
        ({"RESUME_SECONDS": 0}, ["E001"]),
        ({"RETENTION_DAYS": -1, "RESUME_SECONDS": -1}, ["E001", "E001"]),
        ({"LIMITS": {"STREAMS": "20"}}, ["E001"]),
        ({"LIMITS": {"STREAMS": True}}, ["E001"]),
        ({"LIMITS": {"USD_PER_DAY": 5, "MINUTES_PER_DAY": None}}, []),
        ({"CREDENTIALS_ENDPOINT": {}}, ["E001"]),
        ({"PERMISSION": "nowhere.Permission"}, ["E002"]),
        ({"PERMISSION": "math.pi"}, ["E002"]),
        ({"PERMISSION": "novasonic.contrib.django.permissions.IsStaff"}, []),
        ({"REDACT": "nowhere.redact", "TRANSCRIPTS": "redacted"}, ["E003"]),
        ({"REDACT": "string.capwords", "TRANSCRIPTS": "redacted"}, []),
        ({"REDACT": "string.capwords"}, ["W004"]),
        ({"REDACT": "string.capwords", "TRANSCRIPTS": "off"}, []),
        ({"TRANSCRIPTS": "redacted"}, ["E003"]),
        ({"REGION": "eu-central-1"}, ["E004"]),
        ({"MODEL": "amazon.nova-sonic-v1:0"}, ["E004"]),
        ({"REGION": "us-east-1.evil.example"}, ["E005"]),
        ({"OVERFLOW": "region", "REGIONS": ["eu-north-1"]}, []),
        ({"OVERFLOW": "region", "REGIONS": ["eu-central-1", "x"]}, ["E004", "E005"]),
        ({"OVERFLOW": "region"}, ["E006"]),
        ({"REGIONS": ["eu-north-1"]}, ["W002"]),
        ({"MODEL": "amazon.nova-9-sonic"}, ["W001"]),
        ({"DATABASE": "records"}, ["E008"]),
        ({"RECORD_AUDIO": True, "RECORDINGS_STORAGE": "voices"}, ["E008"]),
        ({"CREDENTIALS_ENDPOINT": {"ROLE_ARN": "page"}}, ["E011"]),
        ({"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}}, []),
        ({"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE, "REPORTS": "yes"}}, ["E001"]),
        ({"ALLOWED_ORIGINS": ["*"]}, ["E012"]),
        ({"ALLOWED_ORIGINS": ["app.example.org", "https://app.example.org"]}, ["E012"]),
        ({"ENDPOINT_URL": "http://bedrock.example.org"}, ["E013"]),
        ({"ENDPOINT_URL": "http://bedrock.example.org", "ALLOW_INSECURE": True}, []),
        ({"ENDPOINT_URL": "http://127.0.0.1:8000", "REGION": "eu-central-1"}, []),
        ({"ACCEPT_CLIENT_CREDENTIALS": True}, ["W030"]),
    ],
)
def test_what_is_wrong_with_the_settings_is_told(ids, changes, expected):
    assert sorted(ids(**changes)) == sorted(expected)


def test_a_setting_that_is_no_dict_is_told_once(ids, settings):
    settings.NOVASONIC = ["REGION"]
    assert [message.id for message in run_checks() if message.id.startswith("novasonic")] == ["novasonic.E001"]


def test_several_workers_want_redis(ids, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    assert ids() == ["W003"]
    assert ids(REDIS_URL="redis://127.0.0.1/0") == []
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    assert ids() == []


@pytest.mark.parametrize(
    ("package", "changes", "expected"),
    [
        ("redis", {"REDIS_URL": "redis://127.0.0.1/0"}, "E007"),
        ("prometheus_client", {"METRICS": True}, "E009"),
        ("boto3", {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}}, "E010"),
    ],
)
def test_a_package_that_is_missing_is_named(ids, monkeypatch, package, changes, expected):
    assert ids(**changes) == []
    monkeypatch.setattr(checks.settings, "is_installed", lambda name: name != package)
    assert ids(**changes) == [expected]


# The site around it.


def test_a_site_without_asgi_is_told(ids, settings):
    settings.ASGI_APPLICATION = None
    assert ids() == ["W010"]


def test_a_layer_in_memory_is_told_where_debug_is_off(ids, settings):
    for layers in ({}, {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
        settings.CHANNEL_LAYERS = layers
        settings.DEBUG = False
        assert ids() == ["W011"]
        settings.DEBUG = True
        assert ids() == []


def test_static_files_that_nobody_finds_are_told(ids, settings, monkeypatch):
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert "E021" in ids()
    monkeypatch.setattr(checks.site.apps, "is_installed", lambda _: False)
    assert "W012" in ids()


def test_daphne_comes_before_the_static_files(ids, monkeypatch):
    from types import SimpleNamespace

    def installed(*names):
        configs = [SimpleNamespace(name=name) for name in names]
        monkeypatch.setattr(checks.site.apps, "get_app_configs", lambda: configs)

    found = []
    for names in (("django.contrib.staticfiles", "daphne"), ("daphne", "django.contrib.staticfiles"), ("daphne",)):
        installed(*names)
        found.append([message.id for message in checks.site.check_server()])
    assert found == [["novasonic.E020"], [], []]


# Security.


def test_recordings_that_everybody_could_fetch_are_told(ids, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.MEDIA_URL = "/media/"
    file_system = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        "default": {"BACKEND": file_system},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        "inside": {"BACKEND": file_system, "OPTIONS": {"location": str(tmp_path / "media" / "voices")}},
        "beside": {"BACKEND": file_system, "OPTIONS": {"location": str(tmp_path / "voices")}},
        "memory": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    }
    told = {
        name: ids(RECORD_AUDIO=True, RECORDINGS_STORAGE=name) for name in settings.STORAGES if name != "staticfiles"
    }
    assert told == {"default": ["W031"], "inside": ["W031"], "beside": [], "memory": []}
    assert ids() == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://127.0.0.1:8443", ["E040"]),
        ("https://localhost:8443", ["E040"]),
        ("https://bedrock.example.org", ["E040"]),
        ("https://amazonaws.com.evil.example", ["E040"]),
        ("https://notamazonaws.com", ["E040"]),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", []),
        ("https://vpce-0a1b-x.bedrock-runtime.us-east-1.vpce.amazonaws.com", []),
        ("https://bedrock-runtime.us-east-1.api.aws", []),
    ],
)
def test_an_endpoint_that_is_not_of_aws_is_an_error_where_strangers_come(ids, settings, monkeypatch, url, expected):
    settings.DEBUG = False
    assert ids(ENDPOINT_URL=url) == []
    assert ids(ENDPOINT_URL=url, deploy=True) == expected
    for name in base.ENDPOINT_VARIABLES:
        with monkeypatch.context() as patch:
            patch.setenv(name, url)
            assert ids(deploy=True) == expected
    settings.DEBUG = True
    assert "E040" not in ids(ENDPOINT_URL=url, deploy=True)


@pytest.mark.parametrize(
    ("site", "changes", "expected"),
    [
        ({}, {"ENDPOINT_URL": "http://bedrock.amazonaws.com", "ALLOW_INSECURE": True}, ["E041"]),
        ({"SESSION_COOKIE_SECURE": False}, {}, ["W042"]),
        ({"ALLOWED_HOSTS": ["*"]}, {}, ["E043"]),
        ({}, {"ALLOWED_ORIGINS": ["http://app.example.org"]}, ["W044"]),
        ({}, {"ALLOWED_ORIGINS": ["https://app.example.org", "http://localhost:5173"]}, []),
        ({}, {"ALLOWED_ORIGINS": ["https://a.example"], "CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}}, ["W045"]),
        (
            {"CSRF_TRUSTED_ORIGINS": ["https://a.example"]},
            {"ALLOWED_ORIGINS": ["https://a.example"], "CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}},
            [],
        ),
        ({}, {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}, "LIMITS": {"USD_PER_DAY": 1.0}}, ["W047"]),
        ({}, {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE}, "LIMITS": {"SITE_MINUTES_PER_DAY": 60.0}}, ["W047"]),
        ({}, {"CREDENTIALS_ENDPOINT": {"ROLE_ARN": ROLE, "REPORTS": True}}, []),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, {}, ["W046"]),
        ({"USE_X_FORWARDED_HOST": True}, {"TRUSTED_PROXIES": 1}, []),
    ],
)
def test_what_must_not_be_so_where_strangers_come_is_told(ids, settings, site, changes, expected):
    for name, value in site.items():
        setattr(settings, name, value)
    assert ids(**changes) == []
    assert ids(deploy=True, **changes) == expected


def test_the_security_ones_have_djangos_own_tag(settings):
    settings.NOVASONIC = {**SOUND, "ACCEPT_CLIENT_CREDENTIALS": True}
    assert "novasonic.W030" in {message.id for message in run_checks(tags=[Tags.security])}


def test_the_page_names_every_check():
    source = "".join(path.read_text() for path in Path(checks.__file__).parent.glob("*.py"))
    made = {
        f"novasonic.{kind[0].upper()}{int(number):03}"
        for kind, number in re.findall(r"\b(error|warning)\((\d+),", source)
    }
    assert len(made) > 25
    assert set(re.findall(r"^\| `(novasonic\.[EW]\d{3})`", PAGE.read_text(), re.MULTILINE)) == made


def test_every_default_is_of_its_own_type():
    assert list(checks.shape.odd_values(Settings(), "NOVASONIC")) == []
