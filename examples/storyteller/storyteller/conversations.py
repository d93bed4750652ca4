"""What was said in a telling, from novasonic's records: to read it, and to go on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Sum

from novasonic.contrib.django.models import Conversation, Turn
from novasonic.contrib.django.records.history import history_of

from .models import Sitting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from typing import Any
    from uuid import UUID

    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    import novasonic

    from .models import Telling


def conversations_of(user: User, telling: Telling) -> QuerySet[Conversation]:
    """Return the conversations of a telling, oldest first: those that `user` paid for, whatever a telling claims."""
    ids = list(telling.sittings.values_list("conversation", flat=True))
    return Conversation.objects.filter(pk__in=ids, owner=str(user.pk)).order_by("started_at")


def turns_of(user: User, telling: Telling) -> list[Turn]:
    """Return what was said in a telling, oldest first; the texts are as the records keep them."""
    ids = list(conversations_of(user, telling).values_list("pk", flat=True))
    turns = Turn.objects.filter(conversation__in=ids).select_related("conversation")
    return list(turns.order_by("conversation__started_at", "number"))


def history_for(user: User, telling: Telling) -> tuple[novasonic.Message, ...]:
    """Return what the model is told of the earlier conversations of a telling."""
    return history_of((turn.user_text, turn.assistant_text) for turn in turns_of(user, telling))


def last_voice(user: User, telling: Telling) -> str | None:
    """Return the voice that told it last."""
    return conversations_of(user, telling).values_list("voice", flat=True).last()


def spent(user: User, telling: Telling) -> Decimal:
    """Return what a telling has cost so far, in US dollars."""
    return conversations_of(user, telling).aggregate(usd=Sum("usd"))["usd"] or 0


def sums(user: User, tellings: Iterable[Telling]) -> dict[int, dict[str, Any]]:
    """Return turns, cost and time of the last word of each telling, by its key; nothing of those never spoken in."""
    telling_of: dict[UUID, int] = dict(
        Sitting.objects.filter(telling__in=list(tellings)).values_list("conversation", "telling_id")
    )
    found = Conversation.objects.filter(pk__in=list(telling_of), owner=str(user.pk)).annotate(said=Count("turns"))
    added: dict[int, dict[str, Any]] = {}
    for conversation in found.order_by("started_at"):
        one = added.setdefault(telling_of[conversation.pk], {"turns": 0, "usd": 0, "conversations": 0})
        one["turns"] += conversation.said
        one["usd"] += conversation.usd
        one["conversations"] += 1
        one["last"] = conversation.updated_at
    return added
