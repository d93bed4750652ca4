"""What a client and a session are opened with. Times are seconds, rates Hz."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from novasonic._numbers import is_number
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from datetime import datetime
    from typing import NoReturn

__all__ = ["NOVA_2_5_SONIC", "NOVA_2_SONIC", "Buffers", "Continuation", "Credentials", "Limits", "Message", "Timeouts"]

NOVA_2_SONIC: Final = "amazon.nova-2-sonic-v1:0"
"""Amazon Nova 2 Sonic."""

NOVA_2_5_SONIC: Final = "amazon.nova-2-5-sonic"
"""Amazon Nova 2.5 Sonic; its id has no version suffix."""

_SHOWN_CHARACTERS = 4


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """AWS keys.

    They refuse to be pickled or copied, and their repr shows four characters of the key id and nothing else.

    Args:
        access_key_id: The public half.
        secret_access_key: The secret half.
        session_token: For temporary credentials.
        expires_at: When temporary credentials end (timezone-aware). A callable is asked again nine minutes before; if
            it tells no end, for each stream.

    Raises:
        ConfigError: ``code="invalid_credentials"``: a part is empty or not a string, or ``expires_at`` has no
            timezone.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("access_key_id", "secret_access_key", "session_token"):
            value = getattr(self, name)
            if name == "session_token" and value is None:
                continue
            if not isinstance(value, str) or not value.strip():
                raise ConfigError(f"Credentials.{name} must be a non-empty string.", code="invalid_credentials")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ConfigError(
                "Credentials.expires_at has no timezone.",
                code="invalid_credentials",
                cure="Give an aware datetime, for instance datetime.now(UTC) + timedelta(hours=1).",
            )

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id[:_SHOWN_CHARACTERS]}...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # pickle, copy.copy and copy.deepcopy all come through here.
        raise TypeError("Credentials do not pickle or copy: secrets stay where they were given.")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an earlier conversation.

    Args:
        role: Who said it.
        text: What was said.

    Raises:
        ConfigError: ``code="invalid_history"``: another role, or no text.
    """

    role: Literal["user", "assistant"]
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ConfigError(
                f"Message.role is {self.role!r}.",
                code="invalid_history",
                cure='Use "user" or "assistant"; instructions go into connect(system=...).',
            )
        if not isinstance(self.text, str) or not self.text.strip():
            raise ConfigError("Message.text must be a non-empty string.", code="invalid_history")


@dataclass(frozen=True, slots=True)
class Buffers:
    """How much audio may wait, in seconds of its own duration.

    Args:
        input: The user's audio not yet sent. When full, ``try_send_audio`` takes nothing and ``send_audio`` waits.
        output: The assistant's audio not yet read. When full, the session stops reading its own stream; the default
            is longer than any reply.

    Raises:
        ConfigError: ``code="invalid_buffers"``: not a positive number.
    """

    input: float = 30.0
    output: float = 120.0

    def __post_init__(self) -> None:
        _require_positive_seconds(self, ("input", "output"), "invalid_buffers")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on waiting, in seconds.

    Args:
        open: From ``connect`` to the service's response headers, credentials and TLS included.
        close: How long an orderly close may take before the stream is reset.
        peer: How late a service is noticed that answers nothing any more while audio or silence goes up. Whoever sends
            nothing notices it after some fifteen seconds.
        stall: How long the service may take nothing of what waits to be sent, though it answers otherwise.
        first_event: How long it may say nothing after the first input that wants an answer.
        turn: How long it may say nothing while it owes an answer. Not while a tool is at work or the user goes on
            speaking. Raw streams know no turns: neither this nor ``first_event`` holds there.

    Raises:
        ConfigError: ``code="invalid_timeouts"``: not a positive number.
    """

    open: float = 15.0
    close: float = 5.0
    peer: float = 2.5
    stall: float = 10.0
    first_event: float = 15.0
    turn: float = 30.0

    def __post_init__(self) -> None:
        names = ("open", "close", "peer", "stall", "first_event", "turn")
        _require_positive_seconds(self, names, "invalid_timeouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a conversation may take before it is ended, politely and with the reason ``limit``. None: no bound.

    A reply that is being spoken when a limit is reached is let finish, for ten seconds at most.

    Args:
        seconds: Length of the conversation.
        idle_seconds: Since anybody said, typed or was told anything; a tool at work is no idleness.
        tokens: All tokens, both ways.
        usd: Their price.

    Raises:
        ConfigError: ``code="invalid_limits"``: not a positive number.
    """

    seconds: float | None = None
    idle_seconds: float | None = None
    tokens: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "idle_seconds"):
            if getattr(self, name) is not None:
                _require_positive_seconds(self, (name,), "invalid_limits")
        if self.tokens is not None and (type(self.tokens) is not int or not 0 < self.tokens < 2**63):
            raise ConfigError(
                f"Limits.tokens is {self.tokens!r}.",
                code="invalid_limits",
                cure="Give a whole number above 0, or None.",
            )
        if self.usd is not None and not (is_number(self.usd) and self.usd > 0):
            raise ConfigError(
                f"Limits.usd is {self.usd!r}.", code="invalid_limits", cure="Give a number above 0, or None."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How a conversation outlives its streams: a stream of the service lives 8 minutes at most, and may break.

    The next stream is opened beside the present one and takes over where no turn runs. After a loss the conversation
    goes on by itself: with its history, and the audio that the service had not understood yet.

    Args:
        renew_after: Age in seconds at which a stream is replaced at the next good moment.
        force_after: And at which it is replaced whatever happens.
        idle_after: A stream on which nobody has said anything for so long is replaced, too.
        before_expiry: So long before its credentials end, a stream is replaced.
        attempts: Failed attempts in a row after which a lost conversation ends with what it met.
        restarts_per_hour: Bound on restarts after losses.
        history_bytes: Bound on the history given to the next stream, in UTF-8; the newest is kept.

    Raises:
        ConfigError: ``code="invalid_continuation"``: not a positive number, or ``force_after`` is not after
            ``renew_after``.
    """

    renew_after: float = 360.0
    force_after: float = 450.0
    idle_after: float = 150.0
    before_expiry: float = 180.0
    attempts: int = 8
    restarts_per_hour: int = 30
    history_bytes: int = 200 * 1024

    def __post_init__(self) -> None:
        _require_positive_seconds(
            self, ("renew_after", "force_after", "idle_after", "before_expiry"), "invalid_continuation"
        )
        for name in ("attempts", "restarts_per_hour", "history_bytes"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value < 2**31:
                raise ConfigError(
                    f"Continuation.{name} is {value!r}.",
                    code="invalid_continuation",
                    cure="Give a whole number above 0.",
                )
        if self.force_after < self.renew_after:
            raise ConfigError(
                f"Continuation.force_after is {self.force_after!r}, before renew_after ({self.renew_after!r}).",
                code="invalid_continuation",
                cure="Leave some time between the two for a good moment to come.",
            )


# A day: anything above is a unit mistaken (milliseconds for seconds).
_MAX_SECONDS = 86_400.0


def _require_positive_seconds(settings: object, names: tuple[str, ...], code: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not is_number(value) or not 0 < value <= _MAX_SECONDS:
            raise ConfigError(
                f"{type(settings).__name__}.{name} is {value!r}.",
                code=code,
                cure="Give seconds: a number above 0 and at most 86400.",
            )


CONTINUATION: Final = Continuation()
"""What `NovaSonic.connect` continues by, unless told otherwise."""
