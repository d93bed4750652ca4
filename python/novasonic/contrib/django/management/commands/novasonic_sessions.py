"""``novasonic_sessions``: who is talking, on which worker; and hanging up."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.workers import layer, supervision

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Lists the conversations of all workers, or ends one."""

    help = "List the conversations of all workers, or end one of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--hang-up", metavar="ID", type=uuid.UUID, help="End this conversation; it is not resumed.")
        parser.add_argument("--json", action="store_true", help="Print JSON, one object for each worker.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        if layer.between_workers() is None and get_settings().redis_url is None:
            raise CommandError(
                'This command reaches the workers over NOVASONIC["REDIS_URL"] or a channel layer of channels_redis '
                '(CHANNEL_LAYERS["default"]); neither is set.'
            )
        if options["hang_up"] is not None:
            self._hang_up(options["hang_up"])
            return
        found = asyncio.run(supervision.workers())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(worker) for worker in found], indent=2))
            return
        for worker in found:
            self.stdout.write(f"{worker.id}: {len(worker.conversations)} talking{', draining' * worker.draining}")
            for one in worker.conversations:
                minutes = max(0.0, (datetime.now(UTC) - one.started).total_seconds() / 60)
                self.stdout.write(
                    f"  {one.id}  owner {one.owner or '-'}  turn {one.turn}  {minutes:.1f} min"
                    f"  {one.region or ''}".rstrip()
                )
        self.stdout.write(f"{sum(len(worker.conversations) for worker in found)} conversations.")

    def _hang_up(self, conversation_id: uuid.UUID) -> None:
        if layer.between_workers() is None:
            raise CommandError('Hanging up needs a channel layer of channels_redis: set CHANNEL_LAYERS["default"].')
        if not asyncio.run(supervision.hang_up(conversation_id)):
            raise CommandError(f"No worker answers that it holds {conversation_id}. Was it over already?")
        self.stdout.write(f"{conversation_id} was hung up.")
