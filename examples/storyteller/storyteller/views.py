"""The shelf, the page to listen on, and what was told before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import Max
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import DetailView, ListView, TemplateView, View

from novasonic import catalog

from . import conversations
from .consumers import Storyteller
from .models import Chapter, Story, Telling
from .telling import REMIND, begin, standing, tellings_of

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

LANGUAGES = {
    "en-US": "English (America)",
    "en-GB": "English (Britain)",
    "en-AU": "English (Australia)",
    "en-IN": "English (India)",
    "fr-FR": "French",
    "it-IT": "Italian",
    "de-DE": "German",
    "es-US": "Spanish",
    "pt-BR": "Portuguese",
}


class ShelfView(LoginRequiredMixin, ListView):
    """All stories, each with how far this listener has come in it."""

    template_name = "storyteller/shelf.html"
    context_object_name = "stories"

    def get_queryset(self) -> list[Story]:
        """Add ``last`` (the number of the last chapter), ``ends`` and ``telling``, the one that could go on."""
        stories = list(
            Story.objects.annotate(last=Max("chapters__number")).filter(last__gt=0).order_by("position", "pk")
        )
        ends = Counter(
            chapter.story_id
            for chapter in Chapter.objects.filter(story__in=stories).annotate(last=Max("story__chapters__number"))
            if chapter.number == chapter.last
        )
        newest: dict[int, Telling] = {}
        for telling in tellings_of(self.request.user).filter(chapter__isnull=False):
            newest.setdefault(telling.story_id, telling)
        for story in stories:
            telling = newest.get(story.pk)
            story.ends = ends[story.pk]
            story.telling = telling if telling and telling.chapter.number < story.last else None
        return stories


class CoverView(DetailView):
    """A story's cover as a picture: its motif in its colours."""

    model = Story
    content_type = "image/svg+xml"

    def get_template_names(self) -> list[str]:
        """Choose the drawing; one that is unknown is a plain night."""
        motif = self.object.motif if self.object.motif in Story.Motif.values else Story.Motif.NIGHT
        return [f"storyteller/covers/{motif}.svg"]

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """Let browsers keep it for an hour."""
        response = super().render_to_response(context, **kwargs)
        response["Cache-Control"] = "max-age=3600"
        return response


class BeginView(LoginRequiredMixin, View):
    """Opens a book at its first page."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Begin a telling and show it."""
        return redirect("telling", begin(request.user, get_object_or_404(Story, pk=pk)).pk)


class OwnTellingMixin(LoginRequiredMixin):
    """Finds the telling of the address among the user's own; of those of others it knows nothing."""

    context_object_name = "telling"

    def get_queryset(self) -> QuerySet[Telling]:
        """Return the user's own."""
        return tellings_of(self.request.user)


class TellingView(OwnTellingMixin, DetailView):
    """The page to listen on. Opened again, it goes on from what was said in it."""

    template_name = "storyteller/telling.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add where the story stands, what was said before, and the voices."""
        user, telling = self.request.user, self.object
        now = standing(telling)
        turns = conversations.turns_of(user, telling)
        return super().get_context_data(
            standing=now,
            lamps=range(1, now["chapters"] + 1),
            turns=turns,
            last=next((turn for turn in reversed(turns) if turn.assistant_text), None),
            remind=REMIND,
            voices=_voices(),
            voice=conversations.last_voice(user, telling) or Storyteller.voice,
            spent=conversations.spent(user, telling),
            socket=f"tellings/{telling.pk}/ws/",
            **kwargs,
        )


class StandingView(OwnTellingMixin, DetailView):
    """Where a telling stands, for the page's script: asked after each chapter."""

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """Answer in JSON."""
        return JsonResponse(standing(self.object), headers={"Cache-Control": "no-store"})


class HistoryView(LoginRequiredMixin, TemplateView):
    """The tellings in which anything was said, the newest word first."""

    template_name = "storyteller/history.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add ``tellings``."""
        user = self.request.user
        tellings = list(tellings_of(user).prefetch_related("choices")[:200])
        sums = conversations.sums(user, tellings)
        told = [telling for telling in tellings if sums.get(telling.pk, {}).get("turns")]
        for telling in told:
            telling.sums = sums[telling.pk]
            telling.standing = standing(telling)
        return super().get_context_data(tellings=sorted(told, key=lambda one: one.sums["last"], reverse=True), **kwargs)


class ReadingView(OwnTellingMixin, DetailView):
    """What was said in a telling, to read."""

    template_name = "storyteller/reading.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the turns, or there is nothing to read."""
        turns = conversations.turns_of(self.request.user, self.object)
        if not turns:
            raise Http404
        return super().get_context_data(
            turns=turns,
            standing=standing(self.object),
            spent=conversations.spent(self.request.user, self.object),
            **kwargs,
        )


def _voices() -> list[tuple[str, list[str]]]:
    """Group the voices by the language they are made for, those that speak all of them first."""
    groups: dict[str, list[str]] = {"Every language": []}
    for voice in catalog.voices():
        tag = voice.locales[0]
        groups.setdefault("Every language" if voice.polyglot else LANGUAGES.get(tag, tag), []).append(voice.id)
    return list(groups.items())
