"""The ASGI server: which one runs or is installed, and whether it bounds a message before it is in memory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings as site

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["LARGEST_BYTES", "Running", "examine", "judge", "running"]

LARGEST_BYTES = 96_000
"""The largest message that pages usually send: a second of audio at 48 kHz. Text has 65,536 characters at most."""
_WISE_BYTES = 131_072
_MEBIBYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class _Server:
    option: str | None
    variable: str | None
    default: int | None


_SERVERS = {
    "uvicorn": _Server("--ws-max-size", "UVICORN_WS_MAX_SIZE", 16 * _MEBIBYTE),
    "daphne": _Server("--websocket-max-message-size", None, _MEBIBYTE),  # since 4.2.2 it has one
    "granian": _Server(None, None, None),
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server's process."""

    pid: int
    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def examine() -> Iterator[Finding]:
    """Look at the servers that run here for this site; where none does, at those that could."""
    found = list(running())
    if not found:
        yield _installed()
    told = set()
    for server in found:
        finding = judge(server)
        # Workers of one server have the same to say.
        if (finding.state, finding.message) not in told:
            told.add((finding.state, finding.message))
            yield finding


def _installed() -> Finding:
    versions = []
    for name in _SERVERS:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if not versions:
        cure = "pip install 'uvicorn[standard]'."
        return Finding("server", "failed", "No ASGI server is installed: uvicorn, daphne or granian.", cure)
    application = _application() or "project.asgi:application"
    cure = (
        f"Start it as: uvicorn {application} --ws-max-size {_WISE_BYTES} --ws-per-message-deflate false --lifespan off."
    )
    return Finding("server", "note", f"None runs here for this site; installed: {', '.join(versions)}.", cure)


def running(proc: Path = Path("/proc")) -> Iterator[Running]:
    """Yield our own user's processes that serve ``ASGI_APPLICATION``; none where there is no /proc."""
    wanted = _application()
    if wanted is None:
        return
    for folder in sorted(proc.glob("[0-9]*")):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            arguments = _words((folder / "cmdline").read_bytes())
            name = _server_of(arguments)
            if name is None or wanted not in arguments:
                continue
            pairs = (pair.partition("=") for pair in _words((folder / "environ").read_bytes()))
            # Of the environment only what is looked at below: the rest holds secrets.
            known = {key: value for key, _, value in pairs if key in _VARIABLES}
        except OSError:
            continue  # it ended, or is not ours to look at
        yield Running(int(folder.name), name, tuple(arguments), known)


_VARIABLES = {server.variable for server in _SERVERS.values() if server.variable} | {"UVICORN_WS_PER_MESSAGE_DEFLATE"}


def judge(server: Running) -> Finding:
    """Say what a running server makes of large messages."""
    kind = _SERVERS[server.name]
    where = f"{server.name} (process {server.pid})"
    if kind.option is None or kind.default is None:
        cure = "Prefer uvicorn or daphne for sockets that strangers open."
        return Finding("server", "note", f"{where}: it has no option that bounds a WebSocket message.", cure)
    limit = _number(_value(server, kind.option, kind.variable), kind.default)
    cure = f"Start it with {kind.option} {_WISE_BYTES}."
    if 0 < limit < LARGEST_BYTES:
        message = f"{where} takes messages of {limit} bytes; a second of audio at 48 kHz has {LARGEST_BYTES}."
        return Finding("server", "failed", message, cure, "message_limit")
    if limit == 0 or limit > _MEBIBYTE:
        size = "any size" if limit == 0 else f"{limit} bytes"
        message = f"{where} takes messages of {size} into memory before we see them."
        return Finding("server", "note", message, cure, "message_limit")
    deflate = _value(server, "--ws-per-message-deflate", "UVICORN_WS_PER_MESSAGE_DEFLATE") or "true"
    if server.name == "uvicorn" and deflate.lower() not in ("false", "0", "no"):
        cure = "Start it with --ws-per-message-deflate false: audio does not shrink, and at 200 pages it stalls."
        return Finding("server", "note", f"{where} compresses messages.", cure, "deflate")
    return Finding("server", "ok", f"{where}: messages of {limit} bytes at most.")


def _value(server: Running, option: str, variable: str | None) -> str | None:
    for at, word in enumerate(server.arguments):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and at + 1 < len(server.arguments):
            return server.arguments[at + 1]
    return server.environment.get(variable) if variable else None


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default


def _application() -> str | None:
    """Return ``ASGI_APPLICATION`` as servers are told it."""
    path = getattr(site, "ASGI_APPLICATION", None)
    return re.sub(r"\.(\w+)$", r":\1", path) if path else None


def _words(raw: bytes) -> list[str]:
    return raw.decode(errors="replace").rstrip("\0").split("\0")


def _server_of(arguments: Sequence[str]) -> str | None:
    # As a program, as an interpreter's script, or after -m.
    names = [Path(word).name for word in arguments[:4]]
    return next((name for name in _SERVERS if name in names), None)
