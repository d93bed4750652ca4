"""Checks of ``NOVASONIC`` itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings as site
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from novasonic import catalog
from novasonic.contrib.asgi.choices import is_region
from novasonic.contrib.asgi.origins import normal_origin
from novasonic.contrib.django import grant
from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.permissions import get_permission

from .base import TAG, endpoint, error, is_installed, is_on_this_machine, settings_or_none, warning, workers
from .shape import odd_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.checks import CheckMessage

    from novasonic.contrib.django.conf import Settings

_SETTINGS_PAGE = "docs/reference/settings.md lists every key with its type and default."


@register(TAG)
def check_shape(**_: Any) -> list[CheckMessage]:
    """Hold ``NOVASONIC`` against what it may be."""
    try:
        found = get_settings()
    except ImproperlyConfigured as problem:
        return [error(1, str(problem), _SETTINGS_PAGE)]
    except (TypeError, ValueError) as problem:
        return [error(1, f"NOVASONIC cannot be read: {problem}.", _SETTINGS_PAGE)]
    return [error(1, sentence, _SETTINGS_PAGE) for sentence in odd_values(found, "NOVASONIC")]


@register(TAG)
def check_values(**_: Any) -> list[CheckMessage]:
    """Look at what each value means."""
    found = settings_or_none()
    if found is None or any(odd_values(found, "NOVASONIC")):
        return []
    return [message for check in _CHECKS for message in check(found)]


def _paths(found: Settings) -> Iterator[CheckMessage]:
    try:
        get_permission()
    # Whatever the site's module raises at import is its author's to know.
    except Exception as problem:
        hint = "Name a Permission of your own, or leave PERMISSION out: then whoever is signed in may talk."
        yield error(2, f'NOVASONIC["PERMISSION"] = {found.permission!r}: {type(problem).__name__}: {problem}', hint)
    if found.redact is not None and (why := _import_problem(found.redact)) is not None:
        hint = "Name `async def redact(text, *, role) -> str` by its dotted path."
        yield error(3, f'NOVASONIC["REDACT"] = {found.redact!r}: {why}', hint)
    if found.transcripts == "redacted" and found.redact is None:
        hint = 'Name the function in NOVASONIC["REDACT"], or choose TRANSCRIPTS = "full" or "off".'
        yield error(3, 'NOVASONIC["TRANSCRIPTS"] is "redacted", and nothing is there to redact them.', hint)
    if found.transcripts == "full" and found.redact is not None:
        hint = 'Set TRANSCRIPTS = "redacted", or remove REDACT.'
        yield warning(4, 'NOVASONIC["REDACT"] is set, and TRANSCRIPTS = "full" writes every text as it was said.', hint)


def _import_problem(path: str) -> str | None:
    try:
        found = import_string(path)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}."
    return None if callable(found) else "it is not callable."


def _models(found: Settings) -> Iterator[CheckMessage]:
    model = next((known for known in catalog.models() if known.id == found.model), None)
    if model is None:
        if endpoint(found) is None:
            known = ", ".join(each.id for each in catalog.models() if each.end_of_life is None)
            hint = f"This release knows {known}. If yours is newer, silence this warning."
            yield warning(1, f'NOVASONIC["MODEL"] = {found.model!r} is not known.', hint)
        return
    if model.end_of_life is not None and datetime.now(UTC).date() >= model.end_of_life:
        yield error(4, f"AWS switched {model.id} off on {model.end_of_life}.", "Leave MODEL out for its successor.")
    places = [("REGION", found.region), *(("REGIONS", region) for region in found.regions)]
    for key, region in places:
        if region is None:
            continue
        if not is_region(region):
            yield error(5, f'NOVASONIC["{key}"]: {region!r} is no region.', "Write it as us-east-1.")
        elif region not in model.regions and endpoint(found) is None:
            offered = ", ".join(model.regions)
            hint = f"Choose one of {offered}. Where AWS has added yours since this release, give its ENDPOINT_URL."
            yield error(4, f'NOVASONIC["{key}"]: {model.id} is not offered in {region}.', hint)


def _overflow(found: Settings) -> Iterator[CheckMessage]:
    if found.overflow == "region" and not found.regions:
        hint = 'List them in NOVASONIC["REGIONS"]; moving speech over a border is a legal act, so none is chosen.'
        yield error(6, 'NOVASONIC["OVERFLOW"] is "region", and there is no region to go to.', hint)
    if found.overflow != "region" and found.regions:
        hint = 'Set OVERFLOW = "region", or remove REGIONS.'
        yield warning(2, 'NOVASONIC["REGIONS"] is set, and OVERFLOW never goes there.', hint)


def _sharing(found: Settings) -> Iterator[CheckMessage]:
    if found.redis_url is None and (count := workers()) > 1:
        hint = 'Set NOVASONIC["REDIS_URL"]; until then each worker counts for itself, and none knows of the others.'
        yield warning(3, f"{count} workers (WEB_CONCURRENCY) share nothing: limits hold for each alone.", hint)
    if found.redis_url is not None and not is_installed("redis"):
        hint = "Install the extra: pip install novasonic[redis]."
        yield error(7, 'NOVASONIC["REDIS_URL"] is set, and redis is not installed.', hint)


def _aliases(found: Settings) -> Iterator[CheckMessage]:
    if found.database not in site.DATABASES:
        known = ", ".join(site.DATABASES)
        yield error(8, f'NOVASONIC["DATABASE"]: DATABASES has no {found.database!r}.', f"It has: {known}.")
    if found.record_audio and found.recordings_storage not in site.STORAGES:
        hint = "Add it to STORAGES, with a place that is not served to everybody."
        yield error(8, f'NOVASONIC["RECORDINGS_STORAGE"]: STORAGES has no {found.recordings_storage!r}.', hint)


def _extras(found: Settings) -> Iterator[CheckMessage]:
    if found.metrics and not is_installed("prometheus_client"):
        hint = "Install the extra: pip install novasonic[metrics]."
        yield error(9, 'NOVASONIC["METRICS"] is on, and prometheus-client is not installed.', hint)
    if found.credentials_endpoint is None:
        return
    if not is_installed("boto3"):
        hint = "Install the extra: pip install novasonic[credentials]."
        yield error(10, 'NOVASONIC["CREDENTIALS_ENDPOINT"] is set, and boto3 is not installed.', hint)
    if not grant.ROLE.fullmatch(found.credentials_endpoint.role_arn):
        hint = "Write it as arn:aws:iam::123456789012:role/name."
        yield error(11, 'NOVASONIC["CREDENTIALS_ENDPOINT"]["ROLE_ARN"] is no ARN of a role.', hint)


def _origins(found: Settings) -> Iterator[CheckMessage]:
    for origin in found.allowed_origins:
        if normal_origin(origin) is None:
            hint = "Write each as https://app.example.org: a scheme, a host, a port if need be, and no path or star."
            yield error(12, f'NOVASONIC["ALLOWED_ORIGINS"]: {origin!r} is no origin.', hint)


def _endpoint(found: Settings) -> Iterator[CheckMessage]:
    given = endpoint(found)
    if given is None:
        return
    source, url = given
    if url.lower().startswith("http://") and not is_on_this_machine(url) and not found.allow_insecure:
        hint = "Use https://. ALLOW_INSECURE = True sends speech and prompts in clear text; inside a test network only."
        yield error(13, f"{source} is http:// to another machine.", hint)


_CHECKS = (_paths, _models, _overflow, _sharing, _aliases, _extras, _origins, _endpoint)
