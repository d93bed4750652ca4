"""The records of conversations, and of who has looked at them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .records.bases import (
    OWNER_LIMIT,
    AbstractConversation,
    AbstractToolCall,
    AbstractTurn,
    AbstractUsageRecord,
)
from .records.references import forget_user
from .records.tables import RecordsManager

__all__ = [
    "AbstractConversation",
    "AbstractToolCall",
    "AbstractTurn",
    "AbstractUsageRecord",
    "AccessRecord",
    "Conversation",
    "ToolCall",
    "Turn",
    "UsageRecord",
]


class Conversation(AbstractConversation):
    """A conversation, where the site has no model of its own for it."""


class Turn(AbstractTurn):
    """A turn of a `Conversation`."""


class ToolCall(AbstractToolCall):
    """A tool call of a `Conversation`."""


class UsageRecord(AbstractUsageRecord):
    """What a turn of a `Conversation` cost."""


class AccessRecord(models.Model):
    """Who looked at, took out or ended what. It outlives the conversation, and holds nothing of what was said."""

    class Action(models.TextChoices):
        """What was done."""

        READ = "read", _("read")
        LISTENED = "listened", _("listened")
        EXPORTED = "exported", _("exported")
        HUNG_UP = "hung_up", _("hung up")
        DELETED = "deleted", _("deleted")
        CREDENTIALS = "credentials", _("credentials issued")
        DRAINED = "drained", _("worker drained")

    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)
    action = models.CharField(_("action"), max_length=20, choices=Action.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=forget_user,
        related_name="+",
        db_constraint=False,
    )
    username = models.CharField(
        _("name"), max_length=150, blank=True, help_text=_("As it was then; empty: a command of the site.")
    )
    conversation = models.UUIDField(_("conversation"), null=True, blank=True, db_index=True)
    owner = models.CharField(_("owner"), max_length=OWNER_LIMIT, blank=True)
    detail = models.CharField(_("detail"), max_length=200, blank=True)

    objects: ClassVar[RecordsManager[Any]] = RecordsManager()

    class Meta:
        ordering = ("-at",)
        verbose_name = _("access record")
        verbose_name_plural = _("access records")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.username} {self.action} {self.conversation or ''}".rstrip()
