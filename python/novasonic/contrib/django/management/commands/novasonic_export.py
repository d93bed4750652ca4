"""``manage.py novasonic_export``."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.records.access import write_access
from novasonic.contrib.django.records.export import write_json
from novasonic.contrib.django.records.people import find_user
from novasonic.contrib.django.records.rows import owner_key
from novasonic.contrib.django.records.tables import rows_of, tables


class Command(BaseCommand):
    """Write what is kept of one conversation, owner or user as JSON."""

    help = "Writes what is kept of one conversation, or of one owner or user, as JSON. It is audited."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whose conversations."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--conversation", type=uuid.UUID)
        whose.add_argument("--owner", help="as the consumer's get_owner gives it")
        whose.add_argument("--user", help="name of a user")
        parser.add_argument("--output", type=Path, help="file to write; standard output otherwise")

    def handle(self, **options: Any) -> None:
        """Write it."""
        if options["owner"] == "":
            raise CommandError("--owner is empty, and so is the key of all whom nobody knows.")
        conversations = rows_of(tables().conversation)
        if options["conversation"] is not None:
            conversations = conversations.filter(pk=options["conversation"])
        elif options["owner"] is not None:
            conversations = conversations.filter(owner=owner_key(options["owner"]))
        else:
            user = find_user(options["user"])
            if user is None:
                raise CommandError("There is no such user. Of one who was deleted, give the key: --owner.")
            conversations = conversations.filter(user_id=user.pk)
        for conversation in conversations.only("pk", "owner").iterator():
            write_access(
                AccessRecord.Action.EXPORTED,
                conversation=conversation.pk,
                owner=conversation.owner,
                detail="novasonic_export",
            )
        if options["output"] is None:
            count = write_json(conversations, self.stdout)
        else:
            with options["output"].open("w", encoding="utf-8") as file:
                count = write_json(conversations, file)
        self.stderr.write(f"{count} conversations")
