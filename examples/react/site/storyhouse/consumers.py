"""Who one talks to."""

from collections.abc import Sequence

from novasonic import Message
from novasonic.contrib.django.consumers import NovaSonicConsumer

from .models import Telling
from .stories import STORIES


class Storyteller(NovaSonicConsumer):
    """Tell the story that the address names to whoever brings a ticket."""

    tickets = True
    voice = "tiffany"

    async def is_allowed(self) -> bool:
        """Let nobody talk about a story that there is not."""
        return self.scope["url_route"]["kwargs"]["story"] in STORIES and await super().is_allowed()

    async def get_system_prompt(self) -> str:
        """Return what the model is told: never the page's own words, which anybody could write."""
        story = STORIES[self.scope["url_route"]["kwargs"]["story"]]
        return (
            f"You are a warm storyteller. Tell {story.title!r} in short chapters, and ask at the end of each what "
            f"shall happen. When you are interrupted, follow the listener's wish. The story: {story.plot}"
        )

    async def get_history(self) -> Sequence[Message]:
        """Begin without one, and remember which story this is about: the records know only who said what, and when.

        Here, because it is asked before a conversation's first word, and not where one is resumed.
        """
        story = self.scope["url_route"]["kwargs"]["story"]
        await Telling.objects.aget_or_create(conversation=self.conversation.id, defaults={"story": story})
        return ()
