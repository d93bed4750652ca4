"""A voice handler as an ASGI application of its own, for sites without Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from .handler import VoiceHandler
from .origins import is_listed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    import novasonic

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ["VoiceApplication"]


class VoiceApplication(VoiceHandler):
    """Serve the browser wire on any ASGI server; one object for each socket.

    ::

        class Assistant(VoiceApplication):
            system = "You are a storyteller."
            client = novasonic.NovaSonic(region="us-east-1")

            async def authenticate(self):
                return await user_of(self.scope)

        application = Assistant.as_asgi()

    Nobody is known, and so nobody may talk, until ``authenticate`` (or ``is_allowed``) says otherwise.
    """

    client: ClassVar[novasonic.NovaSonic]
    """What opens the conversations; made before a fork it does not serve the child."""

    @classmethod
    def as_asgi(cls) -> Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]:
        """Return an ASGI application that serves each WebSocket by an object of this class."""

        async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket":
                raise ValueError(f"{cls.__name__} serves websocket, not {scope['type']}: route others elsewhere.")
            handler = cls()
            handler.scope = scope
            await handler.serve(receive, send)

        return application

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve the socket of ``self.scope``, and leave no task behind however that ends."""
        self._to_page = send
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if message["type"] == "websocket.connect":
                    if not await self.arrive():
                        await self._to_page({"type": "websocket.close"})
                        return
                    await self._to_page({"type": "websocket.accept"})
                    await self.enter()
                else:
                    await self.take(text=message.get("text"), pcm=message.get("bytes"))
        finally:
            await self.leave()

    async def send_frame(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Send one frame of the browser wire."""
        content: Message = {"bytes": pcm} if pcm is not None else {"text": text}
        await self._to_page({"type": "websocket.send", **content})

    async def close_socket(self, code: int) -> None:
        """Close the socket."""
        await self._to_page({"type": "websocket.close", "code": code})

    def origin_allowed(self) -> bool:
        """Say whether the page's Origin is the host it connects to, or one of the site's ``allowed_origins``."""
        headers = dict(self.scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        if is_listed(origin, self.get_rules().allowed_origins):
            return True
        # "null", which a sandboxed frame of any site sends, has no host either.
        return bool(host) and urlsplit(origin).netloc == host

    def get_client(self) -> novasonic.NovaSonic:
        """Return ``client``; override it for sites with several regions, or whose pages bring their own keys."""
        return self.client
