"""Signatures, docstrings and JSON schemas -> what the service is told and what a function gets."""

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import subprocess
import sys
import textwrap
import typing
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pytest

import novasonic
from novasonic import ConfigError, Tool, ToolContext
from novasonic._arguments import ArgumentsError
from novasonic._toolbox import Toolbox


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


@dataclasses.dataclass
class Street:
    name: str
    number: int | None = None


@dataclasses.dataclass
class Address:
    city: str
    street: Street


@dataclasses.dataclass
class Tree:
    children: "list[Tree]"


class Options(typing.TypedDict, total=False):
    loud: bool


class Seat(msgspec.Struct):
    row: int


def wire(tool):
    """What the service is told of the tool's arguments."""
    ((_name, _description, schema),) = Toolbox([tool]).specs
    return json.loads(schema)


def property_of(annotation):
    def ask(value):
        """Ask."""

    ask.__annotations__["value"] = annotation
    return wire(novasonic.tool(ask))["properties"]["value"]


def given(tool, arguments):
    """What the function would get."""
    return tool.arguments.typed(tool.arguments.read(json.dumps(arguments)))


def given_as(annotation, value):
    def ask(value):
        """Ask."""

    ask.__annotations__["value"] = annotation
    return given(novasonic.tool(ask), {"value": value})["value"]


# Words.


def test_the_docstring_describes_the_tool_and_its_parameters():
    @novasonic.tool
    def weather(city: str, days: int = 3) -> str:
        """Tell the weather
        of a place.

        Not for the model.

        Args:
            city: Name of the city,
                in English.
            days (int): How far ahead: at most 7.

        Returns:
            The words.
        """

    assert weather.name == "weather"
    assert weather.description == "Tell the weather of a place."
    assert wire(weather) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city, in English."},
            "days": {"type": "integer", "default": 3, "description": "How far ahead: at most 7."},
        },
        "required": ["city"],
    }


def test_an_annotation_speaks_before_the_docstring():
    @novasonic.tool
    def weather(
        city: Annotated[str, "From the annotation."], days: Annotated[int, msgspec.Meta(ge=1, description="From Meta.")]
    ):
        """Tell the weather.

        Args:
            city: From the docstring.
            days: From the docstring.
        """

    assert wire(weather)["properties"] == {
        "city": {"type": "string", "description": "From the annotation."},
        "days": {"type": "integer", "minimum": 1, "description": "From Meta."},
    }


def test_without_words_the_name_speaks():
    @novasonic.tool
    def next_chapter():
        pass

    assert next_chapter.description == "next chapter"
    assert wire(next_chapter) == {"type": "object", "properties": {}, "required": []}


