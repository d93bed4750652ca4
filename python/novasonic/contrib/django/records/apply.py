"""A batch of rows, in one transaction.

Every batch begins, for each conversation in it, with ``UPDATE ... WHERE id = ... AND generation = mine``. That is the
fence: it takes the conversation's row lock (on SQLite the database's), which a worker that takes the conversation over
needs too. So either the whole batch is committed before the generation rises, or it finds nothing to update and is
refused. In order of ids, so that two workers' batches cannot wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import Sum
from django.utils import timezone

from .rows import COUNTS, Ledger, Lost, Row, Spent
from .tables import Tables, database, rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db import models

FROZEN_MS = 1_500

_UNIQUE = {
    "turn": ("conversation", "number"),
    "tool_call": ("conversation", "call_id"),
    "usage": ("conversation", "generation", "turn"),
}


def write(rows: Iterable[Row]) -> dict[int, Lost]:
    """Write `rows`, and return which ledgers (by ``id()``) were refused, whose rows were not written.

    Raises:
        django.db.Error: Nothing was written.
    """
    models_of = tables()
    batch = _newest(rows)
    lost: dict[int, Lost] = {}
    accepted: list[tuple[Ledger, dict[Any, Row]]] = []
    with transaction.atomic(using=database()):
        _bound_freeze()
        for ledger, states in sorted(batch, key=lambda pair: (pair[0].id, pair[0].generation)):
            refusal = _pass_fence(models_of, ledger, states)
            if refusal is None:
                accepted.append((ledger, states))
            else:
                lost[id(ledger)] = refusal
        for kind in _UNIQUE:
            _upsert(models_of, kind, accepted)
    for ledger, _ in accepted:
        ledger.created = True
    return lost


def _bound_freeze() -> None:
    """Let PostgreSQL take the locks from a worker that is frozen in mid-batch: whoever takes over waits for them."""
    connection = connections[database()]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = %s", [FROZEN_MS])


def _newest(rows: Iterable[Row]) -> list[tuple[Ledger, dict[Any, Row]]]:
    """Group by ledger and leave the last state of each row; a conversation's columns are merged."""
    batch: dict[int, tuple[Ledger, dict[Any, Row]]] = {}
    for row in rows:
        states = batch.setdefault(id(row.ledger), (row.ledger, {}))[1]
        where = (row.kind, row.key)
        if row.kind == "conversation" and where in states:
            row = Row(row.ledger, row.kind, row.key, states[where].values | row.values)
        states[where] = row
    return list(batch.values())


def _pass_fence(models_of: Tables, ledger: Ledger, states: dict[Any, Row]) -> Lost | None:
    known = rows_of(models_of.conversation)
    if not ledger.created:
        # Not instead of the update below: another worker may have inserted it, with a higher generation.
        first = models_of.conversation(id=ledger.id, generation=ledger.generation, **ledger.opening)
        known.bulk_create([first], ignore_conflicts=True)
    values = dict(states["conversation", None].values) if ("conversation", None) in states else {}
    if "usd" in values and ledger.generation > 1:
        if ledger.before is None:
            ledger.before = _spent_before(models_of, ledger)
        for name in (*COUNTS, "usd"):
            values[name] += getattr(ledger.before, name)
    if ledger.created:
        mine = known.filter(pk=ledger.id, generation=ledger.generation)
    else:
        # Where no transcripts are kept, conversations are taken over by way of Redis: the row learns of it here.
        mine = known.filter(pk=ledger.id, generation__lte=ledger.generation)
        values["generation"] = ledger.generation
    if mine.update(updated_at=timezone.now(), **values):
        if not ledger.created and ledger.recordings:
            listed = mine.values_list("recordings", flat=True).get()
            mine.update(recordings=[*listed, *(name for name in ledger.recordings if name not in listed)])
        return None
    return "taken_over" if known.filter(pk=ledger.id).exists() else "deleted"


def _spent_before(models_of: Tables, ledger: Ledger) -> Spent:
    # Nobody adds to it any more: whoever wrote those has lost the conversation.
    earlier = rows_of(models_of.usage).filter(conversation=ledger.id, generation__lt=ledger.generation)
    sums = earlier.aggregate(**{name: Sum(name) for name in (*COUNTS, "usd")})
    return Spent(**{name: sums[name] or 0 for name in COUNTS}, usd=sums["usd"] or Decimal(0))


def _upsert(models_of: Tables, kind: str, accepted: list[tuple[Ledger, dict[Any, Row]]]) -> None:
    table: type[models.Model] = getattr(models_of, kind)
    # By their columns: what a site's own model has beyond them must not be set back to its default.
    objects: dict[tuple[str, ...], list[models.Model]] = defaultdict(list)
    for ledger, states in accepted:
        for row in states.values():
            if row.kind == kind:
                objects[tuple(row.values)].append(table(conversation_id=ledger.id, **row.values))
    unique = _UNIQUE[kind]
    for columns, same in objects.items():
        rows_of(table).bulk_create(
            same,
            update_conflicts=True,
            unique_fields=unique,
            update_fields=[name for name in columns if name not in unique],
        )
