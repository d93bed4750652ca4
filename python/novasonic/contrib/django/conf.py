"""The ``NOVASONIC`` setting, read when it is used so that ``override_settings`` works."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from novasonic import NOVA_2_SONIC

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """``NOVASONIC["LIMITS"]``; None: no bound. A day is one of UTC."""

    conversations_per_owner: int | None = 3
    """How many conversations one owner may hold at once."""
    conversations: int | None = None
    """How many the whole site may hold at once."""
    per_process: int = 200
    """How many one process takes, whatever else is allowed."""
    streams: int = 20
    """Streams of the service at once, in one account and region: the service's own quota."""
    minutes_per_day: float | None = None
    """Of one owner."""
    site_minutes_per_day: float | None = None
    usd_per_day: float | None = None
    """Of one owner."""
    site_usd_per_day: float | None = None
    reserve_usd: float = 0.25
    """Set aside of each budget when a conversation is admitted, and settled by what it used."""
    seconds: float | None = 3_600.0
    """Length of one conversation."""
    idle_seconds: float | None = 300.0
    """Since anybody said, typed or was told anything."""
    restarts_per_hour: int = 30
    """Of one conversation, after lost streams."""


@dataclass(frozen=True, slots=True)
class CredentialsEndpoint:
    """``NOVASONIC["CREDENTIALS_ENDPOINT"]``: temporary AWS keys for pages that talk to the service themselves."""

    role_arn: str
    """The role that is assumed, narrowed to one model in one region for 900 seconds."""
    external_id: str | None = None
    reports: bool = False
    """Serves ``report/``, where such pages tell what was said and used: kept, and marked as told by the page."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``settings.NOVASONIC`` with defaults filled in; keys there are these names in upper case."""

    region: str | None = None
    """As every AWS tool resolves it where None."""
    profile: str | None = None
    endpoint_url: str | None = None
    """Another address of the service: an emulator, a VPC endpoint."""
    ca_bundle: str | None = None
    allow_insecure: bool = False
    """Lets `endpoint_url` be ``http://`` on another host than this one."""
    model: str = NOVA_2_SONIC
    permission: str = "novasonic.contrib.django.permissions.SignedIn"
    """Dotted path of the permission of consumers that name none."""
    allowed_origins: tuple[str, ...] = ()
    """Origins beside the site's own hosts (``https://app.example.org``) whose pages may talk and use the views."""
    trusted_proxies: int = 0
    """How many proxies stand before the server: so many of ``X-Forwarded-For``, from its end, are believed."""
    handshakes_per_minute: int = 60
    """From one address, signed in or not."""
    first_message_seconds: float = 5.0
    """How long a page may say nothing after its socket opened."""
    heartbeat_seconds: float = 25.0
    """So often a page is sent something, for proxies that close what is silent."""
    recheck_seconds: float = 30.0
    """So often it is looked up whether who talks still may, for sites without a channel layer."""
    limits: LimitSettings = field(default_factory=LimitSettings)
    redis_url: str | None = None
    """What workers share: leases, budgets, snapshots. None: each process counts for itself."""
    overflow: Literal["refuse", "wait", "region"] = "refuse"
    """What becomes of a conversation that finds no free stream."""
    wait_seconds: float = 60.0
    """How long it stands in line, with ``OVERFLOW = "wait"``."""
    regions: tuple[str, ...] = ()
    """Where it may go, in this order, with ``OVERFLOW = "region"``: moving speech over a border is a legal act."""
    transcripts: Literal["full", "redacted", "off"] = "full"
    redact: str | None = None
    """Dotted path of ``async def redact(text, *, role) -> str``, which every text passes before it is written,
    with ``TRANSCRIPTS = "redacted"``."""
    retention_days: int | None = 30
    """None: records are kept until somebody deletes them."""
    record_audio: bool = False
    recordings_storage: str = "default"
    """Alias in ``STORAGES``; must not be served to everybody."""
    database: str = "default"
    """Alias in ``DATABASES`` of the records."""
    records_app: str = "novasonic"
    """Label of the application whose ``Conversation``, ``Turn``, ``ToolCall`` and ``UsageRecord`` are written."""
    resume_seconds: float = 120.0
    """How long a page that lost its worker may come back."""
    drain_seconds: float = 30.0
    """How long a worker that is drained lets turns end."""
    metrics: bool = False
    """Serves ``metrics/``; needs ``prometheus-client``."""
    credentials_endpoint: CredentialsEndpoint | None = None
    accept_client_credentials: bool = False
    """Lets pages bring their own AWS keys; see the security page before."""

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


_Made = TypeVar("_Made")
_CHOICES = {"overflow": ("refuse", "wait", "region"), "transcripts": ("full", "redacted", "off")}


def get_settings() -> Settings:
    """Read ``settings.NOVASONIC``.

    Raises:
        ImproperlyConfigured: The setting is not a dict, has a key that does not exist, or a value that is no choice.
    """
    given = _values(Settings, "NOVASONIC", getattr(settings, "NOVASONIC", {}))
    for name, choices in _CHOICES.items():
        if given.get(name, choices[0]) not in choices:
            raise ImproperlyConfigured(f"NOVASONIC[{name.upper()!r}] must be one of {', '.join(choices)}.")
    if "limits" in given:
        given["limits"] = _build(LimitSettings, 'NOVASONIC["LIMITS"]', given["limits"])
    if given.get("credentials_endpoint") is not None:
        where = 'NOVASONIC["CREDENTIALS_ENDPOINT"]'
        given["credentials_endpoint"] = _build(CredentialsEndpoint, where, given["credentials_endpoint"])
    for name in ("regions", "allowed_origins"):
        if isinstance(given.get(name), str):
            raise ImproperlyConfigured(f"NOVASONIC[{name.upper()!r}] must be a list or tuple of strings.")
        given[name] = tuple(given.get(name, ()))
    return Settings(**given)


def _build(made: type[_Made], where: str, given: Any) -> _Made:
    try:
        return made(**_values(made, where, given))
    except TypeError as error:
        raise ImproperlyConfigured(f"{where} lacks a key: {error}.") from error


def _values(made: type, where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"{where} must be a dict, not {type(given).__name__}.")
    known = {field.name.upper(): field.name for field in fields(made)}
    if unknown := given.keys() - known.keys():
        raise ImproperlyConfigured(
            f"{where} has no setting {', '.join(sorted(map(str, unknown)))}. It has: {', '.join(sorted(known))}."
        )
    return {known[key]: value for key, value in given.items()}
