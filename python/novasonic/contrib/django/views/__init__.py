"""What a site mounts by ``include("novasonic.contrib.django.urls")``: a page to talk on, and what operators look at."""

from __future__ import annotations

from .api import ApiView
from .credentials import CredentialsView
from .health import HealthView
from .metrics import MetricsView
from .report import ReportView
from .status import StatusView
from .talk import SOCKET_PATH, TalkView

__all__ = [
    "SOCKET_PATH",
    "ApiView",
    "CredentialsView",
    "HealthView",
    "MetricsView",
    "ReportView",
    "StatusView",
    "TalkView",
]
