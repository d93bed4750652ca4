"""The admin's page of workers: who holds how many conversations, and the button that drains one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.records.access import write_access

from . import supervision

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

TEMPLATE = "admin/novasonic/conversation/workers.html"


def workers_page(request: HttpRequest, *, site: AdminSite, opts: Any, here: str, back: str) -> HttpResponseBase:
    """Show the workers to superusers; a POST with ``worker`` drains that one.

    Args:
        request: The admin has let its user in.
        site: The admin.
        opts: Of the model whose page this is.
        here: The page's own address.
        back: The address of the list of conversations.
    """
    if not request.user.is_superuser:  # type: ignore[union-attr]  # the admin lets in nobody unknown
        raise PermissionDenied
    if request.method == "POST":
        worker = request.POST.get("worker", "")
        write_access(AccessRecord.Action.DRAINED, user=request.user, detail=worker)
        if async_to_sync(supervision.drain_worker)(worker, get_settings().drain_seconds):
            messages.success(request, _("The worker takes no new conversations and sends its own elsewhere."))
        else:
            messages.warning(request, _("No such worker answers."))
        return HttpResponseRedirect(here)
    context = {
        **site.each_context(request),
        "title": _("Workers"),
        "opts": opts,
        "workers": async_to_sync(supervision.workers)(),
        "back": back,
    }
    return TemplateResponse(request, TEMPLATE, context)
