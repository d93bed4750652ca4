"""``novasonic_drain``: empty a worker before it is stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.workers import layer, supervision

if TYPE_CHECKING:
    from argparse import ArgumentParser

POLL_SECONDS = 0.25
# Beyond the time that the worker has: for the last sockets to close and the list to say so.
GRACE_SECONDS = 5.0


class Command(BaseCommand):
    """Lets a worker's conversations go on elsewhere, and returns when it holds none."""

    help = (
        "Empty a worker before it is stopped: it takes no new conversations, and sends its present ones to others at "
        "the end of their turn. Returns when it holds none any more. It cannot be undone: stop the worker then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--worker", metavar="ID", help="As novasonic_sessions lists it.")
        which.add_argument("--pid", type=int, help="Of a worker's process on this host.")
        parser.add_argument(
            "--seconds",
            type=float,
            help='What does not end in this time is cut off. Default: NOVASONIC["DRAIN_SECONDS"].',
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        settings = get_settings()
        seconds = settings.drain_seconds if options["seconds"] is None else options["seconds"]
        if seconds < 0:
            raise CommandError("--seconds must not be negative.")
        if layer.between_workers() is None and settings.redis_url is None:
            raise CommandError(
                'A worker is reached over NOVASONIC["REDIS_URL"] or a channel layer of channels_redis '
                '(CHANNEL_LAYERS["default"]); neither is set.'
            )
        # Nobody answers for an idle worker, nor for one that is not there: a mistyped number would drain nothing, and
        # be told that it had.
        if options["pid"] is not None and not _runs(options["pid"]):
            raise CommandError(f"No process {options['pid']} runs on this host.")
        worker = options["worker"] or f"{socket.gethostname()}:{options['pid']}"
        asyncio.run(self._drain(worker, seconds))

    async def _drain(self, worker: str, seconds: float) -> None:
        if not await supervision.drain_worker(worker, seconds):
            raise CommandError(
                f"The worker {worker} does not answer. If it holds no conversation it does not listen; set "
                'NOVASONIC["REDIS_URL"], so that it finds the order before it takes one.'
            )
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        while (left := await self._left(worker)) > 0:
            if time.monotonic() > deadline:
                raise CommandError(f"The worker {worker} still holds {left} conversations. Is it stuck?")
            await asyncio.sleep(POLL_SECONDS)
        self.stdout.write(f"The worker {worker} holds no conversations.")

    async def _left(self, worker: str) -> int:
        return sum(len(known.conversations) for known in await supervision.workers() if known.id == worker)


def _runs(pid: int) -> bool:
    if os.name != "posix":
        return True  # there os.kill() has no signal that only asks
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid > 0
