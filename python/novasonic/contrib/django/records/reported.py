"""Conversations that a page holds with keys of its own: all that is known of them is what it tells.

A row is made when the keys are given. Reports only ever add to it: who was given no keys has none to report to, and
what was deleted stays deleted, whatever a page still sends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from novasonic import LIST_PRICES, NOVA_2_SONIC, Prices
from novasonic.contrib.django import grant
from novasonic.contrib.django.conf import get_settings
from novasonic.events import TokenCounts

from .bases import TEXT_LIMIT
from .redact import Redactor, Withheld
from .rows import COUNTS, owner_key
from .tables import database, rows_of, tables
from .threads import in_thread

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

__all__ = ["ACCEPTED_SECONDS", "Outcome", "Report", "Spent", "Told", "find", "open_row", "prepare", "store"]

LATE_SECONDS: Final = 600
ACCEPTED_SECONDS: Final = grant.LAST_STREAM_SECONDS + LATE_SECONDS
"""So long after its keys were given a page may report: until the last stream is over, and a while for bad networks."""

MAX_REPORTS: Final = 2_000
MAX_TURNS: Final = 500
MAX_AT_ONCE: Final = 20
_MAX_MS: Final = ACCEPTED_SECONDS * 1_000

Outcome: TypeAlias = Literal["stored", "repeated", "unknown", "over"]
_Ms: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
# More than the service's whole context; such a sum still fits each database's column.
_Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One turn as it stands now; a later report may tell it again, more of it or otherwise."""

    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_TURNS)]
    started_ms: _Ms
    """Since the keys were given, by the page's clock."""
    user_text: _Text = ""
    assistant_text: _Text = ""
    interrupted: bool = False
    ms: _Ms | None = None
    """How long it was."""
    response_ms: _Ms | None = None
    """From the last word to the first sound."""


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What one turn took; 0: outside of any."""

    turn: Annotated[int, msgspec.Meta(ge=0, le=MAX_TURNS)]
    speech_in: _Tokens
    text_in: _Tokens
    speech_out: _Tokens
    text_out: _Tokens


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a page tells. Of two with the same number the first one counts."""

    grant: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_REPORTS)]
    voice: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,40}\Z")] | None = None
    turns: Annotated[list[Told], msgspec.Meta(max_length=MAX_AT_ONCE)] = []
    usage: Annotated[list[Spent], msgspec.Meta(max_length=MAX_AT_ONCE)] = []
    ended: Literal["closed", "gone", "limit", "error"] | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A report with what may be kept of its texts."""

    report: Report
    turns: list[dict[str, Any]] = field(repr=False)


async def open_row(grant_id: uuid.UUID, user: Any, *, model: str, region: str) -> None:
    """Make the row that reports of `grant_id` are added to.

    Raises:
        django.db.Error: There is none.
    """
    await in_thread(
        lambda: rows_of(tables().conversation).create(
            id=grant_id,
            owner=owner_key(str(user.pk)),
            user_id=user.pk,
            model=model[:200],
            region=region[:40],
            transcripts=get_settings().transcripts,
            client_reported=True,
        )
    )


async def find(report: Report, owner: str) -> Outcome:
    """Say what would become of a report by now, before anything is made of its texts.

    Raises:
        django.db.Error: The database does not answer.
    """
    return await in_thread(_find, report, owner)


async def prepare(report: Report) -> _Prepared:
    """Leave of the texts what ``NOVASONIC["TRANSCRIPTS"]`` lets be kept."""
    redactor = Redactor(get_settings())
    turns = []
    for told in report.turns:
        withheld = False
        try:
            user = await redactor.kept(told.user_text, "user")
            assistant = await redactor.kept(told.assistant_text, "assistant")
        except Withheld:
            user, assistant, withheld = "", "", True
        turns.append(
            {
                "number": told.number,
                "user_text": user,
                "assistant_text": assistant,
                "withheld": withheld,
                "interrupted": told.interrupted,
                "seconds": _seconds(told.ms),
                "response_seconds": _seconds(told.response_ms),
            }
        )
    return _Prepared(report, turns)


async def store(prepared: _Prepared, owner: str) -> Outcome:
    """Add a report to its conversation, all of it or nothing.

    Raises:
        django.db.Error: Nothing was written.
    """
    return await in_thread(_store, prepared, owner)


def _mine(report: Report, owner: str) -> Any:
    return rows_of(tables().conversation).filter(pk=report.grant, owner=owner_key(owner), client_reported=True)


def _find(report: Report, owner: str) -> Outcome:
    found = _mine(report, owner).values_list("started_at", "last_report").first()
    if found is None:
        return "unknown"
    started_at, last = found
    if started_at < _earliest():
        return "over"
    return "repeated" if report.number <= last else "stored"


def _earliest() -> datetime:
    return timezone.now() - timedelta(seconds=ACCEPTED_SECONDS)


def _store(prepared: _Prepared, owner: str) -> Outcome:
    report = prepared.report
    mine, now = _mine(report, owner), timezone.now()
    with transaction.atomic(using=database()):
        # First of all: of two requests with one report this takes the row's lock, and the second finds nothing.
        fresh = mine.filter(last_report__lt=report.number, started_at__gte=_earliest())
        if not fresh.update(last_report=report.number, updated_at=now):
            return _find(report, owner)
        conversation = mine.get()
        _write_turns(prepared, conversation)
        _write_usage(report, conversation, now)
        columns: dict[str, Any] = _sums(conversation)
        if report.voice is not None:
            columns["voice"] = report.voice
        if report.ended is not None and conversation.ended_at is None:
            columns |= {"ended_at": now, "reason": report.ended}
        mine.update(**columns)
    return "stored"


def _write_turns(prepared: _Prepared, conversation: Any) -> None:
    table = tables().turn
    started = {told.number: told.started_ms for told in prepared.report.turns}
    rows = [
        table(
            conversation_id=conversation.pk,
            started_at=conversation.started_at + timedelta(milliseconds=started[columns["number"]]),
            client_reported=True,
            **columns,
        )
        # A number that is there twice would be written twice by one statement, which PostgreSQL refuses.
        for columns in {columns["number"]: columns for columns in prepared.turns}.values()
    ]
    rows_of(table).bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=("conversation", "number"),
        update_fields=[
            "user_text",
            "assistant_text",
            "withheld",
            "interrupted",
            "seconds",
            "response_seconds",
            "started_at",
            "client_reported",
        ],
    )


def _write_usage(report: Report, conversation: Any, now: datetime) -> None:
    table = tables().usage
    prices = Prices.of(conversation.model) or LIST_PRICES[NOVA_2_SONIC]
    rows = []
    for spent in {spent.turn: spent for spent in report.usage}.values():
        counts = {name: getattr(spent, name) for name in COUNTS}
        usd = Decimal(str(round(prices.usd(TokenCounts(**counts)), 6)))
        rows.append(
            table(conversation_id=conversation.pk, turn=spent.turn, usd=usd, at=now, client_reported=True, **counts)
        )
    rows_of(table).bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=("conversation", "generation", "turn"),
        update_fields=[*COUNTS, "usd", "at", "client_reported"],
    )


def _sums(conversation: Any) -> dict[str, Any]:
    names = (*COUNTS, "usd")
    sums = rows_of(tables().usage).filter(conversation=conversation.pk).aggregate(**{name: Sum(name) for name in names})
    return {name: sums[name] or 0 for name in names}


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1_000
