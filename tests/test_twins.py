"""Definitions that exist in Rust and in Python say the same."""

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import novasonic
from novasonic import _core, _settings, events, exceptions
from novasonic._rows import EVENT_CLASSES

ROOT = Path(__file__).parents[1]
PYTHON_ONLY_ERRORS = {"NovaSonicError", "TurnTimeout", "ConcurrencyError", "ForkError"}


def fields_of(cls):
    own = {field.name for field in dataclasses.fields(events.Event)}
    # What needs approval only Python knows.
    return [field.name for field in dataclasses.fields(cls) if field.name not in own | {"needs_approval"}]


def test_events_have_the_fields_that_rust_sends():
    assert [(cls.__name__, fields_of(cls)) for cls in EVENT_CLASSES] == [
        (name, list(fields)) for name, fields in _core.EVENT_FIELDS
    ]


def test_every_event_class_is_sent():
    classes = {name for name in events.__all__ if issubclass(getattr(events, name), events.Event)}
    assert classes - {"Event"} == {cls.__name__ for cls in EVENT_CLASSES}


def test_token_counts_are_in_the_order_of_rust():
    source = (ROOT / "src/bindings/event.rs").read_text()
    sent = re.findall(r"counts\.(\w+)", source.partition("fn counts(")[2])
    assert sent == [field.name for field in dataclasses.fields(events.TokenCounts)]


def test_timings_are_in_the_order_of_rust():
    source = (ROOT / "src/bindings/event.rs").read_text()
    sent = re.search(r"let Timings \{ (.+) \} = timings;", source)[1].split(", ")
    assert sent == [field.name for field in dataclasses.fields(events.Timings)]


def test_timeouts_are_in_the_order_of_rust():
    source = (ROOT / "src/bindings/client.rs").read_text()
    taken = re.search(r"fn timeouts_of\(\((.+?)\): TimeoutsRow\)", source)[1].split(", ")
    assert taken == [field.name for field in dataclasses.fields(novasonic.Timeouts)]
    bounds = novasonic.Timeouts(*map(float, range(1, len(taken) + 1)))
    assert _settings.timeouts_row(bounds) == dataclasses.astuple(bounds)


def test_errors_are_the_kinds_of_rust():
    assert set(exceptions.__all__) - PYTHON_ONLY_ERRORS == set(_core.ERROR_CLASSES)
    kinds = (ROOT / "src/error.rs").read_text().partition("pub enum ErrorKind {")[2].partition("}")[0]
    assert len(re.findall(r"^    \w+,", kinds, re.MULTILINE)) == len(_core.ERROR_CLASSES)


def test_the_drawn_tree_of_errors_is_the_real_one():
    drawn = re.findall(r"^(?:    )*(?:\|   )?\+-- (\w+)", exceptions.__doc__, re.MULTILINE)
    assert sorted([*drawn, "NovaSonicError"]) == sorted(exceptions.__all__)
    for name in exceptions.__all__:
        assert issubclass(getattr(exceptions, name), exceptions.NovaSonicError)


def test_stats_are_the_counters_of_rust():
    source = (ROOT / "src/session/mod.rs").read_text() + "".join(
        path.read_text() for path in (ROOT / "src/session").glob("stats.rs")
    )
    counters = source.partition("pub struct Stats {")[2].partition("\n}")[0]
    assert re.findall(r"pub (\w+):", counters) == [field.name for field in dataclasses.fields(novasonic.Stats)]


def test_stream_stats_are_the_counters_of_rust():
    counters = (ROOT / "src/session/raw.rs").read_text().partition("pub struct RawStats {")[2].partition("\n}")[0]
    fields = [field.name for field in dataclasses.fields(novasonic.StreamStats)]
    assert re.findall(r"pub (\w+):", counters) == fields


def test_every_public_name_exists_and_is_documented():
    for name in novasonic.__all__:
        value = getattr(novasonic, name)
        if inspect.isclass(value):
            assert value.__doc__, name
            for method, member in vars(value).items():
                if not method.startswith("_") and callable(member):
                    assert member.__doc__, f"{name}.{method}"


def test_continuation_is_in_the_order_of_rust_and_defaults_to_the_same():
    source = (ROOT / "src/conversation/continuation.rs").read_text()
    fields = source.partition("pub struct Continuation {")[2].partition("\n}")[0]
    assert re.findall(r"pub (\w+):", fields) == [field.name for field in dataclasses.fields(novasonic.Continuation)]
    sent = re.search(r"let \((.+)\) = row;", (ROOT / "src/bindings/client.rs").read_text())[1].split(", ")
    assert sent == [field.name for field in dataclasses.fields(novasonic.Continuation)]


def test_the_version_is_the_crates():
    manifest = (ROOT / "Cargo.toml").read_text()
    assert novasonic.__version__ == re.search(r'^version = "(.+)"', manifest, re.MULTILINE)[1]


def test_importing_starts_no_thread_and_reads_no_environment():
    tree = ast.parse((ROOT / "python/novasonic/__init__.py").read_text())
    assert all(isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)) for node in tree.body)
    assert importlib.import_module("novasonic") is novasonic
