"""What the checks share: messages with ids, and a view of the settings that fails in one place only."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core.checks import Error, Warning  # noqa: A004 - Django's own name
from django.core.exceptions import ImproperlyConfigured

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.views.access import is_loopback

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from novasonic.contrib.django.conf import Settings

TAG = "novasonic"

# The service's variable wins over the one for all services, as AWS's tools have it.
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def error(number: int, message: str, hint: str) -> CheckMessage:
    """Make ``novasonic.E<number>``."""
    return Error(message, hint=hint, id=f"novasonic.E{number:03}")


def warning(number: int, message: str, hint: str) -> CheckMessage:
    """Make ``novasonic.W<number>``."""
    return Warning(message, hint=hint, id=f"novasonic.W{number:03}")


def settings_or_none() -> Settings | None:
    """Return the settings; None where they are malformed, which ``novasonic.E001`` says once for all."""
    try:
        return get_settings()
    except (ImproperlyConfigured, TypeError, ValueError):
        return None


def endpoint(settings: Settings) -> tuple[str, str] | None:
    """Return where the service's address comes from and what it is; None: AWS's own."""
    if settings.endpoint_url:
        return 'NOVASONIC["ENDPOINT_URL"]', settings.endpoint_url
    return next(((name, os.environ[name]) for name in ENDPOINT_VARIABLES if os.environ.get(name)), None)


def is_aws(url: str) -> bool:
    """Say whether an address is one of AWS, a VPC endpoint included."""
    host = urlsplit(url).hostname or ""
    return host.endswith(_AWS_HOSTS)


def is_on_this_machine(url: str) -> bool:
    """Say whether an address leads nowhere else."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def is_installed(module: str) -> bool:
    """Say whether a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def workers() -> int:
    """Return how many processes the environment asks servers for; 1 where it says nothing that can be read."""
    given = os.environ.get("WEB_CONCURRENCY", "")
    return int(given) if given.isdecimal() else 1
