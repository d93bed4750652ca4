"""The page to talk on."""

from typing import Any

from novasonic.contrib.django.views import TalkView

from .telling import choices_of


class StoryView(TalkView):
    """The stock page, with what the listener decided so far."""

    template_name = "storyteller/story.html"
    socket_path = "story/ws/"
    title = "The Storyteller"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add ``choices``."""
        return super().get_context_data(choices=choices_of(self.request.user), **kwargs)