# Types.


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Unit, {"enum": ["c", "f"]}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (typing.Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 - the old spelling is the point
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (
            tuple[int, str],
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": False,
            },
        ),
        (datetime.date, {"type": "string", "format": "date"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        ("int", {"type": "integer"}),
        (
            Options,
            {
                "type": "object",
                "properties": {"loud": {"type": "boolean"}},
                "required": [],
                "additionalProperties": False,
            },
        ),
        (
            Seat,
            {
                "type": "object",
                "properties": {"row": {"type": "integer"}},
                "required": ["row"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_types_become_schemas(annotation, schema):
    assert property_of(annotation) == schema


def test_references_are_written_out_and_titles_left_out():
    # Nova takes type, properties and required at the top and may silently ignore a tool that has $defs.
    assert property_of(Address) == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "street": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "number": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                },
                "required": ["name"],
                "additionalProperties": False,
            },
        },
        "required": ["city", "street"],
        "additionalProperties": False,
    }


def test_a_default_of_none_says_nothing_of_null():
    @novasonic.tool
    def find(
        title: str | None = None,
        kind: Literal["a", None] = None,  # noqa: PYI061 - both spellings are met
        either: int | str | None = None,
        unit: Unit = Unit.CELSIUS,
    ):
        """Find."""

    assert wire(find)["properties"] == {
        "title": {"type": "string"},
        "kind": {"enum": ["a"]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "unit": {"enum": ["c", "f"], "default": "c"},
    }
    assert wire(find)["required"] == []


@pytest.mark.parametrize(
    ("annotation", "value", "got"),
    [
        (str, "Paris", "Paris"),
        (int, 5, 5),
        (int, 5.0, 5),
        (float, 5, 5.0),
        (Unit, "f", Unit.FAHRENHEIT),
        (Literal["a", "b"], "b", "b"),
        (int | None, None, None),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 2], {1, 2}),
        (datetime.date, "2026-11-24", datetime.date(2026, 11, 24)),
        (datetime.datetime, "2026-11-24T10:00:00", datetime.datetime(2026, 11, 24, 10)),
        (decimal.Decimal, "1.5", decimal.Decimal("1.5")),
        (Address, {"city": "Paris", "street": {"name": "Rue"}}, Address("Paris", Street("Rue"))),
        (Options, {"loud": True}, {"loud": True}),
        (list[Seat], [{"row": 1}], [Seat(1)]),
        (Any, {"a": [1]}, {"a": [1]}),
    ],
)
def test_arguments_become_what_is_annotated(annotation, value, got):
    assert given_as(annotation, value) == got


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, "many", "value must be integer"),
        (int, True, "value must be integer"),
        (int, 5.5, "value must be integer"),
        (str, 5, "value must be string"),
        (str, None, "value must be string"),
        (Unit, "k", "value must be one of"),
        (tuple[int, str], [1, 2], r"value\[1\] must be string"),
        (tuple[int, str], [1, "a", 3], "value must contain less than or equal to 2 items"),
        (datetime.date, "2026-02-31", "value: "),
        (Annotated[int, msgspec.Meta(le=7)], 8, "value must be smaller than or equal to 7"),
        (Address, {"city": "Paris"}, "value must contain"),
        (Address, {"city": "Paris", "street": {"name": "Rue", "approved": True}}, "approved"),
        (Options, {"quiet": True}, "quiet"),
    ],
)
def test_what_does_not_fit_is_refused(annotation, value, words):
    with pytest.raises(ArgumentsError, match=words):
        given_as(annotation, value)


# Arguments.


@novasonic.tool
def book(title: str, pages: int = 10, tags: list[str] | None = None, user: ToolContext | None = None):
    """Book."""


def wrapped(value, layers):
    text = json.dumps(value)
    for _ in range(layers):
        text = json.dumps(text)
    return text


@pytest.mark.parametrize("layers", range(5))
def test_arguments_encoded_over_and_over_are_unwrapped(layers):
    assert book.arguments.read(wrapped({"title": "Momo"}, layers)) == {"title": "Momo"}


def test_five_layers_are_too_many():
    with pytest.raises(ArgumentsError, match="one JSON object"):
        book.arguments.read(wrapped({"title": "Momo"}, 5))


@pytest.mark.parametrize("layers", range(1, 5))
def test_a_value_in_a_string_is_unwrapped_where_no_string_fits(layers):
    # `wrapped` without layers is a string already: one layer for who looks into the object.
    arguments = {"title": "[1]", "pages": wrapped(12, layers - 1), "tags": wrapped(["a"], layers - 1)}
    assert book.arguments.read(json.dumps(arguments)) == {"title": "[1]", "pages": 12, "tags": ["a"]}


def test_a_value_in_five_strings_is_refused():
    with pytest.raises(ArgumentsError, match="pages must be integer"):
        book.arguments.read(json.dumps({"title": "Momo", "pages": wrapped(12, 4)}))


def test_null_for_what_may_be_left_out_is_left_out():
    assert book.arguments.read('{"title": "Momo", "pages": null, "tags": null}') == {"title": "Momo"}


def test_null_that_is_allowed_stays():
    @novasonic.tool
    def find(pages: int | None = 10):
        """Find."""

    assert given(find, {"pages": None}) == {"pages": None}


@pytest.mark.parametrize("text", ["", "  ", "null", "{}", '"{}"', '"null"'])
def test_no_arguments_come_in_many_ways(text):
    @novasonic.tool
    def ping():
        """Ping."""

    assert ping.arguments.read(text) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "one JSON object"),
        ('"hello"', "one JSON object"),
        ("5", "one JSON object"),
        ('{"title": NaN}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"title": "\\ud800"}', "not valid JSON"),
        ("{}", "Missing argument: title"),
        ('{"title": "Momo", "approved": true}', "Unknown argument: approved. The tool takes: pages, tags, title"),
        ('{"title": "Momo", "user": {"session_id": "x"}}', "Unknown argument: user"),
        ('{"title": "Momo", "pages": "many"}', "pages must be integer"),
    ],
)
def test_what_cannot_be_read_is_refused(text, words):
    with pytest.raises(ArgumentsError, match=words):
        book.arguments.read(text)


