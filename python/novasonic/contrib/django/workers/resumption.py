"""The companion by which a page that lost its worker goes on with its conversation on this one."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ImproperlyConfigured

import novasonic
from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.companion import Companion, Refused
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.conf import get_settings

from . import drain, fence, messages, snapshot, supervisor, tokens
from .shared import attempt

if TYPE_CHECKING:
    from novasonic import events

__all__ = ["Resumption"]

logger = logging.getLogger(__name__)

# A conversation that ended like this is over; there is nothing to resume. Who was cut off comes back.
_FINAL: Final = frozenset({"closed", "limit"})
_UNAVAILABLE: Final = "There is no such conversation to go on with; begin a new one."


class Resumption(Companion):
    """Takes over what the page's resume token names, and gives it tokens for the next time.

    First of the companions, so that the others see the conversation as it goes on. A worker that is being drained
    refuses here, before the token is spent.
    """

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.resumes = False
        self._session: novasonic.Session | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._keeps_snapshots = False

    async def begin(self) -> None:
        """Claim the conversation that the token names, if there is one.

        Raises:
            Refused: This worker takes none any more, or the token does not hold: forged, expired, spent and somebody
                else's are all answered alike.
        """
        await drain.refuse_if_draining()
        settings = get_settings()
        self._keeps_snapshots = settings.transcripts == "off"
        token: str | None = self.handler.chosen.resume_token
        if token is not None:
            await self._resume(token, settings.resume_seconds)
        elif self._keeps_snapshots:
            await self._keep()
        self.conversation.resume_token = self.token()
        self._renewing = asyncio.create_task(self._renew(settings.resume_seconds / 3), name="novasonic-resume-tokens")

    def token(self) -> str:
        """Return a token with which this page may go on elsewhere."""
        conversation = self.conversation
        return tokens.issue(conversation.id, conversation.generation, owner=conversation.owner, user=self.handler.user)

    async def burn(self) -> None:
        """Make the tokens of this conversation worthless; where there are records, what says so is its end there."""
        if self._keeps_snapshots:
            self._keeps_snapshots = False
            forgetting = snapshot.forget(self.conversation.id, self.conversation.generation)
            await attempt("Forgetting a snapshot", forgetting)

    async def opened(self, session: novasonic.Session) -> None:
        """Know whose words a snapshot is made of."""
        self._session = session

    async def turn_ended(self, event: events.TurnEnded) -> None:
        """Keep what was said, where no transcript is written."""
        # Asked again: it may have been burnt meanwhile, which is told by whoever did it.
        if self._keeps_snapshots and not await self._keep() and self._keeps_snapshots:
            supervisor.overtaken(self.handler)

    async def ended(self, reason: str, error: BaseException | None) -> None:
        """Stop giving tokens, and keep the turn that was cut off; what is over is not to be resumed."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if reason in _FINAL:
            await self.burn()
        elif self._keeps_snapshots and self._session is not None:
            await self._keep()

    async def _resume(self, token: str, seconds: float) -> None:
        conversation = self.conversation
        try:
            said = tokens.verify(token, owner=conversation.owner, user=self.handler.user, seconds=seconds)
        except tokens.TokenError:
            raise _unavailable() from None
        try:
            claimed = await self._claim(said)
        except ImproperlyConfigured:
            raise
        except Exception as error:
            logger.warning("A conversation could not be claimed: %s", type(error).__name__)
            raise Refused(
                CloseCode.SERVICE_FAILED, "resume_failed", "This cannot be looked up now. Try again.", retryable=True
            ) from error
        if claimed is None:
            raise _unavailable()
        conversation.id = said.conversation_id
        conversation.generation = said.generation + 1
        conversation.first_turn = claimed.next_turn
        conversation.history = tuple(claimed.history)
        conversation.usd_before = claimed.usd
        self.resumes = True
        await fence.announce(conversation.id, conversation.generation)
        await messages.broadcast(messages.take_over(conversation.id, conversation.generation))

    async def _claim(self, said: tokens.ResumeToken) -> fence.Claimed | snapshot.Snapshot | None:
        records, wanted = fence.store(), (said.conversation_id, self.conversation.owner, said.generation)
        if not self._keeps_snapshots:
            return await records.claim(*wanted)
        # What was said is in the snapshot; the rows have a generation of their own, once there are any.
        has_rows = await records.generation(said.conversation_id) is not None
        if has_rows and not await records.resumable(*wanted):
            return None
        claimed = await snapshot.claim(*wanted)
        if claimed is not None and has_rows and await records.claim(*wanted) is None:
            return None
        return claimed

    async def _keep(self) -> bool:
        conversation = self.conversation
        history, next_turn, usd = conversation.history, conversation.first_turn, conversation.usd_before
        if (session := self._session) is not None:
            entries = session.transcript
            history += tuple(novasonic.Message(entry.role, entry.text) for entry in entries if entry.text.strip())
            next_turn = max((entry.turn + 1 for entry in entries), default=next_turn)
            usd += session.cost().usd or 0.0
        state = snapshot.Snapshot(conversation.owner, next_turn, history, usd)
        kept: bool = await attempt(
            "Keeping a snapshot", snapshot.save(conversation.id, conversation.generation, state), default=True
        )
        return kept

    async def _renew(self, seconds: float) -> None:
        # A token's time counts from when it was issued: nobody knows at which moment a page loses its worker.
        while True:
            await asyncio.sleep(seconds)
            await self.handler.tell(wire.resume_token(self.token()))
            if self._keeps_snapshots:
                # A snapshot has its time too, and who is silent has not gone.
                await self._keep()


def _unavailable() -> Refused:
    return Refused(CloseCode.NOT_ALLOWED, "resume_unavailable", _UNAVAILABLE)
