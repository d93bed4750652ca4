"""Importing novasonic and configuring a client starts no thread and opens no descriptor."""

import threading
from pathlib import Path


def listing(directory):
    return sorted(entry.name for entry in Path("/proc/self", directory).iterdir())


before = listing("fd")
import novasonic  # noqa: E402

novasonic.NovaSonic(region="us-east-1")
assert threading.active_count() == 1
assert len(listing("task")) == 1
assert listing("fd") == before
