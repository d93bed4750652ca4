"""The way to AWS: whose keys, which region, whether the model is there, whether the clocks agree."""

from __future__ import annotations

import os
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, Request, build_opener

from novasonic.catalog import regions_of
from novasonic.contrib.asgi.choices import is_region
from novasonic.contrib.django.checks.base import endpoint, is_aws, is_installed, is_on_this_machine

from .finding import Finding, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from novasonic.contrib.django.conf import Settings

__all__ = ["BEARER_VARIABLE", "MAX_SKEW_SECONDS", "examine", "region_of", "skew_seconds"]

BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
MAX_SKEW_SECONDS = 300
"""Beyond this AWS refuses signatures."""
_SOME_SKEW_SECONDS = 60
_PATIENCE_SECONDS = 5
_SHOWN_CHARACTERS = 4


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that needs no stream."""
    yield _endpoint(settings)
    yield from _credentials(settings)
    if os.environ.get(BEARER_VARIABLE):
        cure = "Nothing is to be done if you have other keys; see docs/how-to/credentials.md."
        yield Finding("bearer", "note", f"{BEARER_VARIABLE} is set: conversations never use it.", cure, "bearer_token")
    yield _region(settings)
    yield _model(settings)
    yield _clock(settings)


def _endpoint(settings: Settings) -> Finding:
    given = endpoint(settings)
    if given is None:
        return Finding("endpoint", "ok", "AWS's own, for the region.")
    source, url = given
    if is_aws(url):
        return Finding("endpoint", "ok", f"{url} ({source}).")
    what = "an emulator or proxy on this machine" if is_on_this_machine(url) else "not one of AWS"
    return Finding("endpoint", "note", f"{url} ({source}): {what}.", f"Unset {source} to talk to AWS.")


def _credentials(settings: Settings) -> Iterator[Finding]:
    if not is_installed("boto3"):
        yield _without_boto3(settings)
        return
    import boto3
    import botocore.exceptions

    try:
        session = boto3.Session(profile_name=settings.profile)
        found = session.get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except botocore.exceptions.BotoCoreError as error:
        cure = "docs/how-to/credentials.md lists where keys are looked for, and in which order."
        yield Finding("credentials", "failed", f"Their provider failed: {error}", cure, "credentials_failed")
        return
    if found is None or frozen is None:
        yield Finding("credentials", "failed", "No AWS credentials.", NO_CREDENTIALS, "no_credentials")
        return
    shown = f"{frozen.access_key[:_SHOWN_CHARACTERS]}..."  # the rest is nobody's business in a terminal's history
    temporary = ", temporary" if frozen.token else ""
    yield Finding("credentials", "ok", f"Key {shown} from {found.method}{temporary}.")
    yield _identity(settings, session)


NO_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose AWS_PROFILE, sign in by `aws sso login`, or give the "
    "machine a role; see docs/how-to/credentials.md."
)


def _without_boto3(settings: Settings) -> Finding:
    cure = "pip install novasonic[credentials], or use --live, which tries them."
    if os.environ.get("AWS_ACCESS_KEY_ID") and settings.profile is None:
        shown = os.environ["AWS_ACCESS_KEY_ID"][:_SHOWN_CHARACTERS]
        message = f"AWS_ACCESS_KEY_ID is set ({shown}...); whose it is cannot be told without boto3."
    else:
        message = "Not looked up: boto3 is not installed."
    return Finding("credentials", "skipped", message, cure)


def _identity(settings: Settings, session: Any) -> Finding:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    given = endpoint(settings)
    if given is not None and not is_aws(given[1]) and "AWS_ENDPOINT_URL_STS" not in os.environ:
        return Finding("identity", "skipped", "Not asked: the endpoint is not AWS's, and its keys need not be either.")
    config = Config(
        connect_timeout=_PATIENCE_SECONDS, read_timeout=_PATIENCE_SECONDS, retries={"total_max_attempts": 1}
    )
    try:
        sts = session.client("sts", region_name=region_of(settings) or "us-east-1", config=config)
        arn = sts.get_caller_identity()["Arn"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        cure = "The keys are wrong, have ended or were deleted: fetch new ones. `SignatureDoesNotMatch`: the secret is."
        return Finding("identity", "failed", f"STS refuses the keys: {code}.", cure, "keys_refused")
    except BotoCoreError as error:
        cure = "Is there a way to sts.<region>.amazonaws.com? Conversations do not need it; roles and SSO do."
        return Finding("identity", "note", f"STS was not reached: {type(error).__name__}.", cure)
    return Finding("identity", "ok", arn)


def region_of(settings: Settings) -> str | None:
    """Return the region as conversations find it, as far as it can be told from here."""
    if found := settings.region or os.environ.get("AWS_REGION"):
        return found
    if not is_installed("boto3"):
        return None
    import boto3
    import botocore.exceptions

    try:
        region: str | None = boto3.Session(profile_name=settings.profile).region_name
    except botocore.exceptions.BotoCoreError:
        return None
    return region


def _region(settings: Settings) -> Finding:
    region = region_of(settings)
    if region is None:
        cure = 'Set NOVASONIC["REGION"] or AWS_REGION, or a region in the AWS profile.'
        return Finding("region", "failed", "No region.", cure, "wrong_region")
    if not is_region(region):
        return Finding("region", "failed", f"{region!r} is no region.", "Write it as us-east-1.", "wrong_region")
    return Finding("region", "ok", f"{region}.")


def _model(settings: Settings) -> Finding:
    region, offered = region_of(settings), regions_of(settings.model)
    if not offered:
        cure = "--live finds out whether AWS knows it."
        return Finding("model", "note", f"{settings.model} is not known to this release.", cure)
    if region is None:
        return Finding("model", "skipped", f"{settings.model}: no region to look at.")
    if region in offered:
        return Finding("model", "ok", f"{settings.model} is offered in {region}.")
    cure = f"Choose one of {', '.join(offered)}."
    state: State = "note" if endpoint(settings) is not None else "failed"
    return Finding("model", state, f"{settings.model} is not offered in {region}.", cure, "wrong_region")


def skew_seconds(settings: Settings) -> float | None:
    """Return how far this machine's clock is ahead of the service's; None where the service's cannot be read.

    Raises:
        OSError: The service was not reached.
    """
    given, region = endpoint(settings), region_of(settings)
    if given is None and (region is None or not is_region(region)):
        return None
    url = given[1] if given is not None else f"https://bedrock-runtime.{region}.amazonaws.com"
    if not url.startswith(("https://", "http://")):
        return None
    context = ssl.create_default_context(cafile=settings.ca_bundle or os.environ.get("AWS_CA_BUNDLE") or None)
    before = time.time()
    try:
        request = Request(url, method="HEAD")  # noqa: S310 - the scheme was looked at
        with build_opener(HTTPSHandler(context=context)).open(request, timeout=_PATIENCE_SECONDS) as answer:
            told = answer.headers.get("Date")
    except HTTPError as refusal:
        # It refuses whoever signs nothing, and tells the time all the same.
        told = refusal.headers.get("Date")
        refusal.close()
    except URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from None
    if told is None:
        return None
    # The header has whole seconds: the middle of one is nearest.
    return (before + time.time()) / 2 - (parsedate_to_datetime(told).timestamp() + 0.5)


def _clock(settings: Settings) -> Finding:
    try:
        skew = skew_seconds(settings)
    except ssl.SSLCertVerificationError:
        cure = 'Name its authority in NOVASONIC["CA_BUNDLE"] or AWS_CA_BUNDLE.'
        return Finding("clock", "failed", "The service's certificate is not trusted.", cure, "certificate")
    except Exception as error:
        # A stand-in for AWS that speaks HTTP/2 alone answers with what http.client cannot read.
        if (given := endpoint(settings)) is not None and not is_aws(given[1]):
            return Finding("clock", "skipped", "The endpoint tells no time over HTTP/1.1.")
        cure = "Is there a way to it from here: DNS, firewall, HTTPS_PROXY?"
        return Finding(
            "clock", "failed", f"The service was not reached: {type(error).__name__}.", cure, "no_connection"
        )
    if skew is None:
        return Finding("clock", "skipped", "The service told no time.")
    ahead = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
    if abs(skew) > MAX_SKEW_SECONDS:
        return Finding("clock", "failed", f"This machine's clock is {ahead}.", CLOCK_CURE, "clock_skew")
    if abs(skew) > _SOME_SKEW_SECONDS:
        return Finding("clock", "note", f"This machine's clock is {ahead}; at 300 s AWS refuses.", CLOCK_CURE)
    return Finding("clock", "ok", f"It agrees with the service's within {max(1, round(abs(skew)))} s.")


CLOCK_CURE = "Let NTP set it: `timedatectl set-ntp true`, or chrony; in a container, on the host."
