"""The reference of errors names every class, and every code that can be met."""

import re
from pathlib import Path

import pytest

import novasonic
from novasonic import Timeouts, exceptions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text()
NAMED = set(re.findall(r"`([^`]+)`", PAGE))
# Codes are given in the second place, behind what the class or kind is.
RUST_CODE = re.compile(r'(?:Error::new\(\s*(?:\w+::)*ErrorKind::\w+|\binvalid|\blost)\(?,?\s*"([a-z0-9_]+)"')
RUST_TEXT = re.compile(r'\btext\(\s*"([^"]+)",\s*"?(\w+)"?')
RUST_ORDER = re.compile(r'\border\("([^"]+)"\)')


def sources(folder, pattern):
    return [path for path in (ROOT / folder).rglob(pattern) if "tests" not in path.parts and path.name != "tests.rs"]


def is_named(code):
    return code in NAMED or code.startswith("invalid_")


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_class_is_named(name):
    assert name in NAMED


def test_every_code_of_the_facade_is_named():
    codes = {
        code
        for path in sources("python/novasonic", "*.py")
        if "doctor" not in path.parts  # whose findings have a page of their own
        for code in re.findall(r'\bcode="([a-z0-9_]+)"', path.read_text())
    }
    assert len(codes) > 20
    assert {code for code in codes if not is_named(code)} == set()


def test_every_code_of_the_core_is_named():
    codes = {
        code
        for path in sources("src", "*.rs")
        if "emulator" not in path.relative_to(ROOT).as_posix()
        for code in RUST_CODE.findall(path.read_text())
    }
    assert len(codes) > 20
    assert {code for code in codes if not is_named(code)} == set()


def test_every_text_of_the_service_is_named():
    source = (ROOT / "src/transport/texts.rs").read_text()
    known = RUST_TEXT.findall(source)
    assert len(known) > 10
    for part, code in known:
        assert part in NAMED
        assert code.lower() in {name.lower() for name in NAMED}
    assert [part for part in RUST_ORDER.findall(source) if part not in NAMED] == []


def test_the_bounds_are_those_of_timeouts():
    shown = {name: float(seconds) for name, seconds in re.findall(r"^\| `(\w+)` \| ([\d.]+) s \|", PAGE, re.MULTILINE)}
    defaults = Timeouts()
    assert shown == {name: getattr(defaults, name) for name in Timeouts.__slots__}


def test_what_the_page_says_of_every_error_is_so():
    for name in ("code", "message", "request_id", "retryable", "cure"):
        assert f"`{name}`" in PAGE
        assert hasattr(novasonic.NovaSonicError("message", code="code"), name)
