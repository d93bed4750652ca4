"""Where a listener stands in a story, by the database alone: any worker, any day, can go on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max

from .models import Chapter, Choice, Story, Telling

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

LONGEST_CHOICE = 200
BEGIN = "tell me a story"
REMIND = "where am I"
AGAIN = "start again"


def tellings_of(user: User) -> QuerySet[Telling]:
    """Return what `user` hears, newest first; whatever an address or a page names is looked up among these."""
    return Telling.objects.filter(user_id=user.pk).select_related("story", "chapter")


def begin(user: User, story: Story) -> Telling:
    """Open the book at its first page."""
    return Telling.objects.create(user_id=user.pk, story=story)


def newest(user: User) -> Telling | None:
    """Return the telling that goes on, or a new one of the first story; None where there is no story at all."""
    story = Story.objects.first()
    return tellings_of(user).first() or (story and begin(user, story))


def next_chapter(user: User, telling_id: int, *, start_again: bool = False) -> dict[str, Any] | None:
    """Return what comes next in a telling of `user`, and remember that it was told; None: there is no such telling."""
    with transaction.atomic():
        telling = tellings_of(user).select_for_update(of=("self",)).filter(pk=telling_id).first()
        if telling is None:
            return None
        if start_again:
            telling.choices.all().delete()
            telling.chapter = None
        chapter = _following(telling)
        if chapter is None:
            return {"title": telling.story.title, "text": "This story is over.", "choices": [AGAIN]}
        telling.chapter = chapter
        telling.save(update_fields=["chapter"])
    return _told(chapter)


def current_chapter(user: User, telling_id: int) -> dict[str, Any] | None:
    """Return what was told last; None: nothing was."""
    telling = tellings_of(user).filter(pk=telling_id).first()
    return None if telling is None or telling.chapter is None else _told(telling.chapter)


def remember_choice(user: User, telling_id: int, choice: str) -> bool:
    """Keep what `user` decided; False: nothing, or there is no such telling, or nothing of it was told."""
    decided = _plain(choice)
    with transaction.atomic():
        telling = tellings_of(user).filter(pk=telling_id, chapter__isnull=False).first()
        # No words would count as the newest choice, and as the one of every chapter that follows none.
        if telling is None or not decided:
            return False
        Choice.objects.create(telling=telling, text=decided)
    return True


def choices_of(telling: Telling) -> list[str]:
    """Return what was decided in a telling, oldest first."""
    return [choice.text for choice in telling.choices.all()]


def possible_choices(story: Story) -> list[str]:
    """Return all that may be chosen in a story, in the order of its chapters."""
    chapters = story.chapters.order_by("number", "pk").values_list("choices", flat=True)
    return list(dict.fromkeys(choice for choices in chapters for choice in choices))


def standing(telling: Telling) -> dict[str, Any]:
    """Return what a page shows: how far it is, what may be chosen now, what was."""
    last = telling.story.chapters.aggregate(last=Max("number"))["last"] or 0
    chapter = telling.chapter
    return {
        "chapter": chapter.number if chapter else 0,
        "chapters": last,
        "ended": chapter is not None and chapter.number == last,
        "choices": chapter.choices if chapter else [BEGIN],
        "chosen": choices_of(telling),
    }


def _told(chapter: Chapter) -> dict[str, Any]:
    return {
        "title": chapter.story.title,
        "chapter": chapter.number,
        "text": chapter.text,
        "choices": chapter.choices,
    }


def _following(telling: Telling) -> Chapter | None:
    """The next number's chapter for the newest choice that has one, else the one for everybody."""
    number = telling.chapter.number + 1 if telling.chapter else 1
    by_choice = {chapter.after: chapter for chapter in telling.story.chapters.filter(number=number)}
    chosen = [choice.text for choice in telling.choices.order_by("-pk")]
    return next((by_choice[after] for after in [*chosen, ""] if after in by_choice), None)


def _plain(choice: str) -> str:
    return " ".join(choice.lower().split()).rstrip(".!")[:LONGEST_CHOICE]
