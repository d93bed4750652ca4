"""AWS keys on their way to the core, given or asked for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from novasonic._threads import in_thread
from novasonic.config import Credentials

__all__ = ["CredentialsProvider", "CredentialsRow", "ask", "credentials_row"]

CredentialsProvider: TypeAlias = Callable[[], Credentials | Awaitable[Credentials]]
CredentialsRow: TypeAlias = tuple[str, str, str | None, float | None]


async def ask(provider: CredentialsProvider) -> Credentials:
    """Call `provider`: on the loop where it is async, else in a thread, since it may well block.

    Raises:
        TypeError: It returned something else than `Credentials`.
        Exception: What it raised itself.
    """
    if inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(type(provider).__call__):
        answer = provider()
    else:
        answer = await in_thread(provider)
    # A plain function may still return an awaitable: a lambda, a functools.partial.
    credentials = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(credentials, Credentials):
        raise TypeError(f"expected novasonic.Credentials, got {type(credentials).__name__}")
    return credentials


def credentials_row(credentials: Credentials) -> CredentialsRow:
    """Return `credentials` as the core takes them, the expiry in seconds since the epoch."""
    expires_at = credentials.expires_at
    return (
        credentials.access_key_id,
        credentials.secret_access_key,
        credentials.session_token,
        expires_at.timestamp() if expires_at is not None else None,
    )
