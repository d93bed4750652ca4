"""The Channels consumer that joins one page to one conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

from channels.db import aclose_old_connections
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator

from novasonic import Credentials, NovaSonic
from novasonic.contrib.asgi.handler import VoiceHandler
from novasonic.contrib.asgi.hooks import SiteRules
from novasonic.contrib.asgi.origins import is_listed

from .conf import get_settings
from .lifecycle import get_client
from .permissions import Permission, get_permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from novasonic.contrib.asgi.companion import Companion

__all__ = ["NovaSonicConsumer"]


class NovaSonicConsumer(VoiceHandler, AsyncWebsocketConsumer):
    """Relay one page's voice conversation over the browser wire (``docs/reference/browser-wire.md``).

    Subclass it and set what `novasonic.NovaSonic.connect` takes, or override hooks of `VoiceHandler` for values that
    depend on the user; they may use the asynchronous ORM.

    A frame goes from the socket into the session without a thread hop; Channels' stock dispatcher makes one before
    every message to tidy database connections, which lets one slow query delay every conversation of the process.
    Hence `take` must never touch the ORM; hooks that do run in the conversation's own task.
    """

    # Else every socket listens to the layer by itself, and falls with it; one listener of the process does for all.
    channel_layer_alias = None  # type: ignore[assignment]  # Channels documents it
    permission: ClassVar[Permission | None] = None
    """Who may talk; None: ``NOVASONIC["PERMISSION"]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        AsyncWebsocketConsumer.__init__(self, *args, **kwargs)
        VoiceHandler.__init__(self)

    async def connect(self) -> None:
        """Accept first, so that a page that is refused learns why from the close code."""
        if await self.arrive():
            await self.accept()
            await self.enter()
        else:
            await self.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket, and leave no task behind however that ends: disconnect, failure or cancellation."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Route frames past the stock dispatcher's thread hop."""
        if message["type"] == "websocket.receive":
            await self.take(text=message.get("text"), pcm=message.get("bytes"))
        else:
            await super().dispatch(message)

    async def send_frame(self, *, text: str | None = None, pcm: bytes | None = None) -> None:
        """Send one frame of the browser wire."""
        await self.send(text_data=text, bytes_data=pcm)

    async def close_socket(self, code: int) -> None:
        """Close the socket."""
        await self.close(code=code)

    def origin_allowed(self) -> bool:
        """Say whether the page's Origin is a host of ``ALLOWED_HOSTS`` or of ``NOVASONIC["ALLOWED_ORIGINS"]``.

        `AllowedHostsOriginValidator` in the routing asks the same; a router that lacks it looks just as well-behaved.
        """
        for name, value in self.scope["headers"]:
            if name == b"origin":
                origin = value.decode("latin-1")
                if is_listed(origin, self.get_rules().allowed_origins):
                    return True
                validator = AllowedHostsOriginValidator(cast("Any", None))  # asked, never called
                return bool(validator.valid_origin(urlsplit(origin)))
        return False

    def get_rules(self) -> SiteRules:
        """Return what ``NOVASONIC`` says."""
        chosen = get_settings()
        return SiteRules(
            allowed_origins=chosen.allowed_origins,
            first_message_seconds=chosen.first_message_seconds,
            heartbeat_seconds=chosen.heartbeat_seconds,
            handshakes_per_minute=chosen.handshakes_per_minute,
            trusted_proxies=chosen.trusted_proxies,
            accept_client_credentials=chosen.accept_client_credentials,
        )

    def get_client(self) -> NovaSonic:
        """Return the process's client, in the conversation's region; by the page's own keys, one of its own."""
        chosen = get_settings()
        keys = self.chosen.credentials
        if keys is not None:
            # Of this conversation alone: nobody else may ever talk by it.
            return NovaSonic(
                region=keys.region,
                credentials=Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token),
                endpoint_url=chosen.endpoint_url,
                ca_bundle=chosen.ca_bundle,
                allow_insecure=chosen.allow_insecure,
            )
        return get_client(replace(chosen, region=self.conversation.region or chosen.region))

    def get_companions(self) -> Sequence[Companion]:
        """Return what goes with this conversation, in the order in which it is asked.

        First of all Resumption, so that the others see the conversation as it goes on; Supervision after all that may
        refuse it.
        """
        # They reach models, which need the applications loaded; this module does not.
        from .limits.companion import Admission
        from .metering import Metering
        from .records.companion import Records
        from .workers.resumption import Resumption
        from .workers.supervision import Supervision

        return (Resumption(self), Admission(self), Records(self), Supervision(self), Metering(self))

    async def authenticate(self) -> Any | None:
        """Return the user of Django's session; override it for tokens in headers, for instance DRF's or JWT's."""
        user = self.scope.get("user")
        return user if user is not None and user.is_authenticated and user.is_active else None

    async def redeem_ticket(self, ticket: str) -> Any | None:
        """Return the user to whom a view gave this ticket of `tickets.issue_ticket`, once."""
        from .tickets import redeem_ticket  # reaches models, as the companions do

        return await redeem_ticket(ticket)

    def get_context(self) -> Any:
        """Return what tools get as ``ToolContext.state``: the scope, whose ``["user"]`` is who talks.

        The scope's own is of the cookie only: of who came by a ticket or a header it knows nobody.
        """
        return self.scope if self.user is None else {**self.scope, "user": self.user}

    async def is_allowed(self) -> bool:
        """Ask ``permission``."""
        permission = self.permission or get_permission()
        return await permission.allows(user=self.user, scope=self.scope)

    async def get_owner(self) -> str | None:
        """Return the user's primary key."""
        return None if self.user is None else str(self.user.pk)

    async def prepare(self) -> None:
        """Tidy database connections: hooks may use them from here on, and frames go past the dispatcher that does."""
        await aclose_old_connections()

    def get_model(self) -> str:
        """Return what the page chose, ``model``, or ``NOVASONIC["MODEL"]``."""
        return self.chosen.model or self.model or get_settings().model
