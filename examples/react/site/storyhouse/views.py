"""What the application asks. `ApiView` lets pages of ``ALLOWED_ORIGINS`` read the answers, and nobody store them."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, JsonResponse

from novasonic.contrib.django.models import Conversation, Turn
from novasonic.contrib.django.tickets import issue_ticket
from novasonic.contrib.django.views import ApiView

from . import sign_in
from .models import Telling
from .stories import STORIES

NEWEST = 20


class SignInView(ApiView):
    """POST: a token for the one listener whom all share. A site of your own asks for a password."""

    http_method_names = ("post", "options")
    strict_origin = True

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in."""
        user, created = await get_user_model().objects.aget_or_create(username="listener")
        if created:
            user.set_unusable_password()
            await user.asave()
        return JsonResponse({"token": sign_in.issue(user)})


class StoriesView(ApiView):
    """GET: what can be told."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer anybody: these are the titles on the shelf."""
        shelf = [{"id": name, "title": story.title, "summary": story.summary} for name, story in STORIES.items()]
        return JsonResponse({"stories": shelf})


class TicketView(ApiView):
    """POST: a ticket to open one socket with, within half a minute."""

    http_method_names = ("post", "options")
    strict_origin = True

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Give one to those who may talk."""
        return JsonResponse({"ticket": issue_ticket(await self.require_allowed(request))})


class ConversationsView(ApiView):
    """GET: what the listener and the storyteller said to each other about one story, newest first."""

    async def get(self, request: HttpRequest, story: str) -> HttpResponse:
        """Answer for whoever asks, of their own conversations only."""
        user = await self.require_allowed(request)
        told = Telling.objects.filter(story=story).values("conversation")
        turns = Prefetch("turns", Turn.objects.order_by("number"))
        # Those in which something was said.
        found = Conversation.objects.filter(owner=str(user.pk), id__in=told, turns__isnull=False).distinct()
        newest = found.prefetch_related(turns)[:NEWEST]
        return JsonResponse({"conversations": [_shown(conversation) async for conversation in newest]})


def _shown(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": str(conversation.id),
        "startedAt": conversation.started_at.isoformat(),
        "turns": [
            {"number": turn.number, "user": turn.user_text, "assistant": turn.assistant_text, "cut": turn.interrupted}
            for turn in conversation.turns.all()
        ],
    }
