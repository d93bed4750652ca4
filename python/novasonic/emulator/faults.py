"""Faults an emulator commits on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Fault"]

_Kind: TypeAlias = Literal["refuse", "reset", "fin", "end_stream", "goaway", "exception", "stall"]

_INTERNAL_ERROR = 2
_NO_ERROR = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, committed once on each stream. Made by the methods below.

    Attributes:
        kind: What happens.
        after_events: After this many input events of the stream; 0: before any.
        name: Error code of a refusal, name of an exception.
        message: Its text.
        number: HTTP status of a refusal, HTTP/2 error code of a reset or GOAWAY.
    """

    kind: _Kind
    after_events: int = 0
    name: str = ""
    message: str = ""
    number: int = 0

    @classmethod
    def refuse(cls, status: int, code: str, message: str, *, after_events: int = 0) -> Fault:
        """Answer the request with an HTTP error, as ``Fault.refuse(429, "ThrottlingException", "Too many")``."""
        return cls("refuse", after_events, code, message, status)

    @classmethod
    def reset(cls, *, after_events: int, code: int = _INTERNAL_ERROR) -> Fault:
        """Reset the stream (RST_STREAM, RFC 9113 section 7 for codes)."""
        return cls("reset", after_events, number=code)

    @classmethod
    def fin(cls, *, after_events: int) -> Fault:
        """Close the whole TCP connection without a GOAWAY."""
        return cls("fin", after_events)

    @classmethod
    def end_stream(cls, *, after_events: int) -> Fault:
        """End the output half way, as if all were said."""
        return cls("end_stream", after_events)

    @classmethod
    def goaway(cls, *, after_events: int, code: int = _NO_ERROR) -> Fault:
        """Send GOAWAY on the connection."""
        return cls("goaway", after_events, number=code)

    @classmethod
    def exception(cls, name: str, message: str, *, after_events: int) -> Fault:
        """Send an in-stream exception, as ``Fault.exception("modelStreamErrorException", "...", after_events=9)``."""
        return cls("exception", after_events, name, message)

    @classmethod
    def stall(cls, *, after_events: int) -> Fault:
        """Read and answer nothing more."""
        return cls("stall", after_events)
