"""Conversations, turns, tool calls, usage, and who has looked at them."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import novasonic.contrib.django.records.references


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name="when")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("read", "read"),
                            ("listened", "listened"),
                            ("exported", "exported"),
                            ("hung_up", "hung up"),
                            ("deleted", "deleted"),
                            ("credentials", "credentials issued"),
                            ("drained", "worker drained"),
                        ],
                        max_length=20,
                        verbose_name="action",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        blank=True,
                        help_text="As it was then; empty: a command of the site.",
                        max_length=150,
                        verbose_name="name",
                    ),
                ),
                ("conversation", models.UUIDField(blank=True, db_index=True, null=True, verbose_name="conversation")),
                ("owner", models.CharField(blank=True, max_length=255, verbose_name="owner")),
                ("detail", models.CharField(blank=True, max_length=200, verbose_name="detail")),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=novasonic.contrib.django.records.references.forget_user,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "access record",
                "verbose_name_plural": "access records",
                "ordering": ("-at",),
            },
        ),
        migrations.CreateModel(
            name="Conversation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False, verbose_name="id"
                    ),
                ),
                (
                    "owner",
                    models.CharField(
                        blank=True,
                        db_index=True,
                        help_text="Who pays; empty: nobody known.",
                        max_length=255,
                        verbose_name="owner",
                    ),
                ),
                ("consumer", models.CharField(blank=True, max_length=200, verbose_name="consumer")),
                ("model", models.CharField(blank=True, max_length=200, verbose_name="model")),
                ("region", models.CharField(blank=True, max_length=40, verbose_name="region")),
                ("voice", models.CharField(blank=True, max_length=40, verbose_name="voice")),
                (
                    "generation",
                    models.PositiveIntegerField(
                        default=1,
                        help_text="Raised by each worker that takes it over; lower ones write no more.",
                        verbose_name="generation",
                    ),
                ),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="started")),
                (
                    "updated_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name="last written"),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                ("reason", models.CharField(blank=True, max_length=20, verbose_name="ended by")),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error")),
                ("speech_in", models.PositiveBigIntegerField(default=0, verbose_name="speech tokens heard")),
                ("text_in", models.PositiveBigIntegerField(default=0, verbose_name="text tokens read")),
                ("speech_out", models.PositiveBigIntegerField(default=0, verbose_name="speech tokens spoken")),
                ("text_out", models.PositiveBigIntegerField(default=0, verbose_name="text tokens written")),
                ("usd", models.DecimalField(decimal_places=6, default=0, max_digits=14, verbose_name="cost (USD)")),
                ("transcripts", models.CharField(blank=True, max_length=10, verbose_name="transcripts")),
                ("consented", models.BooleanField(default=False, verbose_name="agreed to be recorded")),
                (
                    "recordings",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Names of files in the storage of the recordings.",
                        verbose_name="recordings",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=novasonic.contrib.django.records.references.forget_user,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "conversation",
                "verbose_name_plural": "conversations",
                "ordering": ("-started_at",),
                "permissions": (
                    ("view_transcript", "Can read and hear what was said"),
                    ("hang_up_conversation", "Can hang up"),
                ),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ToolCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("call_id", models.CharField(max_length=100, verbose_name="id of the call")),
                ("turn", models.PositiveIntegerField(default=0, help_text="0: outside a turn.", verbose_name="turn")),
                ("name", models.CharField(max_length=100, verbose_name="tool")),
                ("arguments", models.JSONField(blank=True, null=True, verbose_name="arguments")),
                ("result", models.JSONField(blank=True, null=True, verbose_name="result")),
                (
                    "ok",
                    models.BooleanField(
                        help_text="Unknown: it did not come to its end.", null=True, verbose_name="succeeded"
                    ),
                ),
                ("seconds", models.FloatField(blank=True, null=True, verbose_name="seconds")),
                ("started_at", models.DateTimeField(verbose_name="started")),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tool_calls",
                        to="novasonic.conversation",
                        verbose_name="conversation",
                    ),
                ),
            ],
            options={
                "verbose_name": "tool call",
                "verbose_name_plural": "tool calls",
                "ordering": ("conversation", "started_at"),
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(fields=("conversation", "call_id"), name="novasonic_toolcall_call")
                ],
            },
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("user_text", models.TextField(blank=True, verbose_name="user")),
                (
                    "assistant_text",
                    models.TextField(blank=True, help_text="As far as it was heard.", verbose_name="assistant"),
                ),
                (
                    "withheld",
                    models.BooleanField(
                        default=False,
                        help_text="Its text could not be redacted, and was not written.",
                        verbose_name="withheld",
                    ),
                ),
                ("interrupted", models.BooleanField(default=False, verbose_name="interrupted")),
                ("started_at", models.DateTimeField(verbose_name="started")),
                ("seconds", models.FloatField(blank=True, null=True, verbose_name="seconds")),
                (
                    "response_seconds",
                    models.FloatField(
                        blank=True,
                        help_text="From the last word to the first sound.",
                        null=True,
                        verbose_name="seconds to the answer",
                    ),
                ),
                ("generation", models.PositiveIntegerField(default=1, verbose_name="generation")),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="turns",
                        to="novasonic.conversation",
                        verbose_name="conversation",
                    ),
                ),
            ],
            options={
                "verbose_name": "turn",
                "verbose_name_plural": "turns",
                "ordering": ("conversation", "number"),
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(fields=("conversation", "number"), name="novasonic_turn_number")
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("generation", models.PositiveIntegerField(default=1, verbose_name="generation")),
                ("turn", models.PositiveIntegerField(default=0, help_text="0: outside a turn.", verbose_name="turn")),
                ("speech_in", models.PositiveBigIntegerField(default=0, verbose_name="speech tokens heard")),
                ("text_in", models.PositiveBigIntegerField(default=0, verbose_name="text tokens read")),
                ("speech_out", models.PositiveBigIntegerField(default=0, verbose_name="speech tokens spoken")),
                ("text_out", models.PositiveBigIntegerField(default=0, verbose_name="text tokens written")),
                ("usd", models.DecimalField(decimal_places=6, default=0, max_digits=14, verbose_name="cost (USD)")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="told at")),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="usage",
                        to="novasonic.conversation",
                        verbose_name="conversation",
                    ),
                ),
            ],
            options={
                "verbose_name": "usage record",
                "verbose_name_plural": "usage records",
                "ordering": ("conversation", "turn"),
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        fields=("conversation", "generation", "turn"), name="novasonic_usagerecord_turn"
                    )
                ],
            },
        ),
    ]
