"""From a function's signature and docstring, or from a JSON schema, to a tool's description."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import docstring_parser
import msgspec

from novasonic._annotations import checkable, type_schema
from novasonic._arguments import Arguments
from novasonic._jsonschema import SchemaError, check_for, inlined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from novasonic._annotations import Converter

__all__ = ["Description", "described_by_schema", "described_by_signature"]

_BY_KEYWORD = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})
_NULL = {"type": "null"}


@dataclass(frozen=True, slots=True)
class Description:
    """What a tool says of itself, and how it reads arguments."""

    text: str | None
    schema: dict[str, Any]
    arguments: Arguments


def described_by_signature(function: Callable[..., Any], context_type: type) -> Description:
    """Describe `function` by its signature and docstring.

    Args:
        function: Any callable with a signature.
        context_type: Parameters annotated so are injected and no part of the schema.

    Raises:
        SchemaError: A parameter cannot be had from a JSON object, or has no type.
    """
    parameters = _parameters(function)
    hints = _hints(function, parameters)
    injected = frozenset(name for name, hint in hints.items() if _is_context(hint, context_type))
    documented = _Documentation.of(function)
    properties: dict[str, dict[str, Any]] = {}
    checked: dict[str, dict[str, Any]] = {}
    converters: dict[str, Converter] = {}
    for parameter in parameters:
        name = parameter.name
        if name in injected:
            continue
        if name not in hints:
            raise _unannotated(parameter, is_first=parameter is parameters[0])
        try:
            schema, converters[name] = type_schema(name, hints[name])
        except SchemaError as error:
            raise SchemaError(f"parameter {name!r}: {error}", error.cure) from error.__cause__
        if words := _words(hints[name]) or documented.parameters.get(name):
            schema = {**schema, "description": words}
        properties[name] = _with_default(schema, parameter)
        checked[name] = checkable(properties[name], hints[name])
    required = [p.name for p in parameters if p.name in properties and p.default is p.empty]
    outline: dict[str, Any] = {"type": "object", "required": required, "additionalProperties": False}
    arguments = Arguments(
        names=frozenset(properties),
        required=frozenset(required),
        check=check_for({**outline, "properties": checked}, formats=False),
        converters=converters,
        injected=injected,
    )
    return Description(documented.text, {**outline, "properties": properties}, arguments)


def described_by_schema(schema: dict[str, Any], function: Callable[..., Any] | None, context_type: type) -> Description:
    """Describe a tool by the JSON schema of its arguments, which `function` takes by keyword.

    Raises:
        SchemaError: The schema is not one of an object, or the function does not take what it allows.
    """
    if not isinstance(schema, dict):
        raise SchemaError(f"its schema is a {type(schema).__name__}", "Give a dict.")
    try:
        schema = inlined(msgspec.json.decode(msgspec.json.encode(schema)))
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise SchemaError("its schema is not JSON") from error
    if schema.get("type", "object") != "object" or not isinstance(schema.get("properties", {}), dict):
        raise SchemaError("its schema is not one of an object", 'Begin it with {"type": "object", "properties": ...}.')
    if beyond := {"allOf", "anyOf", "oneOf", "not", "if", "patternProperties"} & schema.keys():
        raise SchemaError(
            f"its schema has {', '.join(sorted(beyond))} at the top, which the service does not take",
            "Put it into a property, or make two tools.",
        )
    outline: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    schema = outline | schema
    check = check_for(schema, formats=True)
    open_ended = schema["additionalProperties"] is not False
    injected = frozenset[str]()
    if function is not None:
        injected = _fit(function, schema, context_type, open_ended=open_ended)
    arguments = Arguments(
        names=None if open_ended else frozenset(schema["properties"]),
        required=frozenset(schema["required"]),
        check=check,
        converters={},
        injected=injected,
    )
    return Description(None, schema, arguments)


def _fit(
    function: Callable[..., Any], schema: dict[str, Any], context_type: type, *, open_ended: bool
) -> frozenset[str]:
    """Hold `function` against `schema`; return which of its parameters get the context."""
    parameters = {parameter.name: parameter for parameter in _parameters(function, by_schema=True)}
    hints = _hints(function, parameters.values(), needed=context_type.__name__)
    injected = frozenset(name for name, hint in hints.items() if _is_context(hint, context_type))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    by_name = {name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD} - injected
    if clash := injected & schema["properties"].keys():
        raise SchemaError(f"{', '.join(sorted(clash))} is a property of the schema and the function's context")
    if not takes_any and (left := schema["properties"].keys() - by_name):
        raise SchemaError(
            f"the function does not take {', '.join(sorted(left))}", "Add the parameter, or take **arguments."
        )
    if not takes_any and open_ended:
        raise SchemaError("its schema allows further properties, the function does not", "Let it take **arguments.")
    needs = {name for name in by_name if parameters[name].default is inspect.Parameter.empty}
    if unsure := needs - set(schema["required"]):
        raise SchemaError(
            f"the function needs {', '.join(sorted(unsure))}, which the schema does not require",
            "List it under required, or give it a default.",
        )
    return injected


# Signatures.


def _parameters(function: Callable[..., Any], *, by_schema: bool = False) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise SchemaError("its signature cannot be read", "Wrap it in a function of your own.") from error
    for parameter in parameters:
        if parameter.kind not in _BY_KEYWORD and not (by_schema and parameter.kind is parameter.VAR_KEYWORD):
            raise SchemaError(
                f"parameter {str(parameter).split(':')[0]!r} is {parameter.kind.description}",
                "Arguments come by name: give it ordinary parameters.",
            )
    return parameters


def _unannotated(parameter: inspect.Parameter, *, is_first: bool) -> SchemaError:
    if is_first and parameter.name in ("self", "cls"):
        return SchemaError(
            f"it is a method, and nobody would give it {parameter.name!r}",
            "Make the tool of the bound method: novasonic.tool(thing.method).",
        )
    return SchemaError(f"parameter {parameter.name!r} has no type", "Annotate it, for instance with str.")


def _plain_function(function: Any) -> Any:
    """Return the function whose module and closure know the names in the annotations of `function`."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if inspect.isroutine(function) else type(function).__call__