def test_a_refusal_quotes_no_value():
    for value in ("secret", ["secret"], {"secret": "secret"}):
        with pytest.raises(ArgumentsError) as caught:
            book.arguments.read(json.dumps({"title": "Momo", "pages": value}))
        assert "secret" not in str(caught.value)


# Functions of every kind.


def test_the_context_is_hidden_under_whatever_name_and_spelling():
    @novasonic.tool
    def first(city: str, context: ToolContext):
        """First."""

    @novasonic.tool
    def second(city: str, *, who: "ToolContext | None" = None, again: Annotated[ToolContext, "hidden"]):
        """Second."""

    assert wire(first)["properties"].keys() == wire(second)["properties"].keys() == {"city"}
    assert first.arguments.injected == {"context"}
    assert second.arguments.injected == {"who", "again"}


def test_bound_methods_partials_callables_and_wrappers_are_functions_too():
    class Shop:
        def price(self, article: str) -> int:
            """Tell the price."""

        async def __call__(self, article: "str"):
            """Call the shop."""

    def convert(amount: float, unit: Unit):
        """Convert."""

    @functools.wraps(convert)
    def wrapper(*args, **kwargs):
        return convert(*args, **kwargs)

    partial = functools.partial(convert, unit=Unit.CELSIUS)
    assert novasonic.tool(Shop().price).description == "Tell the price."
    assert wire(novasonic.tool(Shop(), name="shop"))["required"] == ["article"]
    assert wire(novasonic.tool(partial, name="convert"))["required"] == ["amount"]
    assert novasonic.tool(partial, name="convert").description == "Convert."
    assert wire(novasonic.tool(wrapper))["required"] == ["amount", "unit"]


def test_annotations_in_strings_know_what_the_function_closes_over():
    @dataclasses.dataclass
    class Local:
        a: int

    def ask(value: "Local"):
        """Ask."""
        return Local

    assert wire(novasonic.tool(ask))["properties"]["value"]["properties"] == {"a": {"type": "integer"}}


def test_a_return_type_that_is_only_there_for_type_checkers_does_not_matter():
    @novasonic.tool
    def ask(value: str) -> "Nowhere":  # noqa: F821
        """Ask."""

    assert wire(ask)["required"] == ["value"]


class Plain:
    pass


def variadic(*args: int):
    """No."""


def keywords(**kwargs: int):
    """No."""


def positional(value: int, /):
    """No."""


def unannotated(value):
    """No."""


def method(self, value: int):
    """No."""


def unknown(value: "Nowhere"):  # noqa: F821
    """No."""


def plain(value: Plain):
    """No."""


def plains(value: list[Plain]):
    """No."""


def function(value: typing.Callable[[], int]):
    """No."""


def recursive(value: Tree):
    """No."""


def either(value: datetime.date | str):
    """No."""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (variadic, r"'\*args' is variadic positional"),
        (keywords, r"'\*\*kwargs' is variadic keyword"),
        (positional, "'value' is positional-only"),
        (unannotated, "'value' has no type. Annotate it"),
        (method, "bound method"),
        (unknown, "outside of `if TYPE_CHECKING:`"),
        (plain, "Plain has no JSON schema"),
        (plains, "Plain.* has no JSON schema"),
        (function, "has no JSON schema"),
        (recursive, "refers to itself"),
        (either, "has no JSON schema"),
        (len, "positional-only"),
    ],
)
def test_functions_that_cannot_be_tools_say_why(function, words):
    with pytest.raises(ConfigError, match=words) as caught:
        novasonic.tool(function)
    assert caught.value.code == "invalid_tool"
    assert caught.value.cure


# Raw schemas.

RAW = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "lookup",
    "description": "x",
    "type": "object",
    "properties": {
        "city": {"$ref": "#/$defs/city", "description": "Which."},
        "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"$ref": "#/$defs/city"}], "items": False},
        "on": {"type": "string", "format": "date"},
    },
    "required": ["city"],
    "$defs": {"city": {"type": "string", "minLength": 2}},
}


def raw(schema=RAW, function=None):
    return Tool.from_schema("lookup", "Look up.", schema, function)


