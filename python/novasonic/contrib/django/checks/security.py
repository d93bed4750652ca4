"""Checks of security, for ``manage.py check --deploy``; what is wrong at any time is told without it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as site
from django.core.checks import Tags, register
from django.core.files.storage import FileSystemStorage, storages

from .base import endpoint, error, is_aws, is_on_this_machine, settings_or_none, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.checks import CheckMessage

    from novasonic.contrib.django.conf import Settings


@register(Tags.security)
def check_always(**_: Any) -> list[CheckMessage]:
    """Tell what is dangerous wherever it runs."""
    found = settings_or_none()
    return [] if found is None else [*_client_credentials(found), *_recordings(found)]


@register(Tags.security, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Tell what must not be so where strangers come."""
    found = settings_or_none()
    if found is None:
        return []
    return [
        message for check in (_endpoint, _cookies, _hosts, _origins, _proxies, _budgets) for message in check(found)
    ]


def _client_credentials(found: Settings) -> Iterator[CheckMessage]:
    if found.accept_client_credentials:
        hint = (
            "Leave ACCEPT_CLIENT_CREDENTIALS off unless every client is a program of your own: keys in a page can be "
            "read by every script and extension in it, and pass through this server."
        )
        yield warning(30, "Pages may send AWS keys over the socket (ACCEPT_CLIENT_CREDENTIALS).", hint)


def _recordings(found: Settings) -> Iterator[CheckMessage]:
    if not found.record_audio or found.recordings_storage not in site.STORAGES:
        return
    storage = storages[found.recordings_storage]
    if isinstance(storage, FileSystemStorage) and storage.base_url is not None and _is_served(storage):
        hint = (
            'Name a storage of its own in NOVASONIC["RECORDINGS_STORAGE"]: a FileSystemStorage whose "location" is not '
            "in MEDIA_ROOT, or a private bucket. The admin plays recordings to who may hear them."
        )
        yield warning(31, f"Recordings go to {found.recordings_storage!r}, which MEDIA_URL serves to everybody.", hint)


def _is_served(storage: FileSystemStorage) -> bool:
    from pathlib import Path

    # An empty MEDIA_ROOT is the working directory, which nobody serves; recordings do not belong there either.
    if not site.MEDIA_ROOT:
        return True
    return Path(storage.location).resolve().is_relative_to(Path(site.MEDIA_ROOT).resolve())


def _endpoint(found: Settings) -> Iterator[CheckMessage]:
    given = endpoint(found)
    if given is None:
        return
    source, url = given
    if not site.DEBUG and not is_aws(url):
        what = "an emulator on this machine" if is_on_this_machine(url) else "an address that is not AWS's"
        hint = f"Unset {source}. Whoever answers there hears every conversation and gets signed requests."
        yield error(40, f"Conversations go to {what} ({source}).", hint)
    if found.allow_insecure:
        hint = "Remove ALLOW_INSECURE."
        yield error(41, "Speech and prompts may leave this machine in clear text (ALLOW_INSECURE).", hint)


def _cookies(_: Settings) -> Iterator[CheckMessage]:
    if not site.SESSION_COOKIE_SECURE:
        hint = "Set SESSION_COOKIE_SECURE = True: who reads the session cookie on the way talks as its owner."
        yield warning(42, "The session cookie, which opens sockets, travels in clear text too.", hint)


def _hosts(_: Settings) -> Iterator[CheckMessage]:
    if "*" in site.ALLOWED_HOSTS:
        hint = "Name your hosts: a socket carries no CSRF token, and the Origin check is made against ALLOWED_HOSTS."
        yield error(43, 'ALLOWED_HOSTS has "*": pages of every site may talk with your users\' cookies.', hint)


def _origins(found: Settings) -> Iterator[CheckMessage]:
    for origin in found.allowed_origins:
        if origin.lower().startswith("http://") and not is_on_this_machine(origin):
            hint = "List https:// origins only: anybody on the way can put a script into the page."
            yield warning(44, f'NOVASONIC["ALLOWED_ORIGINS"] trusts {origin}, which is not encrypted.', hint)
        if found.credentials_endpoint is not None and origin not in site.CSRF_TRUSTED_ORIGINS:
            hint = "Add it to CSRF_TRUSTED_ORIGINS, or Django refuses its POST to credentials/ and report/."
            yield warning(45, f'NOVASONIC["ALLOWED_ORIGINS"] has {origin}, CSRF_TRUSTED_ORIGINS has not.', hint)


def _proxies(found: Settings) -> Iterator[CheckMessage]:
    behind = site.SECURE_PROXY_SSL_HEADER is not None or site.USE_X_FORWARDED_HOST
    if behind and found.trusted_proxies == 0:
        hint = 'Set NOVASONIC["TRUSTED_PROXIES"] to how many proxies stand before the server.'
        yield warning(46, "The site stands behind a proxy, and all its users count as one address.", hint)


def _budgets(found: Settings) -> Iterator[CheckMessage]:
    limits = found.limits
    budgets = (limits.usd_per_day, limits.site_usd_per_day, limits.minutes_per_day, limits.site_minutes_per_day)
    if found.credentials_endpoint is not None and any(budget is not None for budget in budgets):
        hint = (
            "Put the role of CREDENTIALS_ENDPOINT into an account of its own with a budget alarm of AWS. What pages "
            "report of themselves changes no budget: whoever wants to spend more reports less."
        )
        message = "Pages get AWS keys, and what they spend counts against no budget: RESERVE_USD is charged instead."
        yield warning(47, message, hint)
