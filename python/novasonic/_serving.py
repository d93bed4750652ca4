"""What the core asks for, served in tasks that end with the session: credentials, tools, turns of prompts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novasonic._attachment import reap
from novasonic._credentials import ask, credentials_row
from novasonic._waiting import PromptWaiters
from novasonic.exceptions import NovaSonicError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterable

    from novasonic import _core
    from novasonic._credentials import CredentialsProvider
    from novasonic._toolbox import Toolbox

__all__ = ["Server"]


class Server:
    """Serves one core session. It goes on whether or not anybody reads events."""

    def __init__(
        self,
        core: _core.Session,
        loop: asyncio.AbstractEventLoop,
        provider: CredentialsProvider | None,
        toolbox: Toolbox,
    ) -> None:
        self.toolbox = toolbox
        self.prompts = PromptWaiters()
        self.provider_error: Exception | None = None
        self._core: _core.Session | None = core
        self._loop = loop
        self._provider = provider
        self._tasks: set[asyncio.Task[Any]] = set()

    def serve(self, requests: Iterable[tuple[int, str, Any]]) -> None:
        """Take ``(request id, kind, payload)`` rows. After the end nobody needs an answer."""
        if self._core is None:
            return
        for request_id, kind, payload in requests:
            match kind:
                case "credentials":
                    self.own(self._answer_credentials(request_id), f"novasonic-credentials-{request_id}")
                case "prompted":
                    self.prompts.began(*payload)
                case "tool" if not self.toolbox.is_manual(payload[1]):
                    # A reader may see the ToolCall, and approve it, before the task begins.
                    self.toolbox.expect(payload[0], payload[1])
                    self.own(self._run_tool(*payload), f"novasonic-tool-{request_id}")

    def own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that ends with the session."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end(self, error: Exception) -> None:
        """Let go of the core and cancel what is under way."""
        self._core = None
        self.prompts.fail(error)
        for task in self._tasks:
            task.cancel()

    def forget(self) -> None:
        """Let go of the core where the loop is closed and nothing can be told any more."""
        self._core = None

    async def reap(self) -> None:
        """Wait for the tasks, which `end` has cancelled."""
        await reap(self._tasks)

    async def _answer_credentials(self, request_id: int) -> None:
        try:
            if self._provider is None:
                raise RuntimeError("nobody can give credentials")  # noqa: TRY301 - answered like any failure
            credentials = await ask(self._provider)
        except Exception as error:
            self.provider_error = error
            if self._core is not None:
                # The class only: the text may hold what must not be shown. The exception itself is the cause.
                self._core.answer_failed(request_id, f"the credentials callable raised {type(error).__name__}")
            return
        if self._core is not None:
            self._core.answer_credentials(request_id, *credentials_row(credentials))

    async def _run_tool(self, call_id: str, name: str, arguments: str, turn: int) -> None:
        outcome = await self.toolbox.run(call_id, name, arguments, turn)
        if self._core is not None:
            # The stream that asked may be gone meanwhile, and its call with it; or the session is closing.
            with suppress(NovaSonicError):
                self._core.send_tool_result(call_id, outcome.result, outcome.ok)