def _hints(
    function: Callable[..., Any], parameters: Iterable[inspect.Parameter], *, needed: str = ""
) -> dict[str, Any]:
    """Return the annotations of `parameters` by name, with strings evaluated; only where they mention `needed`."""
    plain = inspect.unwrap(_plain_function(function))
    plain = getattr(plain, "__func__", plain)
    known = getattr(plain, "__globals__", {})
    local: dict[str, Any] = {}
    closed_over = plain.__code__.co_freevars if inspect.isfunction(plain) else ()
    for name, cell in zip(closed_over, getattr(plain, "__closure__", None) or (), strict=True):
        try:
            local[name] = cell.cell_contents
        except ValueError:  # assigned after the function was made
            continue
    hints: dict[str, Any] = {}
    for parameter in parameters:
        annotation = parameter.annotation
        if annotation is parameter.empty or needed not in str(annotation):
            continue
        # One at a time, and never the return type, which needs no evaluation here.
        holder = types.SimpleNamespace(__annotations__={parameter.name: annotation})
        try:
            hints |= typing.get_type_hints(holder, known, local, include_extras=True)
        except (NameError, SyntaxError, TypeError, AttributeError) as error:
            raise SchemaError(
                f"parameter {parameter.name!r}: the annotation {annotation!r} cannot be evaluated ({error})",
                "Define its names at module level, and import them outside of `if TYPE_CHECKING:`.",
            ) from error
    return hints


def _is_context(hint: Any, context_type: type) -> bool:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return context_type in get_args(hint)
    return hint is context_type


@dataclass(frozen=True, slots=True)
class _Documentation:
    text: str | None
    parameters: dict[str, str]

    @staticmethod
    def of(function: Callable[..., Any]) -> _Documentation:
        documented = function.func if isinstance(function, functools.partial) else function
        parsed = docstring_parser.parse(inspect.getdoc(documented) or "")
        text = parsed.short_description
        if text and parsed.long_description and not parsed.blank_after_short_description:
            # The first paragraph, where its first sentence runs over several lines.
            text += " " + parsed.long_description.partition("\n\n")[0]
        words = {p.arg_name: " ".join(p.description.split()) for p in parsed.params if p.description}
        return _Documentation(" ".join(text.split()) if text else None, words)


def _words(hint: Any) -> str | None:
    """Return the description that an annotation carries: a string, msgspec's Meta, Pydantic's Field."""
    for part in getattr(hint, "__metadata__", ()):
        words = part if isinstance(part, str) else getattr(part, "description", None)
        if isinstance(words, str) and words.strip():
            return words.strip()
    return None


def _with_default(schema: dict[str, Any], parameter: inspect.Parameter) -> dict[str, Any]:
    """Return `schema` with the default of `parameter`. Left out says what null would: models do better without."""
    default = parameter.default
    if default is parameter.empty:
        return schema
    if type(default).__module__.partition(".")[0] == "pydantic":
        raise SchemaError(
            f"parameter {parameter.name!r} has a pydantic Field as its default",
            "Put it into the annotation: Annotated[int, Field(...)] = 3.",
        )
    if default is None:
        return _without_null(schema)
    try:
        return {**schema, "default": msgspec.json.decode(msgspec.json.encode(default))}
    except (TypeError, ValueError):
        return schema  # a default that JSON cannot say is the function's own affair


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in schema.get("anyOf", ()) if option != _NULL]
    result = {keyword: value for keyword, value in schema.items() if keyword not in ("anyOf", "default")}
    if len(options) == 1:
        result = {**options[0], **result}
    elif options:
        result["anyOf"] = options
    if "enum" in result:
        result["enum"] = [value for value in result["enum"] if value is not None]
    return result
