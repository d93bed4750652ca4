"""What a model is told of a conversation that goes on, shaped by the service's rules.

The first message is the user's, neighbours of one role are merged, what is newest is kept;
``src/conversation/retold.rs`` does the same where a stream is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import novasonic

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["history_of"]

# The service takes 50 KiB in one message and 200 KiB in all; what the site's own prompt needs is left.
MESSAGE_BYTES = 48 * 1024
HISTORY_BYTES = 150 * 1024


def history_of(turns: Iterable[tuple[str, str]]) -> tuple[novasonic.Message, ...]:
    """Return the messages of turns, oldest first: what the user said, what was heard of the answer."""
    merged: list[tuple[str, str]] = []
    for user, assistant in turns:
        for role, text in (("user", user.strip()), ("assistant", assistant.strip())):
            if text and merged and merged[-1][0] == role:
                merged[-1] = (role, f"{merged[-1][1]}\n{text}")
            elif text:
                merged.append((role, text))
    return tuple(_newest(merged))


def _newest(merged: list[tuple[str, str]]) -> list[novasonic.Message]:
    left = HISTORY_BYTES
    kept: list[novasonic.Message] = []
    for role, text in reversed(merged):
        text = text.encode()[-MESSAGE_BYTES:].decode(errors="ignore").strip()
        left -= len(text.encode())
        if left < 0:
            break
        if text:
            kept.append(novasonic.Message(role, text))  # type: ignore[arg-type]  # one of the two
    while kept and kept[-1].role != "user":
        kept.pop()
    return kept[::-1]
