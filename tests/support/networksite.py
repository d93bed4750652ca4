"""Workers of tests/browser/net_site.py, which share a database and, where they are told to, Redis."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from websupport import ROOT, Site, running_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PLACE = ROOT / "tests" / "browser"


@contextmanager
def worker(
    emulator: Any, state: Path, *, continuation: dict[str, float] | None = None, **settings: Any
) -> Iterator[Site]:
    """Serve the site; `state` is the folder of the workers' common database, `settings` are of ``NOVASONIC``."""
    told = {
        "NOVASONIC_NET_SETTINGS": json.dumps({"HANDSHAKES_PER_MINUTE": 10_000, **settings}),
        "NOVASONIC_NET_CONTINUATION": json.dumps(continuation or {}),
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        with running_site(
            "net_site:application", emulator, state=state, path=_PLACE, settings="net_settings"
        ) as running:
            yield running
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Address:
    """Where a browser finds a site that stands behind something else."""

    def __init__(self, port: int) -> None:
        self.port = port