def test_a_raw_schema_is_cut_to_what_nova_takes():
    assert wire(raw()) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 2, "description": "Which."},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string", "minLength": 2}],
                "items": False,
            },
            "on": {"type": "string", "format": "date"},
        },
        "required": ["city"],
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"city": "Paris", "pair": [1, "Rome"], "on": "2026-11-24"}, None),
        ({"city": "Paris", "pair": '[1, "Rome"]'}, None),
        ({"city": "Paris", "on": None}, None),
        ({"city": "P"}, "city must be longer"),
        ({}, "Missing argument: city"),
        ({"city": "Paris", "approved": True}, "Unknown argument: approved"),
        ({"city": "Paris", "pair": ["a", "Rome"]}, r"pair\[0\] must be integer"),
        ({"city": "Paris", "pair": [1, "Rome", 2]}, "pair must contain only specified items"),
        ({"city": "Paris", "on": "tomorrow"}, "on must be date"),
    ],
)
def test_arguments_are_held_against_a_raw_schema(arguments, words):
    if words is None:
        assert given(raw(), arguments)["city"] == "Paris"
        return
    with pytest.raises(ArgumentsError, match=words):
        given(raw(), arguments)


def test_a_raw_schema_may_be_open():
    def take(**arguments):
        pass

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    tool = raw(schema, take)
    assert given(tool, {"a": 1, "b": "x"}) == {"a": 1, "b": "x"}
    with pytest.raises(ArgumentsError, match="b must be string"):
        given(tool, {"b": 5})


def fan_out(depth):
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(depth)}
    return {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d0"}},
        "$defs": definitions | {f"d{depth}": {"type": "string"}},
    }


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{}", "is a str"),
        ({"type": "array"}, "not one of an object"),
        ({"type": "object", "properties": []}, "not one of an object"),
        ({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "not valid"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "not valid"),
        ({"type": "object", "properties": {"a": {"default": object()}}}, "not JSON"),
        ({"type": "object", "required": "a"}, "not valid"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "which is not in it"),
        ({"type": "object", "properties": {"a": {"$ref": "https://127.0.0.1:1/x.json"}}}, "another document"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "refers to itself"),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, "anyOf at the top"),
        ({"type": "object", "properties": {"a": {"unevaluatedProperties": False}}}, "not checked"),
        (fan_out(12), "more than 5000 parts"),
    ],
)
def test_schemas_that_cannot_be_used_say_why(schema, words):
    with pytest.raises(ConfigError, match=words) as caught:
        raw(schema)
    assert caught.value.code == "invalid_tool"


def only_city(city, pair=None):
    pass


def demanding(city, pair, on):
    pass


def colliding(city: ToolContext, pair=None, on=None):
    pass


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (only_city, "does not take on"),
        (demanding, "needs on, pair, which the schema does not require"),
        (colliding, "city is a property of the schema and the function's context"),
        (variadic, "variadic positional"),
    ],
)
def test_a_function_must_fit_its_raw_schema(function, words):
    with pytest.raises(ConfigError, match=words):
        raw(function=function)


def test_what_a_schema_leaves_open_the_function_must_take():
    def whole(city, pair=None, on=None):
        pass

    def open_handed(city, **rest):
        pass

    open_ended = {**RAW, "additionalProperties": True}
    with pytest.raises(ConfigError, match="allows further properties, the function does not"):
        raw(open_ended, whole)
    assert raw(open_ended, open_handed).name == "lookup"
    assert raw(RAW, whole).name == "lookup"


def test_a_function_whose_signature_nobody_can_read_is_no_tool():
    # Written in C, without a signature that Python could read.
    with pytest.raises(ConfigError, match="its signature cannot be read"):
        raw(function=min)


def test_a_default_that_json_cannot_say_stays_the_functions_own():
    @novasonic.tool
    def wait(seconds: float = float("inf"), unit: Unit = Unit.CELSIUS, mark: Any = object()):  # noqa: B008 - on purpose
        """Wait."""

    properties = wire(wait)["properties"]
    assert properties["unit"]["default"] == "c"
    assert "default" not in properties["mark"]


# Pydantic.


