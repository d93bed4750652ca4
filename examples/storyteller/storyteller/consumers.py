"""Who one talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async

from novasonic import catalog
from novasonic.contrib.asgi.companion import Companion
from novasonic.contrib.django.consumers import NovaSonicConsumer

from . import telling
from .conversations import history_for
from .models import Sitting, Telling
from .tools import current_chapter, next_chapter, remember_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    import novasonic

# Choices stand in double quotes: the offline voice listens for what does.
PROMPT = """\
You are a warm storyteller by a night fire. Tonight's story is called {title}. Tell what next_chapter gives you, \
chapter by chapter and no other, in your own calm voice, and ask at each end which of its choices the listener takes. \
Once they decide, call remember_choice, then next_chapter. When you are interrupted, follow the listener's wish. Where \
the listener comes back to a story, call current_chapter, say in one sentence where it stood, and go on.
In this story one may choose {choices}."""


class Storyteller(NovaSonicConsumer):
    """Tell a story of the database and let the listener steer it.

    The address says which telling: among the listener's own, or the socket is refused. An address that names none, as
    other programs use it, goes on with the newest.
    """

    voice = "tiffany"
    voices = tuple(voice.id for voice in catalog.voices())
    tools = (next_chapter, current_chapter, remember_choice)
    telling: Telling | None = None

    async def is_allowed(self) -> bool:
        """Let a listener talk about a telling of their own."""
        if not await super().is_allowed():
            return False
        wanted = self.scope["url_route"]["kwargs"].get("telling")
        if wanted is not None:
            self.telling = await telling.tellings_of(self.user).filter(pk=wanted).afirst()
            return self.telling is not None
        return True

    async def prepare(self) -> None:
        """Find what to go on with where the address does not say it."""
        await super().prepare()
        if self.telling is None:
            self.telling = await database_sync_to_async(telling.newest)(self.user)

    def get_context(self) -> Any:
        """Tell the tools who listens, and to what."""
        return {**super().get_context(), "telling": self.telling and self.telling.pk}

    async def get_system_prompt(self) -> str:
        """Name the story, and what may be chosen in it."""
        if self.telling is None:
            return "You are a storyteller without a story. Say so, kindly."
        story = self.telling.story
        choices = await database_sync_to_async(telling.possible_choices)(story)
        return PROMPT.format(title=story.title, choices=", ".join(f'"{choice}"' for choice in choices))

    async def get_history(self) -> Sequence[novasonic.Message]:
        """Return what was said in this telling before: the conversation goes on from there."""
        if self.telling is None:
            return ()
        return await database_sync_to_async(history_for)(self.user, self.telling)

    def get_companions(self) -> Sequence[Companion]:
        """Add the one that notes which telling a conversation belongs to."""
        return (*super().get_companions(), Seating(self))


class Seating(Companion):
    """Writes a conversation down as a sitting of its telling, once there is anything to remember."""

    async def begin(self) -> None:
        """Go on with the telling of a conversation that is resumed, whatever the address says by now."""
        if self.conversation.generation > 1:
            own = telling.tellings_of(self.handler.user)
            resumed = await own.filter(sittings__conversation=self.conversation.id).afirst()
            self.handler.telling = resumed or self.handler.telling

    async def opened(self, session: novasonic.Session) -> None:
        """Write the row; a conversation that another worker takes over has it already."""
        if self.handler.telling is not None:
            await Sitting.objects.aget_or_create(
                conversation=self.conversation.id, defaults={"telling_id": self.handler.telling.pk}
            )
