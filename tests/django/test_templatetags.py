"""What templates of one's own learn from ``{% load novasonic %}``."""

import pytest
from django.template import Context, Template
from django.test import override_settings

from novasonic.emulator.voice import phrases


@pytest.mark.parametrize(
    ("endpoint", "said"), [("https://localhost:9443", "the emulator"), (None, "Amazon Nova Sonic")]
)
def test_a_template_can_say_who_answers(endpoint, said, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", raising=False)
    template = Template(
        "{% load novasonic %}{% novasonic_emulated as emulated %}"
        "{% if emulated %}the emulator{% else %}Amazon Nova Sonic{% endif %}"
    )
    with override_settings(NOVASONIC={"ENDPOINT_URL": endpoint}):
        assert template.render(Context()) == said


def test_a_template_can_list_what_the_emulators_voice_understands():
    template = Template("{% load novasonic %}{% novasonic_phrases as phrases %}{{ phrases|join:'|' }}")
    assert template.render(Context()).split("|") == list(phrases())
    assert "tell me a story" in phrases()
