"""A tool's arguments on their way from the model's JSON to the function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Arguments", "ArgumentsError", "decoded"]

# The service now and then encodes arguments twice (LiveKit peels one layer); more has been seen from chained models.
_LAYERS = 4


class ArgumentsError(Exception):
    """Arguments that do not fit; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a tool takes, and how it gets it.

    Attributes:
        names: Of all parameters; None where the schema leaves them open.
        required: Of those that must be given.
        check: Raises ``fastjsonschema.JsonSchemaValueException`` for what does not fit the schema.
        converters: Turn the plain value of a parameter into what the function is annotated with.
        injected: Parameters of the function that get the `ToolContext`.
    """

    names: frozenset[str] | None
    required: frozenset[str]
    check: Callable[[Any], object]
    converters: Mapping[str, Callable[[Any], Any]]
    injected: frozenset[str]

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments in `text`, checked, as plain JSON values.

        Values that are JSON in a string where no string fits are unwrapped; null for an argument that may be left out
        and does not take null counts as left out.

        Raises:
            ArgumentsError: They do not fit.
        """
        from fastjsonschema import JsonSchemaValueException

        arguments = decoded(text)
        if self.names is not None and (extra := arguments.keys() - self.names):
            taken = ", ".join(sorted(self.names)) or "no arguments"
            raise ArgumentsError(f"Unknown argument: {', '.join(sorted(extra))}. The tool takes: {taken}.")
        mended: set[str] = set()
        while True:
            try:
                self.check(arguments)
            except JsonSchemaValueException as error:
                name = _direct_argument(error.path)
                if name is not None and name not in mended and self._mend(arguments, name):
                    mended.add(name)
                    continue
                if missing := self.required - arguments.keys():
                    raise ArgumentsError(f"Missing argument: {', '.join(sorted(missing))}.") from None
                # Says where and which rule, never the value.
                raise ArgumentsError(f"Invalid argument: {error.message.removeprefix('data.')}.") from None
            return arguments

    def typed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return `arguments` as the function wants them.

        Raises:
            ArgumentsError: A value has the right JSON type but is none: the 31st of February.
        """
        return {
            name: self.converters[name](value) if name in self.converters else value
            for name, value in arguments.items()
        }

    def _mend(self, arguments: dict[str, Any], name: str) -> bool:
        value = arguments.get(name)
        if value is None and name in arguments and name not in self.required:
            del arguments[name]
            return True
        if isinstance(value, str):
            try:
                arguments[name] = _peeled(value)
            except ValueError:
                return False
            return True
        return False


def decoded(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`, also where it is wrapped in up to four layers of JSON strings.

    Raises:
        ArgumentsError: There is none.
    """
    if not text.strip():
        return {}
    try:
        value = _peeled(text, 1 + _LAYERS)
    except ValueError:
        raise ArgumentsError("The arguments are not valid JSON.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArgumentsError("The arguments must be one JSON object.")
    return value


def _peeled(value: Any, layers: int = _LAYERS) -> Any:
    """Return what is inside a string that holds JSON, perhaps a string that holds JSON again.

    Raises:
        ValueError: The outermost string holds none, or is nested too deeply to be read.
    """
    import msgspec

    for layer in range(layers):
        if not isinstance(value, str):
            break
        try:
            # Strict where json.loads is not: no NaN, no lone surrogates that could not be sent on.
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            if layer == 0:
                raise ValueError("no JSON") from None
            break
    return value


def _direct_argument(path: list[Any]) -> str | None:
    """Return the argument that an error concerns as a whole: `path` is ``["data", name]``."""
    return path[1] if len(path) == 2 else None
