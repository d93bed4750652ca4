"""Conversations in the admin: read-only, what was said behind a permission of its own, each look written down."""

from __future__ import annotations

import io
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from .models import AccessRecord, Conversation
from .records.access import write_access
from .records.erase import Erased, delete_conversations, delete_of, hang_up
from .records.export import write_json
from .records.people import users_named_like
from .records.playback import recording_response
from .records.rows import owner_key
from .records.staff import ReadOnlyAdmin, RunningFilter
from .records.tables import rows_of
from .workers.admin import workers_page

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.functional import _StrPromise

__all__ = ["AccessRecordAdmin", "ConversationAdmin"]

MAX_EXPORT = 500
# A player asks for a recording part by part; that is one listening.
_ONE_LISTENING = timedelta(minutes=10)


class ConversationAdmin(ReadOnlyAdmin):
    """Also for a site's own conversations: ``admin.site.register(calls.Conversation, ConversationAdmin)``."""

    change_list_template = "admin/novasonic/conversation/change_list.html"
    change_form_template = "admin/novasonic/conversation/change_form.html"
    transcript_template = "admin/novasonic/conversation/transcript.html"
    date_hierarchy = "started_at"
    list_display = ("started_at", "length", "turn_count", "owner", "kind", "told_by", "usd", "reason", "error_code")
    exclude = ("recordings",)
    list_filter = ("started_at", RunningFilter, "reason", "client_reported", "model", "consumer")
    search_fields = ("owner",)
    search_help_text = _("Key or name of the owner, or id of the conversation")
    actions = ("hang_up_selected", "export_selected", "delete_everything_of_owners")
    list_per_page = 50

    @admin.display(description=_("length"))
    def length(self, conversation: Any) -> str:
        """So long it is, or was."""
        end = conversation.ended_at or (conversation.updated_at if conversation.client_reported else timezone.now())
        return str(timedelta(seconds=round((end - conversation.started_at).total_seconds())))

    @admin.display(description=_("turns"), ordering="turn_count")
    def turn_count(self, conversation: Any) -> int:
        """So many turns it has."""
        count: int = conversation.turn_count
        return count

    @admin.display(description=_("consumer"), ordering="consumer")
    def kind(self, conversation: Any) -> str:
        """The consumer's name without its module."""
        name: str = conversation.consumer
        return name.rpartition(".")[2]

    @admin.display(description=_("told by"), ordering="client_reported")
    def told_by(self, conversation: Any) -> _StrPromise:
        """Whose word all of this is."""
        return _("its page, unchecked") if conversation.client_reported else _("this server")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count turns."""
        return super().get_queryset(request).annotate(turn_count=Count("turns"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by key or name of the owner, and by id: never by what was said."""
        term = search_term.strip()
        if not term:
            return queryset, False
        # Two steps, since users may be in another database.
        found = Q(owner=owner_key(term)) | Q(user_id__in=users_named_like(term))
        with suppress(ValueError):  # not an id
            found |= Q(pk=uuid.UUID(term))
        return queryset.filter(found), False

    def get_urls(self) -> list[Any]:
        """Add the pages of one conversation."""
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/transcript/", view(self.transcript_view), name=self._name("transcript")),
            path("<uuid:pk>/recording/<int:number>/", view(self.recording_view), name=self._name("recording")),
            path("workers/", view(self.workers_view), name=self._name("workers")),
            path("<uuid:pk>/hang-up/", view(require_POST(self.hang_up_view)), name=self._name("hang_up")),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List conversations, with the way to the workers that hold them."""
        superuser: bool = request.user.is_superuser  # type: ignore[union-attr]
        more = {"workers_url": self._url("workers")} if superuser else {}
        return super().changelist_view(request, more | (extra_context or {}))

    def workers_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show who holds conversations, and drain a worker."""
        here, back = self._url("workers"), self._url("changelist")
        return workers_page(request, site=self.admin_site, opts=self.opts, here=here, back=back)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what it was and cost; what was said has a page of its own."""
        conversation = self.get_object(request, object_id)
        links = {} if conversation is None else self._links(request, conversation)
        usage = [] if conversation is None else conversation.usage.order_by("turn", "generation")
        more = {"show_save": False, "show_close": True, "usage": usage, **links}
        return super().change_view(request, object_id, form_url, more | (extra_context or {}))

    def transcript_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """Show what was said."""
        conversation = self._get(request, pk, "view_transcript")
        write_access(
            AccessRecord.Action.READ, user=request.user, conversation=conversation.pk, owner=conversation.owner
        )
        recordings = [self._url("recording", conversation.pk, number) for number in range(len(conversation.recordings))]
        context = {
            **self.admin_site.each_context(request),
            "title": _("What was said"),
            "opts": self.opts,
            "conversation": conversation,
            "turns": conversation.turns.order_by("number"),
            "tool_calls": conversation.tool_calls.order_by("started_at"),
            "recordings": recordings,
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[conversation.pk]),
        }
        response = TemplateResponse(request, self.transcript_template, context)
        response["Cache-Control"] = "no-store, private"
        return response

    def recording_view(self, request: HttpRequest, pk: uuid.UUID, number: int) -> HttpResponseBase:
        """Play a recording."""
        conversation = self._get(request, pk, "view_transcript")
        if number >= len(conversation.recordings):
            raise Http404
        heard = AccessRecord.objects.filter(
            action=AccessRecord.Action.LISTENED,
            user_id=request.user.pk,
            conversation=conversation.pk,
            detail=str(number),
            at__gt=timezone.now() - _ONE_LISTENING,
        )
        try:
            response = recording_response(request, conversation.recordings[number])
        except FileNotFoundError:
            raise Http404 from None
        if not heard.exists():
            write_access(
                AccessRecord.Action.LISTENED,
                user=request.user,
                conversation=conversation.pk,
                owner=conversation.owner,
                detail=str(number),
            )
        return response

    def hang_up_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """End a conversation that goes on."""
        conversation = self._get(request, pk, "hang_up_conversation")
        self._hang_up(request, [conversation])
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[conversation.pk])
        )

    @admin.action(description=_("Hang up the selected conversations"), permissions=["hang_up_conversation"])
    def hang_up_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End those that go on."""
        self._hang_up(request, list(queryset.filter(ended_at=None, client_reported=False)))

    @admin.action(description=_("Export the selected conversations as JSON"), permissions=["view_transcript"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Download them."""
        chosen = rows_of(self.model).filter(pk__in=list(queryset.values_list("pk", flat=True)))
        if chosen.count() > MAX_EXPORT:
            message = _("These are too many at once; manage.py novasonic_export takes them all.")
            self.message_user(request, message, messages.ERROR)
            return None
        for conversation in chosen:
            write_access(
                AccessRecord.Action.EXPORTED, user=request.user, conversation=conversation.pk, owner=conversation.owner
            )
        text = io.StringIO()
        write_json(chosen, text)
        response = HttpResponse(text.getvalue(), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="conversations.json"'
        response["Cache-Control"] = "no-store, private"
        return response

    @admin.action(description=_("Delete everything of these conversations' owners"), permissions=["delete"])
    def delete_everything_of_owners(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Ask, and delete all conversations of whoever had the selected ones, with their recordings."""
        owners = sorted(set(queryset.exclude(owner="").values_list("owner", flat=True)))
        found = rows_of(self.model).filter(owner__in=owners)
        if request.POST.get("confirmed"):
            for owner in owners:
                write_access(AccessRecord.Action.DELETED, user=request.user, owner=owner)
                self._say_erased(request, delete_of(owner=owner))
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Delete everything of these owners?"),
            "opts": self.opts,
            "owners": owners,
            "count": found.count(),
            "selected": list(queryset.values_list("pk", flat=True)),
            "action_name": "delete_everything_of_owners",
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/novasonic/conversation/delete_owners.html", context)

    def has_view_transcript_permission(self, request: HttpRequest) -> bool:
        """Say who may read what was said."""
        return self._may(request, "view_transcript")

    def has_hang_up_conversation_permission(self, request: HttpRequest) -> bool:
        """Say who may hang up."""
        return self._may(request, "hang_up_conversation")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[Any], list[Any]]:
        """Count, instead of listing every turn."""
        chosen = [str(one) for one in objs]
        refused = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return chosen, {self.opts.verbose_name_plural: len(chosen)}, refused, []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete it with its recordings."""
        self.delete_queryset(request, rows_of(self.model).filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete them with their recordings."""
        # Without the list's own annotations, which a query that goes on by keys need not count.
        chosen = rows_of(self.model).filter(pk__in=list(queryset.values_list("pk", flat=True)))
        for conversation in chosen:
            write_access(
                AccessRecord.Action.DELETED, user=request.user, conversation=conversation.pk, owner=conversation.owner
            )
        self._say_erased(request, delete_conversations(chosen))

    def _hang_up(self, request: HttpRequest, conversations: list[Any]) -> None:
        done = 0
        for conversation in conversations:
            write_access(
                AccessRecord.Action.HUNG_UP, user=request.user, conversation=conversation.pk, owner=conversation.owner
            )
            done += hang_up(conversation.pk)
        said = ngettext("%d conversation was ended.", "%d conversations were ended.", done) % done
        self.message_user(request, said, messages.SUCCESS if done else messages.WARNING)

    def _say_erased(self, request: HttpRequest, erased: Erased) -> None:
        if erased.failed:
            message = _("Some conversations stay: their recordings could not be deleted. The log says why.")
            self.message_user(request, message, messages.ERROR)

    def _may(self, request: HttpRequest, permission: str) -> bool:
        user: Any = request.user
        return self.has_view_permission(request) and bool(user.has_perm(f"{self.opts.app_label}.{permission}"))

    def _get(self, request: HttpRequest, pk: uuid.UUID, permission: str) -> Any:
        if not self._may(request, permission):
            raise PermissionDenied
        conversation = self.get_object(request, str(pk))
        if conversation is None:
            raise Http404
        return conversation

    def _links(self, request: HttpRequest, conversation: Any) -> dict[str, str]:
        links = {}
        if self._may(request, "view_transcript"):
            links["transcript_url"] = self._url("transcript", conversation.pk)
        within_reach = conversation.ended_at is None and not conversation.client_reported
        if within_reach and self._may(request, "hang_up_conversation"):
            links["hang_up_url"] = self._url("hang_up", conversation.pk)
        return links

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _url(self, page: str, *args: Any) -> str:
        return reverse(f"{self.admin_site.name}:{self._name(page)}", args=args)


class AccessRecordAdmin(ReadOnlyAdmin):
    """Who looked at what."""

    list_display = ("at", "username", "action", "conversation", "owner", "detail")
    list_filter = ("at", "action")
    search_fields = ("username", "owner", "conversation")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may: it is about those who could."""
        return False


admin.site.register(Conversation, ConversationAdmin)
admin.site.register(AccessRecord, AccessRecordAdmin)
