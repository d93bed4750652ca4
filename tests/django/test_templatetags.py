"""What templates of one's own learn from ``{% load novasonic %}``."""

import html
import json
import re

import pytest
from django.template import Context, Template
from django.test import override_settings
from django.utils.translation import override
from websupport import ROOT

from novasonic.contrib.django.templatetags.novasonic import MODULES
from novasonic.emulator.voice import phrases

STATIC = ROOT / "python" / "novasonic" / "contrib" / "django" / "static" / "novasonic"


def render(template, **context):
    return Template("{% load novasonic %}" + template).render(Context(context))


def test_one_tag_is_an_assistant():
    page = render("{% novasonic_talk url='x\"y/' voice='tiffany' push_to_talk=True captions='off' figures=False %}")
    assert page.endswith(
        '<nova-sonic-talk url="/x&quot;y/" voice="tiffany" push-to-talk="" captions="off"></nova-sonic-talk>'
    )
    assert (
        '<script type="module" id="novasonic-client" src="/static/novasonic/element.js" data-url="/novasonic/ws/"'
        ' data-capture-worklet="/static/novasonic/capture-worklet.js"'
        ' data-playback-worklet="/static/novasonic/playback-worklet.js"'
        ' data-sample="/static/novasonic/sample.wav"></script>'
    ) in page


def test_what_is_written_into_an_attribute_stays_in_it():
    # What stands in quotes in a template, and what is translated there, counts as safe HTML: not so in an attribute.
    page = render(
        """{% load i18n %}{% translate 'Say "moon" & <b>more</b>' as hint %}"""
        """{% novasonic_talk url='wss://x/"a' aria_label=hint title='"onclick="alert(1)' %}""",
    )
    assert page.endswith(
        '<nova-sonic-talk url="wss://x/&quot;a" aria-label="Say &quot;moon&quot; &amp; &lt;b&gt;more&lt;/b&gt;"'
        ' title="&quot;onclick=&quot;alert(1)"></nova-sonic-talk>'
    )
    page = render("""{% novasonic_client url='wss://x/"a' nonce='"n' %}""")
    assert 'data-url="wss://x/&quot;a"' in page
    assert page.count('nonce="&quot;n"') == len(MODULES) + 1


def test_a_page_may_tell_of_another_server():
    page = render("{% novasonic_client url='wss://voice.example/ws/' %}{% novasonic_talk %}")
    assert 'data-url="wss://voice.example/ws/"' in page
    assert page.endswith("<nova-sonic-talk></nova-sonic-talk>")


def test_several_assistants_share_one_script():
    assert render("{% novasonic_client %}{% novasonic_talk %}{% novasonic_talk %}").count("<script") == 1


def test_the_words_of_the_pages_language_go_along():
    with override("de"):
        page = render("{% novasonic_client %}")
    words = json.loads(html.unescape(re.search(r'data-words="([^"]*)"', page)[1]))
    assert words["talk"] == "Sprechen"
    assert "data-words" not in render("{% novasonic_client %}")


@pytest.mark.parametrize(
    ("tag", "context"),
    [("{% novasonic_client %}", {"csp_nonce": "n1"}), ("{% novasonic_client nonce=n %}", {"n": "n1"})],
)
def test_a_policy_that_goes_by_nonces_finds_one(tag, context):
    page = render(tag, **context)
    assert len(re.findall(r'<(?:link|script)[^>]* nonce="n1"', page)) == len(MODULES) + 1


def test_what_is_preloaded_is_what_the_script_imports():
    needed, new = set(), {"element"}
    while new:
        needed |= new
        sources = "".join((STATIC / f"{name}.js").read_text() for name in new)
        new = {*re.findall(r'^import .* from "\./(\w+)\.js"', sources, re.MULTILINE)}
        new -= needed
    assert needed == {"element", *MODULES}
    assert len(MODULES) == len(set(MODULES))


@pytest.mark.parametrize(
    ("storage", "preloads"),
    [
        ("django.contrib.staticfiles.storage.StaticFilesStorage", True),
        ("django.contrib.staticfiles.storage.ManifestStaticFilesStorage", False),
        ("project.storage.ModuleStorage", True),
    ],
)
def test_nothing_is_loaded_twice_under_hashed_names(storage, preloads, tmp_path, monkeypatch, settings):
    from django.core.management import call_command

    monkeypatch.syspath_prepend(ROOT / "examples" / "deploy")
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    settings.DEBUG = False
    call_command("collectstatic", interactive=False, verbosity=0)
    page = render("{% novasonic_client %}")
    asked = re.findall(r'<link rel="modulepreload" href="/static/([^"]+)"', page)
    assert bool(asked) is preloads
    script = re.search(r'src="/static/([^"]+)"', page)[1]
    imported = re.findall(r'^import .* from "(\./[^"]+)"', (tmp_path / script).read_text(), re.MULTILINE)
    if preloads:
        assert {f"novasonic/{name[2:]}" for name in imported} <= set(asked)


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
