"""Everything that can go wrong, by what you can do about it.

::

    NovaSonicError
    +-- ConfigError (also ValueError)       a setting is wrong or missing: fix it
    +-- AudioFormatError (also ValueError)  audio that is not whole PCM16 samples, or too long
    +-- CredentialsError                    no AWS credentials, or their provider failed
    +-- AccessDeniedError                   the service refused who you are or what you may do
    +-- CertificateError                    the peer's TLS certificate is not trusted
    +-- ConnectError                        no connection: refused, unreachable, DNS, not HTTP/2
    +-- OperationTimeout (also TimeoutError) a bound of Timeouts ran out
    |   +-- TurnTimeout                     the turn did not end in time
    +-- ThrottledError                      too many requests or streams: back off and try again
    +-- ValidationError                     the service refused an event or the request
    +-- ServiceError                        the service failed
    +-- StreamLostError                     the stream broke before we closed it
    +-- SessionClosedError                  the session has ended; nothing can be sent any more
    +-- ConcurrencyError                    a second reader, another event loop, another thread
    +-- ForkError                           an object of the parent process is used in a fork
    +-- InternalError                       a defect of this library: please report it

No message holds audio, text of the conversation or credentials.
"""

from __future__ import annotations

__all__ = [
    "AccessDeniedError",
    "AudioFormatError",
    "CertificateError",
    "ConcurrencyError",
    "ConfigError",
    "ConnectError",
    "CredentialsError",
    "ForkError",
    "InternalError",
    "NovaSonicError",
    "OperationTimeout",
    "ServiceError",
    "SessionClosedError",
    "StreamLostError",
    "ThrottledError",
    "TurnTimeout",
    "ValidationError",
]


class NovaSonicError(Exception):
    """Base of every error of this library.

    Attributes:
        code: The service's own exception name (``ThrottlingException``) or a short snake_case code of ours.
        message: What happened and where.
        request_id: The service's request id, for its support; None where no request got that far.
        retryable: Whether the same call may work later.
        cure: What to do about it, one sentence, or None.
    """

    # Raised from Rust with these keywords; twin of the fields of `src/error.rs`.
    def __init__(
        self,
        message: str,
        *,
        code: str,
        request_id: str | None = None,
        retryable: bool = False,
        cure: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retryable = retryable
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message} {self.cure}" if self.cure else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are beyond what BaseException pickles by itself; workers send errors to each other.
        return _rebuild, (type(self), self.message, self.code, self.request_id, self.retryable, self.cure)


def _rebuild(
    cls: type[NovaSonicError], message: str, code: str, request_id: str | None, retryable: bool, cure: str | None
) -> NovaSonicError:
    return cls(message, code=code, request_id=request_id, retryable=retryable, cure=cure)


# Twin of `ErrorKind` in src/error.rs, from here on; tests/test_twins.py compares the two.


class ConfigError(NovaSonicError, ValueError):
    """A setting is wrong or missing."""


class AudioFormatError(NovaSonicError, ValueError):
    """Audio that cannot be sent: not bytes or 16-bit samples, an odd number of bytes, longer than the buffer."""


class CredentialsError(NovaSonicError):
    """No AWS credentials were found, or their provider failed."""


class AccessDeniedError(NovaSonicError):
    """The service refused who you are or what you may do."""


class CertificateError(NovaSonicError):
    """The peer's TLS certificate is not trusted."""


class ConnectError(NovaSonicError):
    """No connection came about."""


class OperationTimeout(NovaSonicError, TimeoutError):  # noqa: N818 - reads as what happened
    """A bound of ``Timeouts`` ran out."""


class ThrottledError(NovaSonicError):
    """Too many requests, tokens or streams for this account and region."""


class ValidationError(NovaSonicError):
    """The service refused an event or the request."""


class ServiceError(NovaSonicError):
    """The service failed."""


class StreamLostError(NovaSonicError):
    """The stream was reset or ended before we closed it."""


class SessionClosedError(NovaSonicError):
    """The session has ended; nothing can be sent any more."""


class InternalError(NovaSonicError):
    """A defect of this library."""


# Python only.


class TurnTimeout(OperationTimeout):
    """The turn did not end in time."""


class ConcurrencyError(NovaSonicError):
    """A second reader of one session, or a call from another event loop or thread than the session's own."""


class ForkError(NovaSonicError):
    """An object made before a fork is used in the child process."""
