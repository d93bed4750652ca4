"""The Channels layer between workers: what is said to all of them, and what one answers. Never the truth, a nudge."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from channels.layers import InMemoryChannelLayer, get_channel_layer

from .shared import attempt, stop

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROUP", "ask", "between_workers", "say"]

logger = logging.getLogger(__name__)

GROUP: Final = "novasonic.workers"
# Channels routes by type; ours is for our own receive loop and never for a consumer.
_TYPE: Final = "novasonic.order"


def between_workers() -> Any:
    """Return the layer that reaches other processes; None where there is none.

    One in memory reaches nobody that is not reached directly.
    """
    layer = get_channel_layer()
    return None if layer is None or isinstance(layer, InMemoryChannelLayer) else layer


async def say(order: dict[str, Any]) -> None:
    """Send `order` to all workers that hold conversations; this one too, which knows it by its ``from``."""
    if (layer := between_workers()) is not None:
        await attempt("Sending to the other workers", layer.group_send(GROUP, {"type": _TYPE, **order}))


async def ask(
    order: dict[str, Any], *, seconds: float, enough: Callable[[list[Any]], bool] = lambda answers: False
) -> list[Any]:
    """Send `order` to all workers and return what they answer within `seconds`, or until it is `enough`."""
    layer = between_workers()
    if layer is None:
        return []
    answers: list[Any] = []

    async def collect() -> None:
        channel = await layer.new_channel()
        await layer.group_send(GROUP, {"type": _TYPE, **order, "reply": channel})
        while not enough(answers):
            answers.append((await layer.receive(channel))["answer"])

    collecting = asyncio.create_task(collect(), name="novasonic-ask-workers")
    try:
        # Nobody knows how many there are: that no more answers come is how it ends.
        await asyncio.wait({collecting}, timeout=seconds)
    finally:
        [outcome] = await stop([collecting])
    if isinstance(outcome, Exception):
        logger.warning("Asking the other workers did not work: %s", type(outcome).__name__)
    return answers
