"""What ties a core object to the event loop that opened it: its descriptor, its owner, its tasks, its credentials.

The loop holds the bridge (through ``add_reader``), the bridge holds the attachment and that the core; none of them
holds what the user holds, so that one can be collected.
"""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from asyncio import _get_running_loop
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from novasonic._credentials import ask, credentials_row
from novasonic.exceptions import ConcurrencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from novasonic._credentials import CredentialsProvider

__all__ = ["MAX_BATCH", "Attachment", "Core", "abandon_loudly"]

# One callback of the loop takes at most this many events, some 2 us each.
MAX_BATCH = 256

# An orderly close is bounded in the core; only a core that hangs lets this much more time pass.
CLOSE_MARGIN_SECONDS = 2.0

# A task of the user's that does not obey when cancelled (a callable, a source of audio) is left to itself after this.
REAP_SECONDS = 2.0


class Core(Protocol):
    """What `_core.Session` and `_core.RawStream` have in common."""

    @property
    def fd(self) -> int: ...
    @property
    def id(self) -> str: ...
    def answer_credentials(
        self,
        request_id: int,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        expires_at: float | None,
    ) -> None: ...
    def answer_failed(self, request_id: int, reason: str) -> None: ...


CoreT = TypeVar("CoreT", bound=Core)


class Attachment(Generic[CoreT]):
    """Holds a core and watches its descriptor on the running loop. Not for other threads, `abandon` excepted.

    `provider_error` is what the credentials callable raised last; the core is told of its class only.
    """

    __slots__ = (
        "_fd",
        "_left",
        "_noun",
        "_pid",
        "_provider",
        "_tasks",
        "_thread",
        "_watching",
        "core",
        "loop",
        "provider_error",
    )

    def __init__(
        self, core: CoreT, *, noun: str, wake: Callable[[], None], provider: CredentialsProvider | None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.core: CoreT | None = core
        self.provider_error: Exception | None = None
        self._noun = noun
        self._fd = core.fd
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._provider = provider
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching = True
        self._left = asyncio.Event()
        self.loop.add_reader(self._fd, wake)

    def check_owner(self) -> None:
        """Refuse another loop, another thread, another process.

        Raises:
            ConcurrencyError: Called from another loop or thread.
            ForkError: Called in a child of the process that opened it.
        """
        running = _get_running_loop()
        # No running loop: plain code on the loop's own thread, between two runs of it.
        if running is self.loop or (running is None and threading.get_ident() == self._thread):
            return
        if self.core is not None:
            _ = self.core.id  # ForkError where that is the reason
        raise ConcurrencyError(
            f"This {self._noun} belongs to another event loop.",
            code="wrong_loop",
            cure="Use it in the loop that opened it; from another thread, through "
            "asyncio.run_coroutine_threadsafe(..., loop).",
        )

    # Tasks.

    def own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that ends with the core."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def reap(self) -> None:
        """Wait for the tasks, which the end has cancelled, for `REAP_SECONDS` at most; not for the one that asks."""
        current = asyncio.current_task()
        if tasks := [task for task in self._tasks if task is not current]:
            await asyncio.wait(tasks, timeout=REAP_SECONDS)

    def give_credentials(self, request_id: int) -> None:
        """Answer a request of the core's lane from a task."""
        self.own(self._give_credentials(request_id), f"novasonic-credentials-{request_id}")

    async def _give_credentials(self, request_id: int) -> None:
        try:
            if self._provider is None:
                raise RuntimeError("nobody can give credentials")  # noqa: TRY301 - answered like any failure
            credentials = await ask(self._provider)
        except Exception as error:
            self.provider_error = error
            if self.core is not None:
                # The class only: the text may hold what must not be shown. The exception itself is the cause.
                self.core.answer_failed(request_id, f"the credentials callable raised {type(error).__name__}")
            return
        if self.core is not None:
            self.core.answer_credentials(request_id, *credentials_row(credentials))

    # The end.

    async def is_left_within(self, seconds: float) -> bool:
        """Wait for `detach`, as long as an orderly close may take and a margin."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + CLOSE_MARGIN_SECONDS):
                await self._left.wait()
        # Of several who wait, the first to give up may have detached.
        return self._left.is_set()

    def detach(self) -> None:
        """Leave the loop and cancel the tasks; the core stays. Idempotent."""
        if not self._watching:
            return
        self._watching = False
        # A closed loop has forgotten its descriptors, and its tasks can no longer be cancelled.
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
            for task in self._tasks:
                task.cancel()
            self._left.set()

    def release(self) -> None:
        """As `detach`, then drop the core, which resets a stream that still lives."""
        # In this order: a closed number may belong to another session of this loop before it is forgotten.
        self.detach()
        self.core = None

    def abandon(self, dispose: Callable[[], None]) -> bool:
        """Let the loop call `dispose` soon; from a finalizer: any thread, any moment.

        Returns:
            Whether there was anything to let go of.
        """
        # In a forked child the loop's descriptors are the parent's: touching them would disturb it.
        if self.core is None or self._pid != os.getpid():
            return False
        try:
            # The loop must forget the descriptor before it is closed, and only its own thread may tell it so.
            self.loop.call_soon_threadsafe(dispose)
        except RuntimeError:  # the loop is closed, and with it the selector that watched
            self.core = None
        return True


def abandon_loudly(owner: object, abandon: Callable[[], bool], cure: str) -> None:
    """For the finalizer of what holds a bridge: let go, and warn where there was anything to let go of."""
    # Before: the loop, on another thread, may obey at once.
    shown = repr(owner)
    if abandon():
        warnings.warn(f"unclosed {shown}: use {cure}", ResourceWarning, stacklevel=3, source=owner)
