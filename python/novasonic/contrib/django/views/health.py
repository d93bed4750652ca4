"""Whether this worker takes conversations, for load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import JsonResponse

from . import live
from .api import ApiView

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class HealthView(ApiView):
    """Answer 200, or 503 while the worker is drained; without sign-in, detail, database or Redis.

    It says that this process answers and takes conversations, not that others are well: a balancer that took all
    workers out because the database is down would end conversations that do without it.
    """

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        if live.is_draining():
            return JsonResponse({"status": "unavailable"}, status=503)
        return JsonResponse({"status": "ok"})
