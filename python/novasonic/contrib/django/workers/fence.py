"""Who holds a conversation: whoever has its highest generation.

A worker that was frozen, or cut off, and comes back has lost its conversations without knowing it. It learns of it by
a message on the layer, by the records that refuse its rows, and here: before a tool runs, and after the process stood
still, the generation is looked up.
"""

from __future__ import annotations

import importlib
import logging
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from novasonic.contrib.django.conf import get_settings

from .shared import attempt, open_redis

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable, Iterable

    import novasonic
    from novasonic.contrib.asgi.companion import Conversation

__all__ = ["Claimed", "ConversationStore", "announce", "fenced", "holds", "store"]

logger = logging.getLogger(__name__)

# Longer than any worker stays frozen and comes back.
_KEPT_SECONDS: Final = 86_400
_KEPT_HERE: Final = 10_000
_ANNOUNCE: Final = """
local known = redis.call('GET', KEYS[1])
if not known or tonumber(known) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""

# Of conversations that were resumed, as far as this process was told.
_taken_here: OrderedDict[uuid.UUID, int] = OrderedDict()


class Claimed(Protocol):
    """A conversation as the records have it, for whoever has just claimed it."""

    @property
    def generation(self) -> int:
        """One higher than it was."""

    @property
    def next_turn(self) -> int:
        """Number of its next turn."""

    @property
    def history(self) -> tuple[novasonic.Message, ...]:
        """What was said."""

    @property
    def usd(self) -> float:
        """What it cost so far."""


class ConversationStore(Protocol):
    """What the records know of conversations that other workers began."""

    async def claim(self, conversation_id: uuid.UUID, owner: str | None, generation: int) -> Claimed | None:
        """Take over a conversation that stands at `generation` and has not been ended; raise its generation by one.

        None where there is none such: another owner's, another generation, ended, or unknown.
        """

    async def resumable(self, conversation_id: uuid.UUID, owner: str | None, generation: int) -> bool:
        """Say whether `claim` would take it."""

    async def generation(self, conversation_id: uuid.UUID) -> int | None:
        """Look up at which generation a conversation stands; None where it is unknown."""


def store() -> ConversationStore:
    """Return the records' store."""
    return cast("ConversationStore", importlib.import_module("novasonic.contrib.django.records.store"))


async def announce(conversation_id: uuid.UUID, generation: int) -> None:
    """Let every worker know that a conversation was taken over."""
    took_over_here(conversation_id, generation)
    async with open_redis() as redis:
        if redis is not None:
            saying = redis.eval(_ANNOUNCE, 1, _key(conversation_id), generation, _KEPT_SECONDS)
            await attempt("Announcing a conversation's new generation", saying)


def took_over_here(conversation_id: uuid.UUID, generation: int) -> None:
    """Remember in this process that a conversation stands at `generation` at least."""
    _taken_here[conversation_id] = max(generation, _taken_here.get(conversation_id, 0))
    while len(_taken_here) > _KEPT_HERE:
        _taken_here.popitem(last=False)


async def holds(conversation: Conversation) -> bool:
    """Look up whether this worker still holds `conversation`.

    Where nobody can be asked, it does: a Redis that fails must not silence every conversation of the site.
    """
    known: int | None = _taken_here.get(conversation.id)
    if known is None or known <= conversation.generation:
        known = await _look_up(conversation.id)
    if known is None or known <= conversation.generation:
        return True
    took_over_here(conversation.id, known)
    return False


async def _look_up(conversation_id: uuid.UUID) -> int | None:
    async with open_redis() as redis:
        if redis is not None:
            # 0: it was never resumed, so nobody announced it.
            value = await attempt("Looking up a generation", _get(redis, conversation_id), default=None)
            if value is not None:
                return int(value)
    if get_settings().transcripts == "off":
        return None
    generation: int | None = await attempt("Looking up a generation", _ask_records(conversation_id), seconds=2.0)
    return generation


async def _get(redis: Any, conversation_id: uuid.UUID) -> int:
    return int(await redis.get(_key(conversation_id)) or 0)


async def _ask_records(conversation_id: uuid.UUID) -> int | None:
    return await store().generation(conversation_id)


def fenced(tools: Iterable[novasonic.Tool], still_held: Callable[[], Awaitable[bool]]) -> list[novasonic.Tool]:
    """Return `tools` with a look-up before each call: one whose worker has lost the conversation does not run.

    Calls that wait for the page's approval need none, since the page is elsewhere; manual tools are the program's.
    """
    return [_fenced(tool, still_held) for tool in tools]


def _fenced(tool: novasonic.Tool, still_held: Callable[[], Awaitable[bool]]) -> novasonic.Tool:
    given = tool.approval
    if tool.manual or given is True:
        return tool

    async def approve(request: novasonic.ApprovalRequest) -> bool:
        # Asked last: somebody may take minutes to say yes.
        asked = given is False or await given(request)
        return asked is True and await still_held()

    return replace(tool, approval=approve)


def _key(conversation_id: uuid.UUID) -> str:
    return f"novasonic:generation:{{{conversation_id.hex}}}"
