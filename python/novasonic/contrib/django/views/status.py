"""How much is going on, for those who may talk; who, for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import JsonResponse
from django.utils import timezone

from . import live
from .api import ApiView

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class StatusView(ApiView):
    """``status``, ``activeConnections``, ``activeSessions``, ``timestamp``; ``sessionIds`` for staff alone."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer those whom the site's permission lets talk."""
        user = await self.require_allowed(request)
        found = await live.look()
        answer: dict[str, Any] = {
            "status": "draining" if found.draining else "ok",
            "activeConnections": found.connections,
            "activeSessions": found.sessions,
            "timestamp": timezone.now().isoformat(),
        }
        if getattr(user, "is_staff", False):
            answer["sessionIds"] = list(found.session_ids)
        return JsonResponse(answer)
