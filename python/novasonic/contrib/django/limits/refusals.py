"""What a page is told that may not have a conversation, or not go on with it."""

from __future__ import annotations

from typing import Final

from novasonic.contrib.asgi.companion import Refused
from novasonic.contrib.asgi.wire import CloseCode

__all__ = ["REFUSALS", "refusal"]

_CAPACITY = "All lines are busy. Try again in a moment."
# What the page is told, by why; none says how many there are, or who else talks.
REFUSALS: Final[dict[str, tuple[CloseCode, str, str, bool]]] = {
    "process": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "site": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "streams": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "waited": (CloseCode.NO_CAPACITY, "no_capacity", _CAPACITY, True),
    "owner": (CloseCode.TOO_MANY, "too_many_conversations", "You are in as many conversations as you may be.", True),
    "owner_minutes": (CloseCode.TOO_MANY, "minutes_used_up", "You have talked as long as you may today.", False),
    "owner_usd": (CloseCode.TOO_MANY, "budget_used_up", "You have used up what you may today.", False),
    "site_minutes": (CloseCode.NO_CAPACITY, "site_used_up", "This site has used up its day.", False),
    "site_usd": (CloseCode.NO_CAPACITY, "site_used_up", "This site has used up its day.", False),
    "seconds": (CloseCode.TOO_MANY, "conversation_too_long", "This conversation has lasted as long as it may.", False),
    "lost": (CloseCode.TAKEN_OVER, "taken_over", "The conversation goes on elsewhere.", False),
}


def refusal(reason: str) -> Refused:
    """Return what to raise for one of the reasons in `REFUSALS`."""
    close, code, message, retryable = REFUSALS[reason]
    return Refused(close, code, message, retryable=retryable)
