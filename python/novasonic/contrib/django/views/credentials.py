"""Temporary AWS keys for pages that talk to the service themselves; off unless ``NOVASONIC`` names a role.

See docs/how-to/credentials-endpoint.md for what this mode cannot enforce.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.views.decorators.debug import sensitive_variables

from novasonic.contrib.django import grant
from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.metering import meters

from . import live
from .api import Refusal
from .direct import DirectView

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from novasonic.contrib.django.conf import Settings

logger = logging.getLogger(__name__)


class CredentialsView(DirectView):
    """POST: keys for one model in one region for 900 seconds. GET: the CSRF token that POST wants."""

    def check_enabled(self, settings: Settings) -> None:
        """Serve nothing unless the site names a role."""
        if settings.credentials_endpoint is None:
            raise Refusal(404, "not_found", "There is nothing here.")

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Give keys."""
        try:
            return await self._give(request)
        except Refusal as refusal:
            meters.credentials[refusal.code] += 1
            raise

    @sensitive_variables()
    async def _give(self, request: HttpRequest) -> HttpResponse:
        user = await self.require_signed_in(request)
        if live.is_draining():
            raise Refusal(503, "draining", "Try again in a moment.", retry_after=1)
        settings = get_settings()
        name = grant.session_name(user.pk)
        endpoint = settings.credentials_endpoint
        grant_id = uuid.uuid4() if endpoint is not None and endpoint.reports else None
        # Keys last from when STS gives them, and the lease from before it is asked.
        lease = await live.lend(user, seconds=grant.SECONDS + grant.ASKING_SECONDS, region=settings.region)
        try:
            keys = await asyncio.to_thread(grant.assume, settings, name)
            # Before they are given: keys that nobody wrote down would be nobody's.
            await live.write_access(user, name=name, expires_at=keys.expires_at, conversation=grant_id)
            if grant_id is not None:
                await live.open_reported(grant_id, user, model=keys.model, region=keys.region)
        except BaseException as error:
            await lease.give_back()
            if not isinstance(error, grant.GrantError | live.AccessNotWritten):
                raise
            logger.error("No keys for a page: %s", error)  # noqa: TRY400 - the chain names role and account
            raise Refusal(
                503, "credentials_unavailable", "No keys at the moment.", retry_after=live.RETRY_SECONDS
            ) from None
        meters.credentials["given"] += 1
        answer = {
            "accessKeyId": keys.access_key_id,
            "secretAccessKey": keys.secret_access_key,
            "sessionToken": keys.session_token,
            "expiration": keys.expires_at.isoformat(),
            "region": keys.region,
            "model": keys.model,
        }
        if grant_id is not None:
            answer["grant"] = str(grant_id)
        return JsonResponse(answer)
