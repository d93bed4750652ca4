"""A real handshake: one stream with 100 ms of silence, and what it means where it fails."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import novasonic
from novasonic.contrib.django.grant import ACTIONS
from novasonic.contrib.django.lifecycle import get_client

from . import aws
from .finding import Finding

if TYPE_CHECKING:
    from novasonic.contrib.django.conf import Settings

__all__ = ["diagnose", "handshake"]

_SILENCE = bytes(2 * 1_600)  # 100 ms at 16 kHz
# The service objects to an opening within this time, or not at all.
_LISTEN_SECONDS = 1.0


def handshake(settings: Settings) -> Finding:
    """Open a stream as a conversation would, and close it."""
    try:
        asyncio.run(_talk(settings))
    except novasonic.NovaSonicError as error:
        return diagnose(error, settings)
    return Finding("handshake", "ok", f"{settings.model} took 100 ms of silence.", code="ok")


async def _talk(settings: Settings) -> None:
    client = get_client(settings)
    # No restarts: what is wrong is to be seen, not got over. Nothing beside the 100 ms is sent, nor paid for.
    async with client.connect(model=settings.model, continuation=None, realtime=False) as session:
        await session.send_audio(_SILENCE)
        try:
            async with asyncio.timeout(_LISTEN_SECONDS):
                async for _ in session:
                    pass
        except TimeoutError:
            pass


def diagnose(error: novasonic.NovaSonicError, settings: Settings) -> Finding:
    """Say which of the usual causes it is, by the error's class and code, and its text where these are not enough."""
    code, message, cure = _cause(error, settings)
    return Finding("handshake", "failed", message, cure, code)


def _cause(error: novasonic.NovaSonicError, settings: Settings) -> tuple[str, str, str]:
    said = error.message
    match error:
        case novasonic.CredentialsError():
            return _no_credentials(error)
        case novasonic.ConfigError(code="region_missing" | "model_region"):
            return "wrong_region", said, error.cure or "Choose another region."
        case novasonic.AccessDeniedError():
            return _denied(error, settings)
        case novasonic.ThrottledError(code="ServiceQuotaExceededException"):
            cure = "Close other streams, or ask AWS for more (Service Quotas, Amazon Bedrock, concurrent sessions)."
            return "quota", f"The account has no stream left in this region: {said}", cure
        case novasonic.ThrottledError():
            return "throttled", f"Too many requests: {said}", "Wait a little; if it lasts, ask AWS for a higher quota."
        case novasonic.ValidationError() if _names_no_model(error):
            cure = 'Check NOVASONIC["MODEL"], and that the model is offered in this region.'
            return "wrong_region", f"The service does not know {settings.model} in this region: {said}", cure
        case novasonic.CertificateError():
            return "certificate", said, error.cure or 'Name its authority in NOVASONIC["CA_BUNDLE"].'
        case novasonic.ConnectError() | novasonic.OperationTimeout():
            cure = "Is there a way to it from here: DNS, firewall, HTTPS_PROXY? A region that does not exist has none."
            return "no_connection", said, cure
        case _:
            return (
                "failed",
                f"{type(error).__name__} ({error.code}): {said}",
                error.cure or "See docs/reference/errors.md.",
            )


def _no_credentials(error: novasonic.CredentialsError) -> tuple[str, str, str]:
    if error.code == "credentials_missing" and os.environ.get(aws.BEARER_VARIABLE):
        message = f"{aws.BEARER_VARIABLE} is all there is, and the service takes no API keys for conversations."
        return "bearer_token", message, aws.NO_CREDENTIALS
    if error.code in ("credentials_missing", "credentials_empty"):
        return "no_credentials", error.message, aws.NO_CREDENTIALS
    return "credentials_failed", error.message, error.cure or aws.NO_CREDENTIALS


def _denied(error: novasonic.AccessDeniedError, settings: Settings) -> tuple[str, str, str]:
    said = error.message
    if "Signature expired" in said or "Signature not yet current" in said:
        return "clock_skew", f"This machine's clock is wrong: {said}", aws.CLOCK_CURE
    if "valid region" in said:
        return "wrong_region", said, "The endpoint is of another region than the one requests are signed for."
    match error.code:
        case "ExpiredTokenException" | "ExpiredToken":
            return (
                "expired",
                f"The temporary keys have ended: {said}",
                "Fetch new ones: `aws sso login`, or your vault.",
            )
        case "UnrecognizedClientException" | "InvalidClientTokenId" | "MissingAuthenticationTokenException":
            return "keys_refused", f"AWS does not know the key: {said}", "It was deleted, or is of another partition."
        case "InvalidSignatureException" | "SignatureDoesNotMatch":
            if (skew := _skew(settings)) is not None and abs(skew) > aws.MAX_SKEW_SECONDS:
                return "clock_skew", f"This machine's clock is {skew:.0f} s off.", aws.CLOCK_CURE
            cure = "The secret does not belong to the key: copy it anew, without spaces. Or a proxy changes requests."
            return "keys_refused", f"The signature is wrong: {said}", cure
    if "not authorized to perform" in said or "explicit deny" in said:
        cure = f"Attach the policy below to who talks: it allows {' and '.join(ACTIONS)}."
        if "explicit deny" in said:
            cure = "A policy denies it, and no other can allow it again: a service control policy, or a boundary."
        return "denied", f"IAM denies it: {said}", cure
    cure = (
        "Enable access to the model in this account and region (Bedrock console, Model access), and attach the policy "
        "below."
    )
    return "no_access", f"AWS answers 403: {said}", cure


def _names_no_model(error: novasonic.ValidationError) -> bool:
    return error.code == "ResourceNotFoundException" or "model identifier" in error.message


def _skew(settings: Settings) -> float | None:
    try:
        return aws.skew_seconds(settings)
    except Exception:
        return None
