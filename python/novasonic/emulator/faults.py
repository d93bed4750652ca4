"""Faults an emulator commits on demand."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

__all__ = ["Fault"]

_MEBIBYTE = 1024 * 1024


class _Place(TypedDict, total=False):
    """Where, for whom and how often; see `Fault`."""

    after_input: int
    after_output: int
    after_headers: bool
    counting: str
    account: str
    stream: int
    times: int


# Twin of `Table` in src/emulator/faults/table.rs, which checks it.
@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """One fault, committed once on each stream it is for. Made by the methods below.

    All of them take the keywords ``after_input``, ``after_output``, ``after_headers``, ``counting``, ``account``,
    ``stream`` and ``times``. A fault of a connection (`tcp_reset`, `fin`, a hard `goaway`, `stall` with
    ``scope="connection"``) meets all streams of it; each `NovaSonic` client has connections of its own.

    Attributes:
        kind: What happens.
        after_input: After this many input events, once what is said at once in answer was written. Without any place:
            0, before response headers.
        after_output: After this many output events were written.
        after_headers: After response headers, which then go out at once.
        counting: Which events count: None: all; ``"non-audio"``; or one name, as ``"contentEnd"``.
        account: Whose streams: a name given to `Emulator.account`, ``""``: the own key's; None: everybody's.
        stream: Only the n-th stream (of that account) opened since the fault was set, from 1; None: each.
        times: Committed at most this often; None: always.
        status: HTTP status of a refusal.
        name: Code of an error, name of an exception or event.
        message: Its text.
        max: Streams of an account that may live at a time.
        seconds: How far the emulator's clock is ahead.
        form: Which of several forms.
        code: HTTP/2 error code (RFC 9113, section 7), by number or name.
        hard: GOAWAY that ends the connection at once.
        scope: What stalls.
        reading: A stall that goes on reading.
        size: Bytes.
        rate: Bytes a second.
        count: Events that come twice.
        fields: Members of an event.
    """

    kind: str
    after_input: int | None = None
    after_output: int | None = None
    after_headers: bool | None = None
    counting: str | None = None
    account: str | None = None
    stream: int | None = None
    times: int | None = None
    status: int | None = None
    name: str | None = None
    message: str | None = None
    max: int | None = None
    seconds: int | None = None
    form: str | None = None
    code: int | str | None = None
    hard: bool | None = None
    scope: str | None = None
    reading: bool | None = None
    size: int | None = None
    rate: int | None = None
    count: int | None = None
    fields: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Fault({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    # Opening a stream.

    @classmethod
    def refuse(cls, status: int, name: str, message: str, **place: Unpack[_Place]) -> Fault:
        """Answer the request with an HTTP error, as ``Fault.refuse(403, "AccessDeniedException", "Not you.")``."""
        return cls("refuse", status=status, name=name, message=message, **place)

    @classmethod
    def throttle(cls, message: str | None = None, **place: Unpack[_Place]) -> Fault:
        """Refuse with 429 ThrottlingException; with ``times=3`` the first three."""
        return cls("throttle", message=message, **place)

    @classmethod
    def quota(cls, max_streams: int, **place: Unpack[_Place]) -> Fault:
        """Refuse an account's streams above so many at a time with ServiceQuotaExceededException."""
        return cls("quota", max=max_streams, **place)

    @classmethod
    def skew(cls, seconds: int, **place: Unpack[_Place]) -> Fault:
        """Judge signatures by a clock that is so far ahead (negative: behind); over 300 s off all are refused."""
        return cls("skew", seconds=seconds, **place)

    @classmethod
    def refuse_connection(cls, form: Literal["reset", "silent"] = "reset", *, times: int | None = None) -> Fault:
        """Reset connections as they come, or accept them and never answer, TLS included."""
        return cls("refuse_connection", form=form, times=times)

    @classmethod
    def no_headers(cls, **place: Unpack[_Place]) -> Fault:
        """Take what the client sends and never answer, not even with headers."""
        return cls("no_headers", **place)

    # Ending it.

    @classmethod
    def rst_stream(cls, code: int | str = "INTERNAL_ERROR", **place: Unpack[_Place]) -> Fault:
        """Reset the stream (RST_STREAM)."""
        return cls("rst_stream", code=code, **place)

    @classmethod
    def tcp_reset(cls, **place: Unpack[_Place]) -> Fault:
        """Reset the whole TCP connection (RST)."""
        return cls("tcp_reset", **place)

    @classmethod
    def fin(cls, **place: Unpack[_Place]) -> Fault:
        """Close the whole TCP connection, without GOAWAY or TLS's goodbye."""
        return cls("fin", **place)

    @classmethod
    def goaway(cls, code: int | str = 0, *, hard: bool | None = None, **place: Unpack[_Place]) -> Fault:
        """Send GOAWAY on the connection.

        Args:
            code: With 0, streams go on and new ones are refused.
            hard: End the connection at once; None: where `code` is not 0.
            place: See the class.
        """
        return cls("goaway", code=code, hard=hard, **place)

    @classmethod
    def end_stream(cls, **place: Unpack[_Place]) -> Fault:
        """End the output half way, as if all were said."""
        return cls("end_stream", **place)

    @classmethod
    def exception(cls, name: str, message: str, **place: Unpack[_Place]) -> Fault:
        """Send an in-stream exception, modelled or not, as ``Fault.exception("modelStreamErrorException", "Oh.")``."""
        return cls("exception", name=name, message=message, **place)

    @classmethod
    def error(cls, name: str, message: str, **place: Unpack[_Place]) -> Fault:
        """Send an unmodelled in-stream error (``:message-type: error``)."""
        return cls("error", name=name, message=message, **place)

    @classmethod
    def stall(
        cls, scope: Literal["stream", "connection"] = "stream", *, reading: bool = False, **place: Unpack[_Place]
    ) -> Fault:
        """Answer nothing more.

        Args:
            scope: ``"stream"``: HTTP/2 pings are answered and other streams served; ``"connection"``: a silent peer.
            reading: Take what the client sends, and throw it away.
            place: See the class.
        """
        return cls("stall", scope=scope, reading=reading, **place)

    @classmethod
    def truncated(cls, **place: Unpack[_Place]) -> Fault:
        """Send half a message, then the end of the stream."""
        return cls("truncated", **place)

    # Spoiling it; the stream goes on.

    @classmethod
    def bad_crc(cls, **place: Unpack[_Place]) -> Fault:
        """Send one message with a wrong checksum."""
        return cls("bad_crc", **place)

    @classmethod
    def junk(cls, form: Literal["json", "base64", "event"] = "json", **place: Unpack[_Place]) -> Fault:
        """Send one message whose chunk is no JSON, whose bytes are no base64, or whose event is no JSON."""
        return cls("junk", form=form, **place)

    @classmethod
    def event(cls, name: str, fields: Mapping[str, Any] | None = None, **place: Unpack[_Place]) -> Fault:
        """Send one event as it stands, for instance one that no client knows."""
        return cls("event", name=name, fields=fields, **place)

    @classmethod
    def unknown_frame(cls, **place: Unpack[_Place]) -> Fault:
        """Send one message whose ``:event-type`` is not ``chunk``."""
        return cls("unknown_frame", **place)

    @classmethod
    def big_event(cls, size: int = 4 * _MEBIBYTE, **place: Unpack[_Place]) -> Fault:
        """Send one ``audioOutput`` with so many bytes of base64."""
        return cls("big_event", size=size, **place)

    @classmethod
    def tiny_frames(cls, size: int = 1, **place: Unpack[_Place]) -> Fault:
        """From here on send DATA frames of at most so many bytes."""
        return cls("tiny_frames", size=size, **place)

    @classmethod
    def drip(cls, rate: int, **place: Unpack[_Place]) -> Fault:
        """From here on send so many bytes a second."""
        return cls("drip", rate=rate, **place)

    @classmethod
    def duplicate(cls, count: int | None = None, **place: Unpack[_Place]) -> Fault:
        """Send the next `count` events twice; None: all from here on."""
        return cls("duplicate", count=count, **place)

    # Its other spellings.

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault as the command line takes it: ``tcp_reset after_output=12 account=anna``, or a JSON object.

        Raises:
            ConfigError: ``code="invalid_fault"``: it is neither, or has a key that no fault has.
        """
        try:
            table = json.loads(text) if text.lstrip().startswith("{") else _words(text)
            return cls(**table)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"--fault {text!r}: {error}.",
                code="invalid_fault",
                cure="Write it as 'tcp_reset after_output=12', or as the JSON object of the control interface.",
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that the control interface and ``[[fault]]`` in a script take."""
        given = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {name: value for name, value in given.items() if value is not None}


def _words(text: str) -> dict[str, Any]:
    kind, *settings = shlex.split(text) or [""]
    table: dict[str, Any] = {"kind": kind}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise ValueError(f"{setting!r} is no key=value")
        table[name] = _value(value) if name not in {"account", "name", "message", "counting"} else value
    return table


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
