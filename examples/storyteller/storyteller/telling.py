"""Where a listener stands in the story, by the database alone: any worker, any day, can go on with it."""

from typing import TYPE_CHECKING, Any

from django.db import transaction

from .models import Chapter, Choice, Story, Telling

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_CHOICE = 200


def next_chapter(user: "User", *, start_again: bool = False) -> dict[str, Any] | None:
    """Return what comes next for `user`, and remember that it was told; None where there is no story at all."""
    with transaction.atomic():
        telling = None if start_again else _current(user)
        chapter = telling and _following(telling)
        if chapter is None:  # never begun, at its end, or from the beginning
            telling = _begin(user)
            chapter = telling and _following(telling)
        if telling is None or chapter is None:
            return None
        telling.heard = chapter.number
        telling.save(update_fields=["heard"])
    return {
        "title": telling.story.title,
        "chapter": chapter.number,
        "text": chapter.text,
        "choices": chapter.choices,
    }


def remember_choice(user: "User", choice: str) -> bool:
    """Keep what `user` decided; False where no story runs."""
    with transaction.atomic():
        telling = _current(user)
        if telling is None:
            return False
        Choice.objects.create(telling=telling, text=_plain(choice))
    return True


def choices_of(user: "User") -> list[str]:
    """Return what `user` decided in the story that goes on, oldest first."""
    telling = _current(user)
    return [] if telling is None else [choice.text for choice in telling.choices.all()]


def _current(user: "User") -> Telling | None:
    return Telling.objects.filter(user_id=user.pk).select_related("story").order_by("-pk").first()


def _begin(user: "User") -> Telling | None:
    story = Story.objects.order_by("pk").first()
    return story and Telling.objects.create(user_id=user.pk, story=story)


def _following(telling: Telling) -> Chapter | None:
    """The next number's chapter for the newest choice that has one, else the one for everybody."""
    number = telling.heard + 1
    by_choice = {chapter.after: chapter for chapter in telling.story.chapters.filter(number=number)}
    chosen = [choice.text for choice in telling.choices.order_by("-pk")]
    return next((by_choice[after] for after in [*chosen, ""] if after in by_choice), None)


def _plain(choice: str) -> str:
    return " ".join(choice.lower().split()).rstrip(".!")[:LONGEST_CHOICE]
