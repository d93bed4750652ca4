"""From an annotated type to its JSON schema, and from plain JSON values to that type.

msgspec knows Python's types. Where an annotation mentions Pydantic, Pydantic itself does that work; it is never
imported here, since whoever wrote the annotation has done so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin

import msgspec

from novasonic._arguments import ArgumentsError
from novasonic._jsonschema import SchemaError, closed, inlined, without_titles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Converter: TypeAlias = Callable[[Any], Any]

__all__ = ["checkable", "type_schema"]


def type_schema(name: str, hint: Any) -> tuple[dict[str, Any], Converter]:
    """Return the schema of one parameter, and what turns its plain value into the annotated type."""
    try:
        schema, convert = _by_pydantic(name, hint) if _mentions_pydantic(hint) else _by_msgspec(name, hint)
    except SchemaError:
        raise
    except Exception as error:
        # Pydantic, msgspec and types with schemas of their own each have exceptions of their own.
        reason = str(error).partition("\n")[0] if _mentions_pydantic(hint) else str(error).splitlines()[-1]
        raise SchemaError(
            f"{inspect.formatannotation(hint)} has no JSON schema ({reason})",
            "Use plain types, enums, dataclasses or TypedDicts, msgspec or Pydantic models.",
        ) from error
    return closed(without_titles(inlined(schema))), convert


def _by_msgspec(name: str, hint: Any) -> tuple[dict[str, Any], Converter]:
    schema = msgspec.json.schema(hint)

    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, hint)
        except msgspec.ValidationError:
            # JSON has one kind of number: 5.0 is an integer to the schema that was checked before.
            try:
                return msgspec.convert(value, hint, strict=False)
            except msgspec.ValidationError as error:
                raise ArgumentsError(f"Invalid argument: {name}: {error}.") from None

    return schema, convert


def _by_pydantic(name: str, hint: Any) -> tuple[dict[str, Any], Converter]:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        raise SchemaError("constraints of annotated_types are Pydantic's", "Import pydantic, or use msgspec.Meta.")
    adapter = pydantic.TypeAdapter(hint)

    def convert(value: Any) -> Any:
        try:
            # As JSON, which strict models too let dates and the like be strings in.
            return adapter.validate_json(msgspec.json.encode(value))
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(step) for step in (name, *first["loc"]))
            raise ArgumentsError(f"Invalid argument: {where}: {first['msg']}.") from None

    return adapter.json_schema(), convert


def _mentions_pydantic(hint: Any) -> bool:
    return any(
        hasattr(part, "__get_pydantic_core_schema__")
        or hasattr(part, "__pydantic_core_schema__")
        or type(part).__module__.partition(".")[0] in ("pydantic", "annotated_types")
        for part in _parts_of(hint, set())
    )


def _parts_of(hint: Any, seen: set[int]) -> Iterator[Any]:
    """Yield `hint` and all it is made of: arguments, metadata, types of fields."""
    if id(hint) in seen:
        return
    seen.add(id(hint))
    yield hint
    inside: list[Any] = [*get_args(hint), *getattr(hint, "__metadata__", ())]
    origin = get_origin(hint) or hint
    if isinstance(origin, type) and (dataclasses.is_dataclass(origin) or hasattr(origin, "__total__")):
        with contextlib.suppress(NameError, TypeError):  # msgspec says it better
            inside += typing.get_type_hints(origin, include_extras=True).values()
    for part in inside:
        yield from _parts_of(part, seen)


def checkable(schema: dict[str, Any], hint: Any) -> dict[str, Any]:
    """Return what of the schema of `hint` to hold arguments against before they are converted."""
    # Pydantic's patterns are of another dialect, and it holds them itself.
    checked: dict[str, Any] = _without_patterns(schema) if _mentions_pydantic(hint) else schema
    return checked


def _without_patterns(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_patterns(v) for k, v in schema.items() if not (k == "pattern" and isinstance(v, str))}
    return [_without_patterns(part) for part in schema] if isinstance(schema, list) else schema