def test_pydantic_models_and_fields_are_understood():
    pydantic = pytest.importorskip("pydantic")

    class Guest(pydantic.BaseModel):
        """A guest."""

        model_config = pydantic.ConfigDict(strict=True)
        name: str = pydantic.Field(description="Full name.", pattern=r"^\w+$")
        born: datetime.date | None = None

        @pydantic.field_validator("name")
        @classmethod
        def not_a_ghost(cls, name):
            if name == "Ghost":
                raise ValueError("no ghosts")
            return name

    class Party(pydantic.BaseModel):
        guests: list[Guest]

    @novasonic.tool
    def reserve(party: Party, day: Annotated[int, pydantic.Field(ge=1, le=31, description="Of the month.")] = 1):
        """Reserve.

        Args:
            party: Who comes.
        """

    guest = {
        "type": "object",
        "description": "A guest.",
        "properties": {
            "name": {"type": "string", "description": "Full name.", "pattern": r"^\w+$"},
            "born": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert wire(reserve)["properties"] == {
        "party": {
            "type": "object",
            "description": "Who comes.",
            "properties": {"guests": {"type": "array", "items": guest}},
            "required": ["guests"],
            "additionalProperties": False,
        },
        "day": {"type": "integer", "minimum": 1, "maximum": 31, "default": 1, "description": "Of the month."},
    }
    got = given(reserve, {"party": {"guests": [{"name": "Momo", "born": "1973-01-01"}]}, "day": 2})
    assert got == {"party": Party(guests=[Guest(name="Momo", born=datetime.date(1973, 1, 1))]), "day": 2}
    assert given(reserve, {"party": json.dumps({"guests": []})}) == {"party": Party(guests=[])}
    for arguments, words in (
        ({"party": {"guests": [{"name": "Ghost"}]}}, r"party\.guests\.0\.name: .*no ghosts"),
        ({"party": {"guests": [{"name": "!"}]}}, r"party\.guests\.0\.name: "),
        ({"party": {"guests": [], "approved": True}}, "approved"),
        ({"party": {"guests": [{"name": "Momo", "admin": 1}]}}, "admin"),
        ({"party": {"guests": []}, "day": 32}, "day must be smaller"),
    ):
        with pytest.raises(ArgumentsError, match=words) as caught:
            given(reserve, arguments)
        assert "input_value" not in str(caught.value)


def test_pydantic_inside_dataclasses_and_unions_is_found():
    pydantic = pytest.importorskip("pydantic")

    class Cat(pydantic.BaseModel):
        kind: Literal["cat"]

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"]

    home = dataclasses.make_dataclass("home", [("pets", list[Cat])])
    assert given_as(home, {"pets": [{"kind": "cat"}]}) == home([Cat(kind="cat")])
    pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    kinds = [
        {
            "type": "object",
            "properties": {"kind": {"type": "string", "const": kind}},
            "required": ["kind"],
            "additionalProperties": False,
        }
        for kind in ("cat", "dog")
    ]
    assert property_of(pet) == {"oneOf": kinds}
    assert given_as(pet, {"kind": "dog"}) == Dog(kind="dog")
    assert given_as(Cat | str, "none") == "none"


def test_a_pydantic_field_as_default_is_refused():
    pydantic = pytest.importorskip("pydantic")

    def ask(value: int = pydantic.Field(3)):
        """Ask."""

    with pytest.raises(ConfigError, match="Put it into the annotation"):
        novasonic.tool(ask)


WITHOUT_PYDANTIC = """
    import sys

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "pydantic":
                raise ImportError("no pydantic here")

    sys.meta_path.insert(0, Refuse())
    import novasonic

    heavy = {"msgspec", "fastjsonschema", "docstring_parser"}
    assert not heavy & sys.modules.keys(), "imported before there is a tool"

    import asyncio, dataclasses, json
    from typing import Annotated
    from novasonic._toolbox import Toolbox

    @dataclasses.dataclass
    class Address:
        city: str

    @novasonic.tool
    def where(address: Annotated[Address, "Where."], context: novasonic.ToolContext) -> Address:
        '''Say it again.'''
        return address

    async def main():
        raw = novasonic.Tool.from_schema("raw", "Raw.", {"type": "object"}, lambda: 1)
        box = Toolbox([where, raw])
        good = await box.run("1", "where", '{"address": {"city": "Paris"}}', 1)
        assert json.loads(good.result) == {"result": {"city": "Paris"}}, good.result
        assert (await box.run("2", "raw", "", 1)).result == '{"result":1}'
        assert not (await box.run("3", "where", '{"address": 5}', 1)).ok

    asyncio.run(main())
    assert "pydantic" not in sys.modules
    print("fine")
"""


def test_without_pydantic_everything_else_works_and_nothing_is_imported_early():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WITHOUT_PYDANTIC)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "fine"), run.stderr
