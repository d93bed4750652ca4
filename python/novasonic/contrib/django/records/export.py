"""Conversations as JSON, for those who ask for what is kept of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from django.core.serializers.json import DjangoJSONEncoder

from .rows import COUNTS
from .tables import rows_of, tables

if TYPE_CHECKING:
    from django.db.models import QuerySet

__all__ = ["as_dict", "write_json"]

_CONVERSATION = (
    "id",
    "owner",
    "consumer",
    "model",
    "region",
    "voice",
    "started_at",
    "ended_at",
    "reason",
    "error_code",
    *COUNTS,
    "usd",
    "transcripts",
    "consented",
    "recordings",
    "client_reported",
)
_TURN = (
    "number",
    "user_text",
    "assistant_text",
    "withheld",
    "interrupted",
    "started_at",
    "seconds",
    "response_seconds",
    "client_reported",
)
_CALL = ("turn", "name", "arguments", "result", "ok", "seconds", "started_at")
_USAGE = ("turn", *COUNTS, "usd", "at", "client_reported")


class _Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


def as_dict(conversation: Any) -> dict[str, Any]:
    """Return all that is kept of a conversation; sound by the names of its files."""
    of = tables()
    return {
        **{name: getattr(conversation, name) for name in _CONVERSATION},
        "user": conversation.user_id,
        "turns": list(_of(of.turn, conversation).order_by("number").values(*_TURN)),
        "tool_calls": list(_of(of.tool_call, conversation).order_by("started_at").values(*_CALL)),
        "usage": list(_of(of.usage, conversation).order_by("turn").values(*_USAGE)),
    }


def write_json(conversations: QuerySet[Any], file: _Writable) -> int:
    """Write conversations as one JSON array, one at a time; returns how many."""
    count = 0
    file.write("[")
    for conversation in conversations.order_by("started_at").iterator(chunk_size=50):
        file.write(",\n" if count else "\n")
        file.write(json.dumps(as_dict(conversation), cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))
        count += 1
    file.write("\n]\n")
    return count


def _of(table: Any, conversation: Any) -> QuerySet[Any]:
    return rows_of(table).filter(conversation=conversation.pk)
