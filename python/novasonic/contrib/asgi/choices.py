"""What a page may choose for its conversation: the rules of the site, and `initialize` held against them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .errors import CloseCode, WireError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["MAX_SYSTEM_CHARS", "MAX_TEXT_CHARS", "ClientCredentials", "Initialize", "PageRules", "is_region"]

MAX_TEXT_CHARS: Final = 4_000
MAX_SYSTEM_CHARS: Final = 32_000
MAX_TOKEN_CHARS: Final = 1_024

_CREDENTIAL_KEYS: Final = frozenset({"awsAccessKeyId", "awsSecretAccessKey", "awsSessionToken", "awsRegion"})
_KEYS: Final = frozenset(
    {"type", "voice", "model", "region", "language", "audioFormat", "resumeToken", "ticket", "systemPrompt"}
)
# A region becomes part of a host name. ASCII by name: \d takes the digits of every script.
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_REGION_CHARS: Final = 32
_ACCESS_KEY_ID: Final = re.compile(r"[A-Za-z0-9_]{4,128}")
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRules:
    """What a site lets its pages choose and send; the defaults let them choose nothing."""

    voices: Collection[str] = ()
    models: Collection[str] = ()
    regions: Collection[str] = ()
    """Binds the region of a page's own credentials too, where it names any."""
    languages: Collection[str] = ()
    accept_client_credentials: bool = False
    """Takes AWS keys, and the system prompt that comes with them, from the page."""
    max_text_chars: int = MAX_TEXT_CHARS
    """Of one `text_message`."""


@dataclass(frozen=True, slots=True, repr=False)
class ClientCredentials:
    """AWS keys of the page's own account; shows nothing of them, and does not pickle."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    region: str

    def __repr__(self) -> str:
        return "ClientCredentials(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("ClientCredentials do not pickle or copy: secrets stay where they were given.")


@dataclass(frozen=True, slots=True)
class Initialize:
    """Begin the conversation; None and False leave a choice to the site."""

    voice: str | None = None
    base64_audio: bool = False
    model: str | None = None
    region: str | None = None
    language: str | None = None
    resume_token: str | None = field(default=None, repr=False)
    ticket: str | None = field(default=None, repr=False)
    """Says who the page belongs to, where it has no cookie."""
    credentials: ClientCredentials | None = None
    system: str | None = field(default=None, repr=False)
    """The page's own system prompt; only ever beside `credentials`, for whoever pays may prompt."""


def is_region(name: object) -> bool:
    """Say whether `name` is spelt as AWS spells its regions; nothing else may enter a host name."""
    return isinstance(name, str) and len(name) <= _REGION_CHARS and _REGION.fullmatch(name) is not None


def read_initialize(message: Mapping[str, Any], rules: PageRules) -> Initialize:
    """Hold the page's `initialize` against the site's rules.

    Raises:
        WireError: `credentials_not_accepted` (closes with 4403), `not_allowed` or `bad_field`, naming the key.
    """
    named = {key for key in message if _names_credentials(key)}
    if named and not rules.accept_client_credentials:
        raise WireError(
            "credentials_not_accepted",
            "AWS keys stay on the server; this site does not take them from a page.",
            close=CloseCode.NOT_ALLOWED,
        )
    refused = (message.keys() - _KEYS - named) | (named - _CREDENTIAL_KEYS)
    if "systemPrompt" in message and not named:
        refused.add("systemPrompt")
    if refused:
        raise WireError("not_allowed", f"A page may not choose {min(refused)[:40]!r} here.")
    audio_format = message.get("audioFormat", "binary")
    if audio_format not in ("binary", "base64"):
        raise WireError("not_allowed", '\'audioFormat\' is "binary" or "base64".')
    region = message.get("region")
    if region is not None and not is_region(region):
        raise _not_allowed("region")
    return Initialize(
        voice=_choice(message, "voice", rules.voices),
        base64_audio=audio_format == "base64",
        model=_choice(message, "model", rules.models),
        region=_choice(message, "region", rules.regions),
        language=_choice(message, "language", rules.languages),
        resume_token=_token(message, "resumeToken"),
        ticket=_token(message, "ticket"),
        credentials=_credentials(message, rules) if named else None,
        system=_system(message),
    )


def _not_allowed(key: str) -> WireError:
    return WireError("not_allowed", f"A page may not choose this {key!r} here.")


def _choice(message: Mapping[str, Any], key: str, allowed: Collection[str]) -> str | None:
    value = message.get(key)
    if value is None:
        return None
    # A list or a dict from the page cannot be looked up in a set.
    if not isinstance(value, str) or value not in allowed:
        raise _not_allowed(key)
    return value


def _token(message: Mapping[str, Any], key: str) -> str | None:
    value = message.get(key)
    if value is None or _is_printable(value, MAX_TOKEN_CHARS):
        return value
    raise WireError("bad_field", f"'{key}' is what this server once gave, as it gave it.")


def _is_printable(value: object, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and _PRINTABLE.fullmatch(value) is not None


def _names_credentials(key: str) -> bool:
    plain = "".join(filter(str.isalnum, key)).lower()
    return plain.startswith("aws") or any(
        word in plain for word in ("accesskey", "secret", "sessiontoken", "credential")
    )


def _credentials(message: Mapping[str, Any], rules: PageRules) -> ClientCredentials:
    region = message.get("awsRegion")
    if not is_region(region):
        raise WireError("bad_field", "'awsRegion' is the name of an AWS region.")
    if rules.regions and region not in rules.regions:
        raise _not_allowed("awsRegion")
    key_id, secret = message.get("awsAccessKeyId"), message.get("awsSecretAccessKey")
    if not isinstance(key_id, str) or not _ACCESS_KEY_ID.fullmatch(key_id):
        raise WireError("bad_field", "'awsAccessKeyId' is the id of an AWS access key.")
    if not _is_printable(secret, 256):
        raise WireError("bad_field", "'awsSecretAccessKey' is the secret of an AWS access key.")
    # Older clients send it empty for keys that are not temporary.
    token = message.get("awsSessionToken") or None
    if token is not None and not _is_printable(token, 8_192):
        raise WireError("bad_field", "'awsSessionToken' is the token of temporary AWS credentials.")
    return ClientCredentials(key_id, str(secret), token, str(region))


def _system(message: Mapping[str, Any]) -> str | None:
    prompt = message.get("systemPrompt")
    if prompt is None:
        return None
    if not isinstance(prompt, str) or len(prompt) > MAX_SYSTEM_CHARS or not is_unicode(prompt):
        raise WireError("bad_field", f"'systemPrompt' is a string of at most {MAX_SYSTEM_CHARS} characters.")
    return prompt or None


def is_unicode(text: str) -> bool:
    """Say whether UTF-8 can carry `text`: JSON can spell half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
