"""Origins as browsers write them (RFC 6454), and whether a site has one on its list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

# scheme://host[:port] and nothing else: "*", "null" and addresses with a path are no origins.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_origin(text: str) -> str | None:
    """Return an origin as browsers write it, without the scheme's own port; None where `text` is no origin."""
    if not _ORIGIN.fullmatch(text):
        return None
    parts = urlsplit(text.lower())
    try:
        port = parts.port
    except ValueError:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def is_listed(origin: str | None, allowed: Iterable[str]) -> bool:
    """Say whether `origin` is one of `allowed`: the whole of it, since ``https://a.example.evil`` begins alike."""
    if origin is None:
        return False
    normal = normal_origin(origin)
    return normal is not None and normal in {normal_origin(each) for each in allowed}
