"""What a page that comes back goes on from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from .history import history_of
from .rows import owner_key
from .tables import database, rows_of, tables
from .threads import in_thread

if TYPE_CHECKING:
    import uuid

    from django.db import models

    import novasonic

__all__ = ["Claim", "claim", "generation", "resumable"]

# What is older would not fit into what the model is told either.
HISTORY_TURNS = 200
# Ended for good: by who talked, by a limit, by staff. A worker that died left no reason.
_RESUMABLE = Q(ended_at=None) | Q(reason__in=("gone", "reconnect", "server"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A conversation that is this worker's now.

    Attributes:
        conversation_id: Its id.
        generation: Whoever holds a lower one writes no row any more.
        next_turn: Number of its next turn.
        history: What both sides said, as far as it was heard and the model can be told; empty where no text is kept.
        usd: What it has cost so far.
        region: Where it was held.
    """

    conversation_id: uuid.UUID
    generation: int
    next_turn: int
    history: tuple[novasonic.Message, ...] = field(repr=False)
    usd: float
    region: str | None


async def claim(conversation_id: uuid.UUID, owner: str | None, generation: int | None = None) -> Claim | None:
    """Take a conversation over, atomically.

    Args:
        conversation_id: Which one.
        owner: Whose it must be, as `Conversation.owner`; None: one of nobody known.
        generation: Which one it must have: of two that come with the same token one gets it. None: any.

    Returns:
        None where there is no such conversation, where it is another's, has ended for good, or is of another
        generation: which of them is not to be known.

    Raises:
        django.db.Error: The database does not answer.
    """
    return await in_thread(_claim, conversation_id, owner, generation)


async def resumable(conversation_id: uuid.UUID, owner: str | None, generation: int | None = None) -> bool:
    """Say whether `claim` would take it now; nothing is changed.

    Raises:
        django.db.Error: The database does not answer.
    """
    return await in_thread(lambda: _candidates(conversation_id, owner, generation).exists())


async def generation(conversation_id: uuid.UUID) -> int | None:
    """Look up at which generation a conversation stands; None where there is none such.

    Raises:
        django.db.Error: The database does not answer.
    """
    return await in_thread(_generation, conversation_id)


def _generation(conversation_id: uuid.UUID) -> int | None:
    known = rows_of(tables().conversation).filter(pk=conversation_id)
    found: int | None = known.values_list("generation", flat=True).first()
    return found


def _candidates(conversation_id: uuid.UUID, owner: str | None, generation: int | None) -> models.QuerySet[Any]:
    # What a page told of itself is nothing that this server could go on with.
    held_here = rows_of(tables().conversation).filter(client_reported=False)
    found = held_here.filter(_RESUMABLE, pk=conversation_id, owner=owner_key(owner))
    return found if generation is None else found.filter(generation=generation)


def _claim(conversation_id: uuid.UUID, owner: str | None, generation: int | None) -> Claim | None:
    with transaction.atomic(using=database()):
        # First of all: it takes the row's lock, so that what the last worker is just committing is read below.
        if not _candidates(conversation_id, owner, generation).update(
            generation=F("generation") + 1, updated_at=timezone.now()
        ):
            return None
        models_of = tables()
        conversation = rows_of(models_of.conversation).get(pk=conversation_id)
        turns = rows_of(models_of.turn).filter(conversation=conversation_id)
        last = turns.aggregate(last=Max("number"))["last"] or 0
        said = turns.order_by("-number").values_list("user_text", "assistant_text")[:HISTORY_TURNS]
        return Claim(
            conversation_id=conversation.id,
            generation=conversation.generation,
            next_turn=last + 1,
            history=history_of(list(said)[::-1]),
            usd=float(conversation.usd),
            region=conversation.region or None,
        )
