"""How a page is refused: an error it can read, and the close code where the conversation ends with it."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CloseCode", "WireError"]


class CloseCode(IntEnum):
    """How the WebSocket ends; 44xx and 45xx are ours."""

    NORMAL = 1000
    RESTART = 1012
    BAD_MESSAGE = 4400
    NOT_SIGNED_IN = 4401
    NOT_ALLOWED = 4403
    IDLE = 4408
    TAKEN_OVER = 4409
    TOO_LARGE = 4413
    TOO_MANY = 4429
    SERVICE_FAILED = 4500
    NO_CAPACITY = 4503


class WireError(Exception):
    """What the page sent cannot be taken.

    `close` is None where the conversation goes on: the page is told and the message is dropped. The words never quote
    a value that the page sent.
    """

    def __init__(
        self, code: str, message: str, *, close: CloseCode | None = None, message_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.close = close
        self.message_id = message_id
