"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["ok", "note", "failed", "skipped"]
"""``note``: it works, and you should know; ``skipped``: it could not be looked at, or need not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; no part of it holds a secret."""

    name: str
    state: State
    message: str
    cure: str | None = None
    code: str | None = None
    """Which of several failures it is, for programs."""
