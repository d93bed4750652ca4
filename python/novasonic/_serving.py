"""What the core asks for, served in tasks that end with the session: credentials, tools, leave, turns of prompts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novasonic._waiting import TokenWaiters
from novasonic.exceptions import NovaSonicError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from novasonic import _core
    from novasonic._attachment import Attachment
    from novasonic._overlap import Overlap
    from novasonic._toolbox import Toolbox

__all__ = ["Server"]


class Server:
    """Serves one core session. It goes on whether or not anybody reads events."""

    def __init__(self, held: Attachment[_core.Session], toolbox: Toolbox, overlap: Overlap) -> None:
        self.toolbox = toolbox
        self.prompts = TokenWaiters()
        self.reconfigurations = TokenWaiters()
        self._held = held
        self._overlap = overlap

    def serve(self, requests: Iterable[tuple[int, str, Any]]) -> None:
        """Take ``(request id, kind, payload)`` rows. After the end nobody needs an answer."""
        if self._held.core is None:
            return
        for request_id, kind, payload in requests:
            match kind:
                case "credentials":
                    self._held.give_credentials(request_id)
                case "may_overlap":
                    self._overlap.ask(self._held, request_id)
                case "overlap_ended":
                    self._overlap.over()
                case "prompted":
                    self.prompts.tell(*payload)
                case "reconfigured":
                    self.reconfigurations.tell(*payload)
                case "tool" if not self.toolbox.is_manual(payload[1]):
                    # A reader may see the ToolCall, and approve it, before the task begins.
                    self.toolbox.expect(payload[0], payload[1])
                    self._held.own(self._run_tool(*payload), f"novasonic-tool-{request_id}")

    def fail(self, error: NovaSonicError) -> None:
        """Tell all who wait for the core's word, or are owed one, that the session has ended."""
        self.prompts.fail(error)
        self.reconfigurations.fail(error)
        self._overlap.over()

    async def _run_tool(self, call_id: str, name: str, arguments: str, turn: int) -> None:
        outcome = await self.toolbox.run(call_id, name, arguments, turn)
        if self._held.core is not None:
            # The stream that asked may be gone meanwhile, and its call with it; or the session is closing.
            with suppress(NovaSonicError):
                self._held.core.send_tool_result(call_id, outcome.result, outcome.ok)
