"""References from the records to the site's users, who may live in another database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novasonic.contrib.django.conf import get_settings

from .tables import is_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Field, Model, QuerySet
    from django.db.models.deletion import Collector


def forget_user(
    collector: Collector,
    field: Field[Any, Any],
    sub_objs: QuerySet[Model] | Sequence[Model],
    using: str,
) -> None:
    """Set the reference to NULL as ``SET_NULL`` does, in the database of the records.

    ``SET_NULL`` itself looks for rows in the database of the user that is deleted, where there may be no such table.
    """
    if is_record(field.model._meta.app_label, field.model._meta.model_name):
        using = get_settings().database
    rows = sub_objs.using(using)  # type: ignore[union-attr]  # a query set, by `lazy_sub_objs`
    collector.add_field_update(field, None, rows)


# Django hands over the query and not its result.
forget_user.lazy_sub_objs = True  # type: ignore[attr-defined]
