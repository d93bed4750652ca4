"""What the page says, and in which languages."""

import gettext
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils.translation import override
from websupport import ROOT

from novasonic.contrib.django.words import WORDS, translated_words

APP = ROOT / "python" / "novasonic" / "contrib" / "django"
STATIC = APP / "static" / "novasonic"
CATALOGUES = sorted((APP / "locale").glob("*/LC_MESSAGES/django.po"))


def compiler():
    spec = importlib.util.spec_from_file_location("compile_messages", ROOT / "scripts" / "compile_messages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exported(name, constant):
    """What a module of the page exports, as Node reads it."""
    node = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    program = f'import {{ {constant} as it }} from "{STATIC / name}"; console.log(JSON.stringify(it));'
    run = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_translators_are_shown_the_words_that_the_scripts_hold():
    client, element = exported("words.js", "WORDS"), exported("labels.js", "ELEMENT_WORDS")
    assert set(client) & set(element) == set()
    assert {**client, **element} == WORDS


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda po: po.parts[-3])
def test_every_word_of_the_page_is_translated_and_the_compiled_catalogue_is_the_written_one(po):
    tool = compiler()
    messages = tool.read_po(po.read_text(encoding="utf-8"))
    page = {*WORDS.values()}
    for template in ("talk.html", "demo_sign_in.html"):
        page |= {*re.findall(r'{% translate "([^"]+)" %}', (APP / "templates" / "novasonic" / template).read_text())}
    assert page - set(messages) == set()
    assert set(messages) - page == {""}
    for english, said in messages.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", said)), english
    compiled = po.with_suffix(".mo").read_bytes()
    assert compiled == tool.write_mo(messages), "run python scripts/compile_messages.py"
    with po.with_suffix(".mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    assert all(catalogue.gettext(english) == said for english, said in messages.items() if english)


def test_a_page_is_sent_only_what_its_language_says_differently():
    with override("de"):
        assert translated_words()["talk"] == "Sprechen"
    with override("en"):
        assert translated_words() == {}
