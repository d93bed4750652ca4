"""Deleting conversations with their files: what is too old, what somebody wants gone."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from novasonic.contrib.django.conf import get_settings

from .recording import recordings_storage
from .rows import owner_key
from .tables import database, rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import QuerySet

__all__ = ["Erased", "delete_conversations", "delete_of", "hang_up", "prune"]

logger = logging.getLogger(__name__)

BATCH = 200


@dataclass(slots=True)
class Erased:
    """How much was deleted, or would be."""

    conversations: int = 0
    files: int = 0
    failed: int = 0
    """Conversations that stay, since a file of theirs could not be deleted."""


def delete_conversations(conversations: QuerySet[Any], *, dry_run: bool = False) -> Erased:
    """Delete conversations with all that belongs to them, files first, in batches; blocks.

    A conversation whose file cannot be deleted stays, and is found the next time. One that goes on at this moment ends:
    its worker finds its row gone.

    Args:
        conversations: Which ones.
        dry_run: Only count.
    """
    erased = Erased()
    for batch in _batches(conversations):
        gone = []
        for conversation in batch:
            try:
                erased.files += _delete_files(conversation.recordings, dry_run=dry_run)
            except Exception as error:
                erased.failed += 1
                logger.error("A recording of %s cannot be deleted: %s", conversation.pk, type(error).__name__)  # noqa: TRY400
            else:
                gone.append(conversation.pk)
        erased.conversations += len(gone)
        if not dry_run:
            _delete_rows(gone)
    return erased


def delete_of(*, owner: str | None = None, user: Any = None, dry_run: bool = False) -> Erased:
    """Delete everything of one owner or user, with files; conversations that go on are hung up before.

    Args:
        owner: As ``get_owner`` of the consumer gave it.
        user: A user of the site.
        dry_run: Only count.

    Raises:
        ValueError: Neither was given.
    """
    whose = Q()
    if owner:  # an empty key is of all whom nobody knows
        whose |= Q(owner=owner_key(owner))
    if user is not None:
        if not isinstance(user, get_user_model()):
            raise TypeError(f"delete_of(user=...) takes a {get_user_model().__name__}, not {type(user).__name__}.")
        whose |= Q(user_id=user.pk)
    if not whose:
        raise ValueError("delete_of() needs an owner or a user.")
    conversations = rows_of(tables().conversation).filter(whose)
    if not dry_run:
        # No worker holds what a page holds with keys of its own: to ask for each would only take time.
        held_here = conversations.filter(ended_at=None, client_reported=False)
        for conversation_id in held_here.values_list("pk", flat=True):
            hang_up(conversation_id)
    return delete_conversations(conversations, dry_run=dry_run)


def prune(days: int | None = None, *, dry_run: bool = False) -> Erased:
    """Delete conversations that nobody has added to for so many days, ``NOVASONIC["RETENTION_DAYS"]`` by default."""
    days = get_settings().retention_days if days is None else days
    if days is None:
        return Erased()
    before = timezone.now() - timedelta(days=days)
    return delete_conversations(rows_of(tables().conversation).filter(updated_at__lt=before), dry_run=dry_run)


def hang_up(conversation_id: Any) -> bool:
    """End a conversation for good, on whichever worker holds it; blocks.

    Where no worker answers that it does, its generation is raised: a worker that holds it all the same, out of reach of
    layer and Redis, finds at its next row that it has lost it, and nobody can resume it.

    Returns:
        False: it was over, or a page holds it with keys of its own, out of everybody's reach.
    """
    running = rows_of(tables().conversation).filter(pk=conversation_id, ended_at=None, client_reported=False)
    if _tell_workers(conversation_id):
        return True
    now = timezone.now()
    how = {"generation": F("generation") + 1, "ended_at": now, "updated_at": now, "reason": "closed"}
    return bool(running.update(**how))


def _tell_workers(conversation_id: Any) -> bool:
    try:
        # On use: records are kept on sites whose workers know nothing of each other, too.
        supervision = importlib.import_module("novasonic.contrib.django.workers.supervision")
    except ModuleNotFoundError:
        return False
    return bool(async_to_sync(supervision.hang_up)(conversation_id))


def _batches(conversations: QuerySet[Any]) -> Iterator[list[Any]]:
    # By key and not by what is left: what stays must not be met again and again.
    last = None
    while True:
        rest = conversations.order_by("pk") if last is None else conversations.order_by("pk").filter(pk__gt=last)
        batch = list(rest.only("pk", "recordings")[:BATCH])
        if not batch:
            return
        yield batch
        last = batch[-1].pk


def _delete_rows(keys: list[Any]) -> None:
    rows = rows_of(tables().conversation).filter(pk__in=keys)
    with transaction.atomic(using=database()):
        # A worker that adds to one of them waits for this lock, and finds it gone; else its row would keep it here.
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        rows.delete()


def _delete_files(names: list[str], *, dry_run: bool) -> int:
    storage = recordings_storage() if names else None
    if storage is None:
        return 0
    there = [name for name in names if storage.exists(name)]
    if not dry_run:
        for name in there:
            storage.delete(name)
    return len(there)
