"""The tables of the records as abstract models, for sites that want their own columns.

A site's own models are called ``Conversation``, ``Turn``, ``ToolCall`` and ``UsageRecord`` and live in one application,
which ``NOVASONIC["RECORDS_APP"]`` names: the references between them are resolved there.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .references import forget_user
from .tables import RecordsManager

OWNER_LIMIT = 255
TEXT_LIMIT = 16_000
"""Characters of one side of a turn, of arguments, of a result; what is longer is cut."""


class AbstractConversation(models.Model):
    """What a user has; it may have been on several workers, one after the other."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.CharField(
        _("owner"), max_length=OWNER_LIMIT, blank=True, db_index=True, help_text=_("Who pays; empty: nobody known.")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=forget_user,
        related_name="+",
        # Users may be in another database, where nothing could hold the reference together.
        db_constraint=False,
    )
    consumer = models.CharField(_("consumer"), max_length=200, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True)
    voice = models.CharField(_("voice"), max_length=40, blank=True)
    generation = models.PositiveIntegerField(
        _("generation"), default=1, help_text=_("Raised by each worker that takes it over; lower ones write no more.")
    )
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    updated_at = models.DateTimeField(_("last written"), default=timezone.now, db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    reason = models.CharField(_("ended by"), max_length=20, blank=True)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    speech_in = models.PositiveBigIntegerField(_("speech tokens heard"), default=0)
    text_in = models.PositiveBigIntegerField(_("text tokens read"), default=0)
    speech_out = models.PositiveBigIntegerField(_("speech tokens spoken"), default=0)
    text_out = models.PositiveBigIntegerField(_("text tokens written"), default=0)
    usd = models.DecimalField(_("cost (USD)"), max_digits=14, decimal_places=6, default=0)
    transcripts = models.CharField(_("transcripts"), max_length=10, blank=True)
    consented = models.BooleanField(_("agreed to be recorded"), default=False)
    recordings = models.JSONField(
        _("recordings"), default=list, blank=True, help_text=_("Names of files in the storage of the recordings.")
    )
    client_reported = models.BooleanField(
        _("told by the page"),
        default=False,
        # By the database too: a worker of the release before writes rows while this one is rolled out.
        db_default=False,
        help_text=_("As its user's page told it, which talked to the service by itself; nobody has checked it."),
    )
    last_report = models.PositiveIntegerField(
        _("last report"), default=0, db_default=0, help_text=_("Number of the last one that its page sent.")
    )

    objects: ClassVar[RecordsManager[Any]] = RecordsManager()

    class Meta:
        abstract = True
        ordering = ("-started_at",)
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        permissions = (
            ("view_transcript", _("Can read and hear what was said")),
            ("hang_up_conversation", _("Can hang up")),
        )

    def __str__(self) -> str:
        return str(self.id)


class AbstractTurn(models.Model):
    """One exchange, user then assistant."""

    conversation_id: uuid.UUID
    conversation = models.ForeignKey(
        "Conversation", verbose_name=_("conversation"), on_delete=models.CASCADE, related_name="turns"
    )
    number = models.PositiveIntegerField(_("number"))
    user_text = models.TextField(_("user"), blank=True)
    assistant_text = models.TextField(_("assistant"), blank=True, help_text=_("As far as it was heard."))
    withheld = models.BooleanField(
        _("withheld"), default=False, help_text=_("Its text could not be redacted, and was not written.")
    )
    interrupted = models.BooleanField(_("interrupted"), default=False)
    started_at = models.DateTimeField(_("started"))
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    response_seconds = models.FloatField(
        _("seconds to the answer"), null=True, blank=True, help_text=_("From the last word to the first sound.")
    )
    generation = models.PositiveIntegerField(_("generation"), default=1)
    client_reported = models.BooleanField(_("told by the page"), default=False, db_default=False)

    objects: ClassVar[RecordsManager[Any]] = RecordsManager()

    class Meta:
        abstract = True
        ordering = ("conversation", "number")
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        constraints = (
            models.UniqueConstraint(fields=["conversation", "number"], name="%(app_label)s_%(class)s_number"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.number}"


class AbstractToolCall(models.Model):
    """What the model had done."""

    conversation_id: uuid.UUID
    conversation = models.ForeignKey(
        "Conversation", verbose_name=_("conversation"), on_delete=models.CASCADE, related_name="tool_calls"
    )
    call_id = models.CharField(_("id of the call"), max_length=100)
    turn = models.PositiveIntegerField(_("turn"), default=0, help_text=_("0: outside a turn."))
    name = models.CharField(_("tool"), max_length=100)
    arguments = models.JSONField(_("arguments"), null=True, blank=True)
    result = models.JSONField(_("result"), null=True, blank=True)
    ok = models.BooleanField(_("succeeded"), null=True, help_text=_("Unknown: it did not come to its end."))
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"))

    objects: ClassVar[RecordsManager[Any]] = RecordsManager()

    class Meta:
        abstract = True
        ordering = ("conversation", "started_at")
        verbose_name = _("tool call")
        verbose_name_plural = _("tool calls")
        constraints = (
            models.UniqueConstraint(fields=["conversation", "call_id"], name="%(app_label)s_%(class)s_call"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.turn} {self.name}"


class AbstractUsageRecord(models.Model):
    """What one turn cost, as one worker was told, or as the page says."""

    conversation_id: uuid.UUID
    conversation = models.ForeignKey(
        "Conversation", verbose_name=_("conversation"), on_delete=models.CASCADE, related_name="usage"
    )
    generation = models.PositiveIntegerField(_("generation"), default=1)
    turn = models.PositiveIntegerField(_("turn"), default=0, help_text=_("0: outside a turn."))
    speech_in = models.PositiveBigIntegerField(_("speech tokens heard"), default=0)
    text_in = models.PositiveBigIntegerField(_("text tokens read"), default=0)
    speech_out = models.PositiveBigIntegerField(_("speech tokens spoken"), default=0)
    text_out = models.PositiveBigIntegerField(_("text tokens written"), default=0)
    usd = models.DecimalField(_("cost (USD)"), max_digits=14, decimal_places=6, default=0)
    at = models.DateTimeField(_("told at"), default=timezone.now)
    client_reported = models.BooleanField(_("told by the page"), default=False, db_default=False)

    objects: ClassVar[RecordsManager[Any]] = RecordsManager()

    class Meta:
        abstract = True
        ordering = ("conversation", "turn")
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")
        constraints = (
            models.UniqueConstraint(fields=["conversation", "generation", "turn"], name="%(app_label)s_%(class)s_turn"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.turn}"
