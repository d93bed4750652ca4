"""What the writer is handed: rows of a conversation, each written whole, so that writing one twice changes nothing."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .bases import OWNER_LIMIT, TEXT_LIMIT

if TYPE_CHECKING:
    import asyncio
    import uuid
    from collections.abc import Callable
    from decimal import Decimal

__all__ = ["COUNTS", "Kind", "Ledger", "Lost", "Row", "Spent", "bounded_json", "clean", "owner_key"]

Kind: TypeAlias = Literal["conversation", "turn", "tool_call", "usage"]
Lost: TypeAlias = Literal["taken_over", "deleted"]
"""Why a conversation's rows are refused: another worker has it now, or nobody has."""

COUNTS = ("speech_in", "text_in", "speech_out", "text_out")
_ROW_CHARS = 500
_LAYERS = 50


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money."""

    speech_in: int
    text_in: int
    speech_out: int
    text_out: int
    usd: Decimal


@dataclass(slots=True, kw_only=True)
class Ledger:
    """One conversation on one worker, as its writer knows it.

    `opening` is kept here and not in a row, so that a row that was dropped while the database was down does not leave
    those after it without their conversation.
    """

    id: uuid.UUID
    generation: int
    opening: dict[str, Any] = field(repr=False)
    loop: asyncio.AbstractEventLoop
    on_lost: Callable[[Lost], None]
    """Called on `loop`, once."""
    recordings: tuple[str, ...] = ()
    """Names that are added to those the row has."""
    created: bool = False
    before: Spent | None = None
    """What earlier generations spent, once it was read."""
    lost: Lost | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The state of one row; a later one of the same ledger, kind and key replaces it.

    Args:
        ledger: Whose it is.
        kind: Its table.
        key: What tells it from others of its kind; None: the conversation itself.
        values: Its columns, without the conversation.
    """

    ledger: Ledger
    kind: Kind
    key: Any
    values: dict[str, Any] = field(repr=False)

    @property
    def chars(self) -> int:
        """About how much memory it takes."""
        kept = (value for value in self.values.values() if isinstance(value, str | dict | list))
        return _ROW_CHARS + sum(len(str(value)) for value in kept)


def owner_key(owner: str | None) -> str:
    """Return what stands for `owner` in the tables: itself, or a hash of one that is too long to be kept."""
    if owner is None or len(owner) <= OWNER_LIMIT:
        return owner or ""
    return "sha256:" + hashlib.sha256(owner.encode()).hexdigest()


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Make a text one that every database takes: no NUL, no half of a surrogate pair, not too long."""
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def bounded_json(value: Any) -> Any:
    """Give `value` as every database takes it; what is too long as the beginning of its JSON, a string."""
    value = _cleaned(value)
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= TEXT_LIMIT else clean(text)


def _cleaned(value: Any, layers: int = _LAYERS) -> Any:
    match value:
        case dict() | list() | tuple() if layers == 0:
            return "…"
        case str():
            return clean(value)
        case dict():
            return {clean(str(key)): _cleaned(item, layers - 1) for key, item in value.items()}
        case list() | tuple():
            return [_cleaned(item, layers - 1) for item in value]
        case float() if not math.isfinite(value):  # Python's JSON has them, a database's has not
            return str(value)
        case bool() | int() | float() | None:
            return value
        case _:
            return clean(str(value))
