"""One `novasonic.NovaSonic` for each process and configuration, made on first use."""

from __future__ import annotations

import os

from novasonic import NovaSonic

from .conf import Settings, get_settings

# Keyed by process too: a client made before fork must not serve the child. Nothing is removed, since dropping an
# inherited client in the child would touch threads that are not there. No lock: one held at fork would hang the child.
_clients: dict[tuple[object, ...], NovaSonic] = {}


def get_client(settings: Settings | None = None) -> NovaSonic:
    """Return this process's client for `settings` (default: ``settings.NOVASONIC`` as it is now).

    A client serves every event loop and thread of its process. Two threads that ask first at the same moment may
    both build one; both get the one that was stored.

    Raises:
        ImproperlyConfigured: ``NOVASONIC`` is not usable.
        novasonic.ConfigError: One of its values is refused by the client.
    """
    chosen = settings or get_settings()
    key = (os.getpid(), chosen.region, chosen.profile, chosen.endpoint_url, chosen.ca_bundle, chosen.allow_insecure)
    client = _clients.get(key)
    if client is None:
        client = NovaSonic(
            region=chosen.region,
            profile=chosen.profile,
            endpoint_url=chosen.endpoint_url,
            ca_bundle=chosen.ca_bundle,
            allow_insecure=chosen.allow_insecure,
        )
        client = _clients.setdefault(key, client)
    return client
