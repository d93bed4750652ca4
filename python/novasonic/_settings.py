"""Checks of what `NovaSonic.connect` is given, and the rows that the core takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from novasonic.config import Continuation, Limits, Message, Timeouts
from novasonic.exceptions import ConfigError
from novasonic.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# What audio devices have; the core resamples all but the service's own 8, 16 and 24 kHz.
_LOWEST_RATE = 8_000
_HIGHEST_RATE = 192_000
_TURN_TAKING = ("high", "medium", "low")


def require_text(name: str, value: object, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    if not isinstance(value, str) or not value.strip():
        shown = type(value).__name__ if not isinstance(value, str) else "empty"
        raise ConfigError(f"{name} must be a non-empty string; it is {shown}.", code=f"invalid_{name}")


def require_region(value: str | None) -> None:
    # It becomes a label of the service's host name: a dot or a slash would name another host.
    if value is not None and not _REGION.fullmatch(value):
        raise ConfigError(f"region is {value!r}.", code="invalid_region", cure="Write it as AWS does: us-east-1.")


def require_rate(name: str, hz: object) -> None:
    if type(hz) is not int or not _LOWEST_RATE <= hz <= _HIGHEST_RATE:
        raise ConfigError(
            f"{name} is {hz!r}.",
            code="sample_rate",
            cure=f"Give a whole number of Hz from {_LOWEST_RATE} to {_HIGHEST_RATE}.",
        )


def require_count(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**32:
        raise ConfigError(f"{name} is {value!r}.", code=f"invalid_{name}", cure="Give a whole number above 0, or None.")


def require_first_turn(value: object) -> None:
    # Half of what the core can count is left for the turns to come.
    if type(value) is not int or not 0 < value < 2**31:
        raise ConfigError(
            f"first_turn is {value!r}.",
            code="invalid_first_turn",
            cure="Give the number of the next turn: one more than the last turn so far.",
        )


def require_share(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value!r}.", code=f"invalid_{name}", cure="Give a number from 0 to 1, or None.")


def history_rows(history: Iterable[Message]) -> list[tuple[str, str]]:
    messages = list(history)
    for message in messages:
        if not isinstance(message, Message):
            raise ConfigError(
                f"history holds a {type(message).__name__}.",
                code="invalid_history",
                cure='Give novasonic.Message("user" or "assistant", text).',
            )
    if messages and messages[0].role != "user":
        raise ConfigError(
            "history begins with a message of the assistant, which the service refuses.",
            code="invalid_history",
            cure="Begin it with a message of the user.",
        )
    return [(message.role, message.text) for message in messages]


def require_turn_taking(value: object) -> None:
    if value is not None and value not in _TURN_TAKING:
        raise ConfigError(
            f"turn_taking is {value!r}.", code="invalid_turn_taking", cure='Use "high", "medium", "low" or None.'
        )


def tool_choice_name(choice: object) -> str | None:
    """Return what the core takes: None, ``"any"`` or a tool's name, which must be among the tools."""
    name = choice.name if isinstance(choice, Tool) else choice
    if name is None or name == "auto":
        return None
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"tool_choice is a {type(choice).__name__}.",
            code="invalid_tool_choice",
            cure='Give "any", a tool or its name, or None.',
        )
    return name


def limits_row(limits: Limits | None) -> tuple[float | None, float | None, int | None, float | None]:
    """Return `limits` as the core takes them."""
    limits = limits or Limits()
    return limits.seconds, limits.idle_seconds, limits.tokens, limits.usd


def continuation_row(continuation: Continuation | None) -> tuple[float, float, float, float, int, int, int] | None:
    """Return `continuation` as the core takes it."""
    if continuation is None:
        return None
    if not isinstance(continuation, Continuation):
        raise ConfigError(
            f"continuation is a {type(continuation).__name__}.",
            code="invalid_continuation",
            cure="Give novasonic.Continuation(...), or None to end the conversation with its stream.",
        )
    return (
        continuation.renew_after,
        continuation.force_after,
        continuation.idle_after,
        continuation.before_expiry,
        continuation.attempts,
        continuation.restarts_per_hour,
        continuation.history_bytes,
    )


def timeouts_row(timeouts: Timeouts) -> tuple[float, float, float, float, float, float]:
    """Return `timeouts` as the core takes them; twin of ``TimeoutsRow`` in src/bindings/client.rs."""
    return timeouts.open, timeouts.close, timeouts.peer, timeouts.stall, timeouts.first_event, timeouts.turn
