"""``manage.py novasonic_prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.records.access import write_access
from novasonic.contrib.django.records.erase import Erased, delete_of, prune
from novasonic.contrib.django.records.people import find_user


class Command(BaseCommand):
    """Delete records that are too old, or everything of one person."""

    help = (
        "Deletes conversations older than NOVASONIC['RETENTION_DAYS'], or everything of one owner or user; files too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is to be deleted."""
        whose = parser.add_mutually_exclusive_group()
        whose.add_argument("--days", type=int, help="another age than NOVASONIC['RETENTION_DAYS']")
        whose.add_argument("--owner", help="everything of this owner, whatever its age")
        whose.add_argument("--user", help="everything of the user of this name, whatever its age")
        parser.add_argument("--access-days", type=int, help="also the audit (who read what) older than this; else kept")
        parser.add_argument("--dry-run", action="store_true", help="only say how much it would be")

    def handle(self, **options: Any) -> None:
        """Delete."""
        if options["owner"] == "":
            raise CommandError("--owner is empty, and so is the key of all whom nobody knows.")
        dry_run = options["dry_run"]
        erased = self._erase(options, dry_run=dry_run)
        words = "would be deleted" if dry_run else "deleted"
        self.stdout.write(f"{erased.conversations} conversations and {erased.files} recordings {words}.")
        if options["access_days"] is not None:
            old = AccessRecord.objects.filter(at__lt=timezone.now() - timedelta(days=options["access_days"]))
            count = old.count() if dry_run else old.delete()[0]
            self.stdout.write(f"{count} access records {words}.")
        if erased.failed:
            raise CommandError(
                f"{erased.failed} conversations stay: their recordings could not be deleted (see the log)."
            )

    def _erase(self, options: dict[str, Any], *, dry_run: bool) -> Erased:
        if options["owner"] is None and options["user"] is None:
            if options["days"] is None and get_settings().retention_days is None:
                self.stdout.write("NOVASONIC['RETENTION_DAYS'] is None: nothing is too old.")
            return prune(options["days"], dry_run=dry_run)
        user = None
        if options["user"] is not None:
            user = find_user(options["user"])
            if user is None:
                raise CommandError("There is no such user. Of one who was deleted, give the key: --owner.")
        if not dry_run:
            owner = options["owner"] or f"user {user.pk}" if user is not None else options["owner"]
            write_access(AccessRecord.Action.DELETED, owner=owner, detail="novasonic_prune")
        return delete_of(owner=options["owner"], user=user, dry_run=dry_run)
