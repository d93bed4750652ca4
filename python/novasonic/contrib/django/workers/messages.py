"""Orders to whichever worker holds a conversation: this process directly, the others over the layer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import async_to_sync

from . import layer, supervisor
from .shared import SHARED_SECONDS, attempt, worker_id

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

__all__ = ["ask", "broadcast", "broadcast_from_anywhere", "take_over"]

ANSWER_SECONDS: Final = 1.0

_sending: set[asyncio.Task[None]] = set()


def take_over(conversation_id: uuid.UUID, generation: int) -> dict[str, Any]:
    """Order everybody with a lower generation of this conversation to let go of it."""
    return {"do": "taken_over", "id": str(conversation_id), "generation": generation}


async def broadcast(order: dict[str, Any]) -> None:
    """Have every worker carry out `order`."""
    _here(order)
    await layer.say({**order, "from": worker_id()})


def broadcast_from_anywhere(order: dict[str, Any]) -> None:
    """Have every worker carry out `order`; from a signal's receiver, which may be on a loop or in any thread."""
    _here(order)
    if layer.between_workers() is None:
        return
    saying = layer.say({**order, "from": worker_id()})
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(_await)(saying)
    else:
        task = loop.create_task(saying)
        _sending.add(task)
        task.add_done_callback(_sending.discard)


async def ask(
    order: dict[str, Any],
    *,
    seconds: float = ANSWER_SECONDS,
    enough: Callable[[list[Any]], bool] = lambda answers: False,
) -> list[Any]:
    """Have every worker carry out `order`, and return their answers as far as they come in time."""
    answers = []
    for one in supervisor.all_here():
        if one.loop is asyncio.get_running_loop():
            answer = one.obey(order)
        else:
            elsewhere = asyncio.run_coroutine_threadsafe(_obey(one, order), one.loop)
            answer = await attempt("Asking another loop", asyncio.wrap_future(elsewhere), seconds=SHARED_SECONDS)
        if answer is not None:
            answers.append(answer)
    if not enough(answers):
        answers += await layer.ask({**order, "from": worker_id()}, seconds=seconds, enough=enough)
    return answers


def _here(order: dict[str, Any]) -> None:
    for one in supervisor.all_here():
        try:
            one.loop.call_soon_threadsafe(one.obey, order)
        except RuntimeError:  # its loop has been closed, and its conversations with it
            continue


async def _obey(one: supervisor.Supervisor, order: dict[str, Any]) -> Any:
    return one.obey(order)


async def _await(doing: Any) -> None:
    await doing
