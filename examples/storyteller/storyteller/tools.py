"""What the storyteller's model may call. Who listens, and to what, is in the context, never in the arguments."""

from typing import Annotated, Any

from channels.db import database_sync_to_async

import novasonic

from . import telling


@novasonic.tool
async def next_chapter(context: novasonic.ToolContext, *, start_again: bool = False) -> dict[str, Any]:
    """Get the next chapter for this listener. Call it whenever the story begins or goes on, and tell its text.

    Args:
        context: Who listens.
        start_again: True only where the listener wants the story from its beginning.
    """
    chapter = await database_sync_to_async(telling.next_chapter)(*_whose(context), start_again=start_again)
    if chapter is None:
        raise novasonic.ToolError("There is no story to tell yet.")
    return chapter


@novasonic.tool
async def current_chapter(context: novasonic.ToolContext) -> dict[str, Any]:
    """Get the chapter that was told last: for a listener who comes back, or asks where the story stands."""
    chapter = await database_sync_to_async(telling.current_chapter)(*_whose(context))
    if chapter is None:
        raise novasonic.ToolError("No story has begun. Get the first chapter.")
    return chapter


@novasonic.tool
async def remember_choice(
    choice: Annotated[str, "One of the choices given, word by word."], context: novasonic.ToolContext
) -> dict[str, Any]:
    """Remember what the listener decided. Call it for each decision, before you get the next chapter."""
    if not await database_sync_to_async(telling.remember_choice)(*_whose(context), choice):
        raise novasonic.ToolError("Nothing was chosen, or no story has begun: then get the first chapter.")
    return {"remembered": choice}


def _whose(context: novasonic.ToolContext) -> tuple[Any, int]:
    return context.state["user"], context.state["telling"]
