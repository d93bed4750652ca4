"""Which tables the records are, and in which database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from novasonic.contrib.django.conf import get_settings

if TYPE_CHECKING:
    from .bases import AbstractConversation, AbstractToolCall, AbstractTurn, AbstractUsageRecord

_Row = TypeVar("_Row", bound=models.Model)


class RecordsManager(models.Manager[_Row]):
    """Reads and writes in ``NOVASONIC["DATABASE"]`` where nobody says otherwise."""

    def get_queryset(self) -> models.QuerySet[_Row]:
        """Leave the choice to the site's routers where the setting names the default database."""
        rows = super().get_queryset()
        alias = get_settings().database
        meta = self.model._meta
        if self._db is not None or alias == "default" or not is_record(meta.app_label, meta.model_name):
            return rows
        return rows.using(alias)


# Of the application that NOVASONIC["RECORDS_APP"] names, which may hold other models beside them.
_NAMES = ("Conversation", "Turn", "ToolCall", "UsageRecord")


@dataclass(frozen=True, slots=True)
class Tables:
    """The four models that are written."""

    conversation: type[AbstractConversation]
    turn: type[AbstractTurn]
    tool_call: type[AbstractToolCall]
    usage: type[AbstractUsageRecord]


def database() -> str:
    """Return the alias of the database of the records."""
    return get_settings().database


def rows_of(table: type[_Row]) -> models.QuerySet[_Row]:
    """Return all rows of a table of the records, whatever managers a site has put before it."""
    return table._base_manager.using(database())


def tables() -> Tables:
    """Return the models of ``NOVASONIC["RECORDS_APP"]``.

    Raises:
        ImproperlyConfigured: There is no such application, or it lacks one of the four.
    """
    label = get_settings().records_app
    try:
        found = [apps.get_model(label, name) for name in _NAMES]
    except LookupError as error:
        raise ImproperlyConfigured(
            f'NOVASONIC["RECORDS_APP"] is {label!r}: {error} It must have the models Conversation, Turn, ToolCall and '
            "UsageRecord, made from the abstract ones of novasonic.contrib.django.models."
        ) from error
    return Tables(*found)


def is_record(app_label: str, model_name: str | None) -> bool:
    """Say whether a model lives in the database of the records."""
    if app_label == "novasonic":  # the audit is there even where a site has conversations of its own
        return True
    return app_label == get_settings().records_app and model_name in {name.lower() for name in _NAMES}
