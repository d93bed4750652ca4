"""A recording as the answer to a browser's request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from .recording import recordings_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

__all__ = ["recording_response"]

_BLOCK = 65_536
# Of one answer to a player, which asks for the next part by itself.
_PART = 4_000_000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def recording_response(request: HttpRequest, name: str) -> HttpResponseBase:
    """Answer with a recording, or with the part that the browser asks for.

    Raises:
        FileNotFoundError: The storage has no such file.
    """
    storage = recordings_storage()
    if not storage.exists(name):
        raise FileNotFoundError(name)
    size = storage.size(name)
    asked = _RANGE.match(request.headers.get("Range", ""))
    response: HttpResponseBase
    if asked is None:
        response = StreamingHttpResponse(_pieces(request, storage.open(name)))
        response["Content-Length"] = str(size)
    else:
        first, last = _bounds(asked, size)
        if first > last:
            response = HttpResponse(status=416)
            response["Content-Range"] = f"bytes */{size}"
        else:
            with storage.open(name) as file:
                file.seek(first)
                response = HttpResponse(file.read(last - first + 1), status=206)
            response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Content-Type"] = "audio/wav"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _bounds(asked: re.Match[str], size: int) -> tuple[int, int]:
    first, last = asked.groups()
    if not first:  # so many from the end
        start = max(0, size - int(last or 0))
        return start, min(size, start + _PART) - 1
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    return start, min(end, start + _PART - 1)


def _pieces(request: HttpRequest, file: Any) -> Iterator[bytes] | AsyncIterator[bytes]:
    return _read_async(file) if hasattr(request, "scope") else _read(file)


def _read(file: Any) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


async def _read_async(file: Any) -> AsyncIterator[bytes]:
    try:
        while block := await sync_to_async(file.read)(_BLOCK):
            yield block
    finally:
        await sync_to_async(file.close)()
