"""Whether values are of the types that the settings declare: a string for a number would fail at the first call."""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterator

# What may be zero: nothing else makes sense without being more.
_MAY_BE_ZERO = {"trusted_proxies", "restarts_per_hour", "reserve_usd", "wait_seconds", "drain_seconds"}
_NUMBERS = (int, float)


def odd_values(made: Any, where: str) -> Iterator[str]:
    """Yield a sentence for each field of `made` whose value is not of its type, or is a number below what it may be."""
    hints = get_type_hints(type(made))
    for field in fields(made):
        value = getattr(made, field.name)
        named = f"{where}[{field.name.upper()!r}]"
        if is_dataclass(value):
            yield from odd_values(value, named)
        elif not _is_of(value, hints[field.name]):
            yield f"{named} must be {_words(hints[field.name])}, not {type(value).__name__}."
        elif _is_number(value) and (value < 0 or (value == 0 and field.name not in _MAY_BE_ZERO)):
            yield f"{named} must be more than {'-1' if value < 0 and field.name in _MAY_BE_ZERO else '0'}."


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _is_of(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_of(value, each) for each in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(each, get_args(hint)[0]) for each in value)
    if hint is float:
        # NaN is neither more nor less than any bound.
        return _is_number(value) and not math.isnan(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(each) for each in get_args(hint))
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if origin is tuple:
        return "a list of strings"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}
    return names.get(hint, "a dict")
