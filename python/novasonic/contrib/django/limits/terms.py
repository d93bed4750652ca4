"""By what names owners and streams are counted."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novasonic.contrib.django.conf import Settings

__all__ = ["owner_key", "pool_of"]


def owner_key(owner: str | None, address: str = "") -> str:
    """Return what an owner is counted by; where nobody is known, the client's address.

    A digest: neither user names nor addresses stand in Redis.
    """
    return _digest(f"owner {owner}" if owner is not None else f"address {address}")


def pool_of(settings: Settings, region: str | None, *, access_key_id: str | None = None) -> str:
    """Return the name that streams are counted by: the account, as far as it is known, and the region.

    Args:
        settings: The site's.
        region: None: as AWS's tools resolve it from the environment.
        access_key_id: Of a page that brought its own keys, hence another account.
    """
    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "default"
    if access_key_id is not None:
        account = f"page-{_digest(access_key_id)}"
    else:
        account = settings.profile or os.environ.get("AWS_PROFILE") or "default"
    if settings.endpoint_url:
        account += f"@{settings.endpoint_url}"
    return f"{account}/{where}"


def _digest(text: str) -> str:
    return hashlib.blake2s(text.encode(), digest_size=16).hexdigest()
