"""Numbers of this process for Prometheus: ``NOVASONIC["METRICS"]``, extra ``metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from . import live
from .access import is_from_here, user_of
from .api import ApiView, Refusal

if TYPE_CHECKING:
    from django.http import HttpRequest

    from novasonic.contrib.django.conf import Settings


class MetricsView(ApiView):
    """Answer staff, and programs on this machine that come without a proxy, in the text format.

    The numbers are those of the process that answers: let Prometheus scrape each worker at an address of its own.
    """

    def check_enabled(self, settings: Settings) -> None:
        """Serve nothing unless the site asks for it."""
        if not settings.metrics:
            raise Refusal(404, "not_found", "There is nothing here.")

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        user = await user_of(request)
        if not (getattr(user, "is_staff", False) or is_from_here(request)):
            # Others learn no more than where metrics are off.
            raise Refusal(404, "not_found", "There is nothing here.")
        try:
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            from .exposition import registry
        except ImportError:
            raise Refusal(501, "metrics_unavailable", "The server lacks prometheus-client.") from None
        return HttpResponse(
            generate_latest(registry(await live.look(here_only=True))), content_type=CONTENT_TYPE_LATEST
        )
