"""Keys for a page that talks to the service by itself: one model, one region, 900 seconds."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from novasonic.catalog import regions_of
from novasonic.contrib.asgi.choices import is_region

if TYPE_CHECKING:
    from datetime import datetime

    from .conf import Settings

__all__ = ["ACTIONS", "SECONDS", "GrantError", "Keys", "assume", "policy", "session_name"]

SECONDS = 900
"""STS gives no shorter ones."""
LAST_STREAM_SECONDS = SECONDS + 480
"""So long after they are given a stream may live that was opened with them: the last begins in the last second."""
ACTIONS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream")
"""All that a conversation takes: the operation is authorised by the first, the second is its own name."""

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,500}")
_MODEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.:_-]{0,200}")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_CONNECT_SECONDS = 3
_READ_SECONDS = 5
_ATTEMPTS = 2
ASKING_SECONDS = _ATTEMPTS * (_CONNECT_SECONDS + _READ_SECONDS)
"""So long STS may take."""

# By process too, as clients of the service are: one made before fork must not serve the child. No lock, which would
# hang a child if it were held at fork; two threads that ask first at the same moment both build one.
_clients: dict[tuple[int, str | None, str, str | None], Any] = {}


class GrantError(Exception):
    """No keys. `reason` is for the server's log: a class and a code, nothing that an account would not show."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Keys:
    """What the page gets. The repr shows none of the secrets."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: datetime
    region: str
    model: str


def resource(model: str, region: str) -> str:
    """Return the ARN of a model in a region.

    Raises:
        GrantError: One of them is not what it should be; nothing of it goes into a policy.
    """
    if not is_region(region):
        raise GrantError("bad_region")
    if not _MODEL.fullmatch(model):
        raise GrantError("bad_model")
    partition = next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")
    return f"arn:{partition}:bedrock:{region}::foundation-model/{model}"


def policy(model: str, region: str) -> dict[str, Any]:
    """Return the IAM policy that lets its holder talk to `model` in `region`, and nothing else."""
    statement = {"Effect": "Allow", "Action": list(ACTIONS), "Resource": [resource(model, region)]}
    return {"Version": "2012-10-17", "Statement": [statement]}


def session_name(key: object) -> str:
    """Name a user to AWS without telling who; the same at each time, so that CloudTrail joins with our audit rows."""
    return f"novasonic-{salted_hmac('novasonic.credentials', str(key), algorithm='sha256').hexdigest()[:32]}"


@sensitive_variables()
def assume(settings: Settings, name: str) -> Keys:
    """Ask STS for keys of the role, narrowed by a session policy. Blocks for 16 seconds at most.

    GetSessionToken takes no policy, hence a role. A session policy never widens it.

    Raises:
        GrantError: There are none.
    """
    endpoint = settings.credentials_endpoint
    if endpoint is None:
        raise GrantError("not_configured")
    try:
        import boto3
        import botocore.exceptions
    except ImportError:
        raise GrantError("boto3_missing") from None
    try:
        client, region = _sts(boto3, settings)
        asked = {
            "RoleArn": endpoint.role_arn,
            "RoleSessionName": name,
            "DurationSeconds": SECONDS,
            "Policy": json.dumps(policy(settings.model, region), separators=(",", ":")),
        }
        if endpoint.external_id is not None:
            asked["ExternalId"] = endpoint.external_id
        given = client.assume_role(**asked)["Credentials"]
    except botocore.exceptions.ClientError as error:
        # Its text names the account, the role and who asked.
        raise GrantError(f"sts: {error.response.get('Error', {}).get('Code', 'unknown')}") from None
    except GrantError:
        raise
    except Exception as error:  # botocore quotes answers it cannot read, and they may hold keys
        raise GrantError(f"sts: {type(error).__name__}") from None
    return Keys(
        given["AccessKeyId"],
        given["SecretAccessKey"],
        given["SessionToken"],
        expires_at=given["Expiration"],
        region=region,
        model=settings.model,
    )


def _sts(boto3: Any, settings: Settings) -> tuple[Any, str]:
    from botocore.config import Config

    session = None
    region = settings.region
    if region is None:
        session = boto3.Session(profile_name=settings.profile)
        # boto3 looks for AWS_DEFAULT_REGION, every newer tool for AWS_REGION.
        region = os.environ.get("AWS_REGION") or session.region_name
    if region is None or not is_region(region):
        raise GrantError("no_region")
    offered = regions_of(settings.model)
    if offered and region not in offered:
        raise GrantError("model_region")
    key = (os.getpid(), settings.profile, region, os.environ.get("AWS_ENDPOINT_URL_STS"))
    if key not in _clients:
        session = session or boto3.Session(profile_name=settings.profile, region_name=region)
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        )
        _clients.setdefault(key, session.client("sts", region_name=region, config=config))
    return _clients[key], region
