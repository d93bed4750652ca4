"""JSON Schema as the service takes it and as arguments are held against it.

Nova takes a top level of ``type``, ``properties`` and ``required`` only, and may silently ignore a tool that has more
there (Amazon Nova user guide, "Troubleshooting tool calls"; pydantic-ai issue 1623): references are written out,
everything else is kept for our own check.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SchemaError", "check_for", "closed", "inlined", "on_the_wire", "without_titles"]

# Keywords that hold schemas by name, in a list, or one.
_NAMED = frozenset({"properties", "patternProperties"})
_LISTED = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {"items", "additionalItems", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else"}
)
_DEFINITIONS = frozenset({"$defs", "definitions"})
# fastjsonschema passes over these without a word; a rule that is declared but not held is worse than none.
_NOT_CHECKED = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "dependentRequired",
        "dependentSchemas",
        "maxContains",
        "minContains",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
# References written out grow exponentially in the worst case, and schemas may come from elsewhere (MCP servers).
_MOST_NODES = 5_000


class SchemaError(Exception):
    """A schema, or a function to make one of, that cannot be used; `cure` says what to do about it."""

    def __init__(self, message: str, cure: str | None = None) -> None:
        super().__init__(message)
        self.cure = cure


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with every reference written out.

    Raises:
        SchemaError: A reference leads outside the schema, nowhere or back to itself, a rule is of a kind that is not
            checked, or all of it is too large.
    """
    nodes = 0

    def write_out(node: Any, trail: frozenset[str]) -> Any:
        nonlocal nodes
        nodes += 1
        if nodes > _MOST_NODES:
            raise SchemaError(f"its schema has more than {_MOST_NODES} parts with all references written out")
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if reference is not None:
            if reference in trail:
                raise SchemaError(
                    f"its schema refers to itself ({reference}), which the service cannot take",
                    "Flatten it, or bound its depth.",
                )
            target = _referred(schema, reference)
            if not isinstance(target, dict):
                return target
            beside = {keyword: value for keyword, value in node.items() if keyword != "$ref"}
            return write_out({**target, **beside}, trail | {reference})
        if unchecked := _NOT_CHECKED & node.keys():
            raise SchemaError(f"its schema uses {', '.join(sorted(unchecked))}, which is not checked here")
        kept = {keyword: value for keyword, value in node.items() if keyword not in _DEFINITIONS}
        return _with_parts(kept, lambda part: write_out(part, trail))

    result: dict[str, Any] = write_out(schema, frozenset({"#"}))
    return result


def without_titles(schema: Any) -> Any:
    """Return `schema` without the titles that generators add: they say the name again and cost tokens."""
    if not isinstance(schema, dict):
        return schema
    return _with_parts({k: v for k, v in schema.items() if k not in ("title", "discriminator")}, without_titles)


def closed(schema: Any) -> Any:
    """Return `schema` with objects that list their properties taking no others, unless it says otherwise."""
    if not isinstance(schema, dict):
        return schema
    result = _with_parts(schema, closed)
    if "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def on_the_wire(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the service is told of `schema`."""
    return {
        "type": "object",
        "properties": schema.get("properties", {}),
        "required": list(schema.get("required", ())),
    }


def check_for(schema: dict[str, Any], *, formats: bool) -> Callable[[Any], object]:
    """Return a function that raises ``fastjsonschema.JsonSchemaValueException`` for what does not fit `schema`.

    Args:
        schema: Without references; so that nothing is ever fetched.
        formats: Whether ``format`` is held against strings.

    Raises:
        SchemaError: It is no JSON Schema.
    """
    import fastjsonschema

    try:
        check: Callable[[Any], object] = fastjsonschema.compile(
            _in_draft_7(schema), use_default=False, use_formats=formats
        )
    except (fastjsonschema.JsonSchemaDefinitionException, re.error, TypeError, ValueError, AttributeError) as error:
        raise SchemaError(f"its schema is not valid: {error}") from error
    return check


def _in_draft_7(schema: Any) -> Any:
    """Return `schema` in the dialect that fastjsonschema knows: tuples had other keywords before 2020-12."""
    if not isinstance(schema, dict):
        return schema
    result = _with_parts({k: v for k, v in schema.items() if k not in ("$schema", "$id")}, _in_draft_7)
    if "prefixItems" in result:
        rest = result.pop("items", True)
        result["items"] = result.pop("prefixItems")
        result["additionalItems"] = rest
    return result


def _with_parts(schema: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return `schema` with each schema directly inside it changed."""
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            result[keyword] = {name: change(part) for name, part in value.items()}
        elif isinstance(value, list) and (keyword in _LISTED or keyword in _SINGLE):
            result[keyword] = [change(part) for part in value]
        elif keyword in _SINGLE:
            result[keyword] = change(value)
        else:
            result[keyword] = value
    return result


def _referred(schema: dict[str, Any], reference: object) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        # Nothing is fetched: an address in a schema of somebody else's would have us call it.
        raise SchemaError("its schema refers to another document", "Write the definition into the schema itself.")
    node: Any = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            raise SchemaError(f"its schema refers to {reference}, which is not in it")
        node = node[name]
    return node
