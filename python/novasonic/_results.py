"""What a tool returned, as the JSON object the service wants; anything else it answers with a parsing error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any

__all__ = ["ResultError", "encoded", "encoded_error"]


class ResultError(Exception):
    """A result that cannot be sent. The text holds nothing of it but names of types and sizes.

    Attributes:
        for_model: The same, said to the model.
    """

    def __init__(self, message: str, *, for_model: str) -> None:
        super().__init__(message)
        self.for_model = for_model


def encoded(value: object, most_bytes: int) -> str:
    """Return `value` as the text of a JSON object: a mapping as it is, anything else as ``{"result": value}``.

    Raises:
        ResultError: It has no JSON form, or a longer one than `most_bytes`.
    """
    import msgspec

    try:
        data = msgspec.json.encode(value if isinstance(value, Mapping) else {"result": value}, enc_hook=_plain)
    except Exception as error:
        # Whatever properties, serialisers and the like of the value itself raise, too. Their words stay out of it.
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        reason = str(error) if isinstance(error, _NoJsonError) else type(error).__name__
        raise ResultError(
            f"its result, a {kind}, has no JSON form: {reason}", for_model="The tool gave a result that cannot be read."
        ) from error
    if len(data) > most_bytes:
        raise ResultError(
            f"its result has {len(data)} bytes, more than ToolLimits.result_bytes ({most_bytes})",
            for_model=f"The result of the tool is too long: {len(data)} bytes, at most {most_bytes}. Ask for less.",
        )
    return data.decode()


def encoded_error(words: str, most_bytes: int) -> str:
    """Return ``{"error": words}``, cut so that it fits in `most_bytes`."""
    import msgspec

    # No character takes more than six bytes in JSON; fourteen are the frame's.
    fitting = words[: max(0, most_bytes - 14) // 6].encode("utf-8", "replace").decode()
    return msgspec.json.encode({"error": fitting}).decode()


class _NoJsonError(TypeError):
    pass


def _plain(value: Any) -> Any:
    """Return something simpler for what msgspec does not know by itself."""
    if hasattr(type(value), "model_dump"):  # Pydantic
        return value.model_dump(mode="json")
    # Subclasses: Django's SafeString, NumPy's float64.
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, AbstractSet, ValuesView)):
        return list(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise _NoJsonError(f"{type(value).__module__}.{type(value).__qualname__} is not supported")
