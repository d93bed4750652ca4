"""The site's own parts: checks, channel layer, Redis, database, static files."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from channels.layers import get_channel_layer
from django.conf import settings as site
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils.connection import ConnectionDoesNotExist

from novasonic.contrib.django import checks as _checks
from novasonic.contrib.django.checks.base import is_installed

from .finding import Finding, State

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from novasonic.contrib.django.conf import Settings

__all__ = ["checks", "database", "layer", "redis", "static_files"]

_PATIENCE_SECONDS = 3.0


def checks() -> Iterator[Finding]:
    """Run our system checks, those for deployment too where DEBUG is off."""
    found = [
        message
        for message in run_checks(include_deployment_checks=not site.DEBUG)
        if (message.id or "").startswith("novasonic.") and not message.is_silenced()
    ]
    if not found:
        yield Finding("checks", "ok", "Nothing to complain about.")
    for message in found:
        state: State = "failed" if message.level >= ERROR else "note"
        yield Finding("checks", state, f"{message.msg} ({message.id})", message.hint, message.id)


def layer() -> Finding:
    """Send one message through the channel layer and wait for it."""
    try:
        found = get_channel_layer()
    except Exception as error:
        cure = "pip install channels-redis, or mend CHANNEL_LAYERS."
        return Finding("layer", "failed", f"CHANNEL_LAYERS cannot be used: {type(error).__name__}.", cure)
    if found is None:
        cure = "One process does without. With several: CHANNEL_LAYERS with channels_redis.core.RedisChannelLayer."
        return Finding("layer", "note", "There is no channel layer: workers do not reach each other.", cure)
    kind = type(found).__name__
    try:
        took = asyncio.run(_round_trip(found))
    except Exception as error:
        cure = "Does its Redis run, and is the address in CHANNEL_LAYERS right?"
        return Finding("layer", "failed", f"{kind} brought no message back: {type(error).__name__}.", cure)
    if kind == "InMemoryChannelLayer":
        return Finding("layer", "note", f"{kind}: workers do not reach each other.", "Use channels_redis with several.")
    return Finding("layer", "ok", f"{kind}: there and back in {took * 1000:.0f} ms.")


async def _round_trip(layer: Any) -> float:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            channel = await layer.new_channel()
            began = time.monotonic()
            await layer.send(channel, {"type": "novasonic.doctor"})
            await layer.receive(channel)
            return time.monotonic() - began
    finally:
        if hasattr(layer, "close_pools"):
            await layer.close_pools()


def redis(settings: Settings) -> Finding:
    """Ask Redis who it is and whether it keeps what it is given."""
    if settings.redis_url is None:
        return Finding("redis", "skipped", 'No NOVASONIC["REDIS_URL"]: each process counts for itself.')
    if not is_installed("redis"):
        return Finding("redis", "failed", "redis is not installed.", "pip install novasonic[redis].")
    place = urlsplit(settings.redis_url)
    where = f"{place.hostname or place.path}:{place.port or 6379}"  # never the password
    try:
        told = _run(_ask_redis(settings.redis_url))
    except Exception as error:
        cure = 'Does it run, and is NOVASONIC["REDIS_URL"] right? Until then each process counts for itself.'
        return Finding("redis", "failed", f"{where} does not answer: {type(error).__name__}.", cure)
    policy = told.get("maxmemory_policy", "noeviction")
    if told.get("maxmemory") and policy != "noeviction":
        cure = "Set maxmemory-policy noeviction, or give novasonic a Redis of its own."
        return Finding("redis", "note", f"{where} may throw leases and budgets away ({policy}).", cure)
    return Finding("redis", "ok", f"Redis {told.get('redis_version', '?')} at {where}.")


def _run(asking: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    return asyncio.run(asking)


async def _ask_redis(url: str) -> dict[str, Any]:
    from redis.asyncio import Redis

    client = Redis.from_url(url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS)
    try:
        return {**await client.info("server"), **await client.info("memory")}
    finally:
        await client.aclose()


def database(settings: Settings) -> Finding:
    """Look for migrations that were not run."""
    try:
        connection = connections[settings.database]
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (ConnectionDoesNotExist, ImproperlyConfigured) as error:
        return Finding("database", "failed", f"{settings.database!r}: {error}", 'See NOVASONIC["DATABASE"].')
    except DatabaseError as error:
        cure = f"Does it run, and is DATABASES[{settings.database!r}] right?"
        return Finding("database", "failed", f"It cannot be asked: {type(error).__name__}.", cure)
    name = f"{connection.vendor} {settings.database!r}"
    if plan:
        cure = f"Run `manage.py migrate --database {settings.database}`."
        return Finding("database", "failed", f"{name}: {len(plan)} migrations were not run.", cure)
    return Finding("database", "ok", f"{name}: every migration was run.")


def static_files() -> Finding:
    """Look whether pages will find our scripts, under the names that they will ask for."""
    names = _checks.site.STATIC_FILES
    if missing := [name for name in names if finders.find(name) is None]:
        cure = "See `manage.py check`: INSTALLED_APPS, STATICFILES_FINDERS."
        return Finding("static", "failed", f"Not found: {', '.join(missing)}.", cure)
    try:
        urls = [staticfiles_storage.url(name) for name in names]
    except (ValueError, ImproperlyConfigured) as error:
        # A manifest that does not know them, or no STATIC_URL.
        return Finding("static", "failed", f"{type(error).__name__}: {error}", "Run `manage.py collectstatic`.")
    return Finding("static", "ok", f"Found; pages ask for {urls[0]}.")
