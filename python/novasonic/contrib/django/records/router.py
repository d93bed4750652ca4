"""The database router of sites that keep the records in a database of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from novasonic.contrib.django.conf import get_settings

from .tables import is_record

if TYPE_CHECKING:
    from django.db import models


class RecordsRouter:
    """Keeps the tables of the records in ``NOVASONIC["DATABASE"]``, and all others out of it.

    ::

        DATABASE_ROUTERS = ["novasonic.contrib.django.records.router.RecordsRouter"]
    """

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """Send reads of the records there, and those of a record's user to where users are."""
        if _is(model):
            return get_settings().database
        instance = hints.get("instance")
        return DEFAULT_DB_ALIAS if instance is not None and _is(instance) else None

    db_for_write = db_for_read

    def allow_relation(self, first: models.Model, second: models.Model, **_: Any) -> bool | None:
        """Let records refer to users elsewhere."""
        return True if _is(first) or _is(second) else None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_: Any) -> bool | None:
        """Make the tables of the records there, and nothing else."""
        there = get_settings().database
        if is_record(app_label, model_name):
            return db == there
        return False if db == there != DEFAULT_DB_ALIAS else None


def _is(model: models.Model | type[models.Model]) -> bool:
    return is_record(model._meta.app_label, model._meta.model_name)
