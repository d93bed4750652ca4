"""The ``NOVASONIC`` setting, read when it is used so that ``override_settings`` works."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from novasonic import NOVA_2_SONIC

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"


@dataclass(frozen=True, slots=True)
class Settings:
    """``settings.NOVASONIC`` with defaults filled in; keys there are these names in upper case."""

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    model: str = NOVA_2_SONIC

    @property
    def emulated(self) -> bool:
        """True where conversations go to an endpoint on this machine, which is never the real service."""
        url = self.endpoint_url or os.environ.get(ENDPOINT_VARIABLE)
        host = urlsplit(url).hostname if url else None
        if host is None:
            return False
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def get_settings() -> Settings:
    """Read ``settings.NOVASONIC``.

    Raises:
        ImproperlyConfigured: The setting is not a dict, or has a key that does not exist.
    """
    given = getattr(settings, "NOVASONIC", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"NOVASONIC must be a dict, not {type(given).__name__}.")
    known = {field.name.upper(): field.name for field in fields(Settings)}
    if unknown := given.keys() - known.keys():
        raise ImproperlyConfigured(
            f"NOVASONIC has no setting {', '.join(sorted(map(str, unknown)))}. It has: {', '.join(sorted(known))}."
        )
    return Settings(**{known[key]: value for key, value in given.items()})
