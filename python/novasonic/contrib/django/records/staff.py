"""What the admin's pages of the records have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from novasonic.contrib.django import grant

from .tables import rows_of

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.functional import _StrPromise

    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

__all__ = ["ReadOnlyAdmin", "RunningFilter"]


class ReadOnlyAdmin(_ModelAdmin):
    """Nothing is added or changed by hand."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read in the database of the records."""
        return rows_of(self.model).order_by(*self.model._meta.ordering)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False


class RunningFilter(admin.SimpleListFilter):
    """Those that go on, and those that are over."""

    title = _("state")
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, _StrPromise]]:
        """Two of them."""
        return [("yes", _("going on")), ("no", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Choose."""
        if self.value() is None:
            return queryset
        # A page that never told of its end has none that goes on now: its keys and their last stream are over.
        silent = Q(client_reported=True, started_at__lt=timezone.now() - timedelta(seconds=grant.LAST_STREAM_SECONDS))
        running = Q(ended_at=None) & ~silent
        return queryset.filter(running if self.value() == "yes" else ~running)
