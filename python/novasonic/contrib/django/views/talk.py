"""The stock page as a view."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

SOCKET_PATH = "novasonic/ws/"
"""Where ``routing.websocket_urlpatterns`` puts the stock consumer; Channels' routes cannot be reversed."""


class TalkView(LoginRequiredMixin, TemplateView):
    """Show one page to talk on; extend ``novasonic/talk.html`` to change how it looks."""

    template_name = "novasonic/talk.html"
    socket_path = SOCKET_PATH
    title: Any = gettext_lazy("Talk")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add ``socket_path`` and ``title``, which the template needs."""
        return super().get_context_data(socket_path=self.socket_path, title=self.title, **kwargs)
