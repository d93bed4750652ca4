"""The page's side of a socket, which may outlast the handler it began with."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

# A page at a bad network takes a frame late; one that takes none for so long is not there.
STALLED_SECONDS: Final = 30.0


class Socket(Protocol):
    """What has the socket."""

    async def send_frame(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Send one frame; OSError or RuntimeError: the page has gone."""

    async def close_socket(self, code: int) -> None:
        """Close the socket."""


class Outlet:
    """Sends to a page for as long as it is there; afterwards it does nothing."""

    def __init__(self, socket: Socket) -> None:
        self.gone = False
        self._socket = socket

    async def send(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Send one frame; a page that has gone takes nothing and is no error."""
        if not self.gone:
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await self._socket.send_frame(text=text, pcm=pcm)
            except (OSError, RuntimeError):  # TimeoutError is one of OSError's
                # uvicorn: ClientDisconnected, or RuntimeError once it has closed the socket itself at shutdown. Its
                # disconnect message follows.
                self.gone = True

    async def shut(self, code: int) -> None:
        """Close the socket, once."""
        if not self.gone:
            self.gone = True  # a server raises on what another task sends after close
            await self._socket.close_socket(code)
