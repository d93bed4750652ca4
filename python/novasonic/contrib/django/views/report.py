"""Where pages with keys of their own tell what was said and used; off unless ``CREDENTIALS_ENDPOINT`` has ``REPORTS``.

Nothing of it is believed: it is kept as told by the page, and no limit or budget looks at it. See
docs/how-to/browser-direct.md.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Final

import msgspec
from django.db import DatabaseError
from django.http import JsonResponse
from django.views.decorators.debug import sensitive_variables

from novasonic.contrib.asgi.door import Doorkeeper
from novasonic.contrib.django.metering import meters
from novasonic.contrib.django.records import reported

from . import live
from .api import Refusal
from .direct import DirectView

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from novasonic.contrib.django.conf import Settings

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 65_536
"""A browser sends no more after its page is closed."""
PER_MINUTE: Final = 60
"""Of one user, by each process."""
RETRY_SECONDS: Final = 2

_pace = Doorkeeper()
# msgspec quotes what it did not expect; where that stood is all that is told.
_WHERE: Final = re.compile(r"at `(\$[\w.\[\]]*)`$")


class ReportView(DirectView):
    """POST: what was said and used, of a conversation whose keys were given to who asks. GET: the CSRF token."""

    def check_enabled(self, settings: Settings) -> None:
        """Serve nothing unless the site wants reports."""
        if settings.credentials_endpoint is None or not settings.credentials_endpoint.reports:
            raise Refusal(404, "not_found", "There is nothing here.")

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Keep a report."""
        try:
            return await self._keep(request)
        except Refusal as refusal:
            meters.reports[refusal.code] += 1
            raise

    @sensitive_variables()
    async def _keep(self, request: HttpRequest) -> HttpResponse:
        owner = str((await self.require_signed_in(request)).pk)
        if not _pace.knock(owner, time.monotonic(), PER_MINUTE):
            raise Refusal(429, "too_many_reports", "Report less often.", retry_after=RETRY_SECONDS)
        report = _read(request)
        try:
            outcome = await reported.find(report, owner)
            if outcome == "stored":
                outcome = await reported.store(await reported.prepare(report), owner)
        except DatabaseError as error:
            logger.error("A page's report is not kept: %s", type(error).__name__)  # noqa: TRY400 - frames hold speech
            message = "Reports cannot be kept at the moment."
            raise Refusal(503, "report_not_kept", message, retry_after=live.RETRY_SECONDS) from None
        if outcome == "unknown":
            raise Refusal(404, "no_such_grant", "No keys were given to you under this name, or all of it was deleted.")
        if outcome == "over":
            raise Refusal(410, "grant_over", "These keys are over for too long.")
        meters.reports[outcome] += 1
        return JsonResponse({"number": report.number, "outcome": outcome})


def _read(request: HttpRequest) -> reported.Report:
    if request.content_type != "application/json":
        raise Refusal(415, "not_json", "A report is application/json.")
    body = request.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise Refusal(413, "report_too_long", f"A report has at most {MAX_BYTES} bytes.")
    try:
        return msgspec.json.decode(body, type=reported.Report)
    except (msgspec.DecodeError, RecursionError) as error:
        where = _WHERE.search(str(error))
        raise Refusal(400, "bad_report", f"The report is not understood{f' at {where[1]}' if where else ''}.") from None
