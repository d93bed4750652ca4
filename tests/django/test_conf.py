"""Settings, and the client made from them."""

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

import novasonic
from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.lifecycle import get_client


def test_settings_are_read_on_use():
    assert get_settings().model == novasonic.NOVA_2_SONIC
    with override_settings(NOVASONIC={"MODEL": novasonic.NOVA_2_5_SONIC, "REGION": "eu-north-1"}):
        assert get_settings().model == novasonic.NOVA_2_5_SONIC
        assert get_settings().region == "eu-north-1"
    assert get_settings().region is None


@pytest.mark.parametrize(
    ("value", "word"), [({"REGOIN": "x"}, "REGOIN"), (["REGION"], "list"), ({"region": "x"}, "REGION")]
)
def test_a_setting_that_does_not_exist_is_named(value, word):
    with override_settings(NOVASONIC=value), pytest.raises(ImproperlyConfigured, match=word):
        get_settings()


def test_one_client_for_each_configuration():
    with override_settings(NOVASONIC={"REGION": "us-east-1"}):
        first = get_client()
        assert get_client() is first
        # The model is chosen by conversation and needs no client of its own.
        with override_settings(NOVASONIC={"REGION": "us-east-1", "MODEL": "another"}):
            assert get_client() is first
    with override_settings(NOVASONIC={"REGION": "us-west-2"}):
        assert get_client() is not first


def test_a_forked_worker_makes_its_own_client():
    script = """
import os, django
from django.conf import settings
settings.configure(NOVASONIC={"REGION": "us-east-1"})
from novasonic.contrib.django.lifecycle import get_client
parent = get_client()
pid = os.fork()
if pid == 0:
    os._exit(0 if get_client() is not parent else 3)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("url", "emulated"),
    [
        (None, False),
        ("http://127.0.0.1:8080", True),
        ("https://localhost:9443", True),
        ("https://[::1]:9443", True),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", False),
    ],
)
def test_the_banner_is_for_endpoints_on_this_machine(url, emulated, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", raising=False)
    with override_settings(NOVASONIC={"ENDPOINT_URL": url}):
        assert get_settings().emulated is emulated
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url)
        assert get_settings().emulated is emulated
