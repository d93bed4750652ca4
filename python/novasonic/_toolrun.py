"""One call of a tool's function: on the loop or in a thread, bounded in time, and really over when it says so."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
import traceback
from typing import TYPE_CHECKING, Any

from novasonic._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Failed", "Slot", "TimedOut", "call", "report", "shown_id", "within"]

# How long what was told to stop may clean up before it is left to itself.
GRACE_SECONDS = 1.0
_MOST_FRAMES = 12
# UUIDs, measured; a line break in one would forge a line of the log.
_PLAIN_ID = re.compile(r"[\w.:-]{1,64}\Z", re.ASCII)


class TimedOut(Exception):  # noqa: N818 - reads as what happened
    """The time was up; what ran was told to stop.

    Attributes:
        stopped: Whether it has.
    """

    def __init__(self, *, stopped: bool) -> None:
        super().__init__("timed out")
        self.stopped = stopped


class Failed(Exception):  # noqa: N818 - reads as what happened
    """What ran raised `error`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("failed")
        self.error = error


class Slot:
    """A place among those that may run, free again when the last who holds it lets go."""

    __slots__ = ("_free", "_holders")

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._holders = 1

    def hold(self) -> None:
        """Take the place for one more."""
        self._holders += 1

    def let_go(self, _of: object = None) -> None:
        """Give it back for one."""
        self._holders -= 1
        if self._holders == 0:
            self._free()


async def call(function: Callable[..., Any], arguments: dict[str, Any], slot: Slot) -> Any:
    """Call `function`: on the loop where it is async, else in a thread, which holds `slot` until it returns."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(**arguments)
    work = _InThread(function, arguments)
    running = in_thread(work)
    slot.hold()
    running.add_done_callback(slot.let_go)
    try:
        # A cancelled future would look done while the thread goes on.
        value, error = await asyncio.shield(running)
    except asyncio.CancelledError:
        work.abandon()
        raise
    if error is not None:
        raise error
    # A plain function may still return an awaitable: a wrapper, a functools.partial.
    return await value if inspect.isawaitable(value) else value


class _InThread:
    """A call that does not begin any more once its caller has gone, and hands back what it raises.

    Raised through a future, what nobody waits for any more is logged by asyncio with its text.
    """

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._function = function
        self._arguments = arguments
        self._lock = threading.Lock()
        self._abandoned = False

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True

    def __call__(self) -> tuple[Any, BaseException | None]:
        with self._lock:
            if self._abandoned:
                return None, None
        try:
            return self._function(**self._arguments), None
        except BaseException as error:  # raised again by who waits
            return None, error


async def within(seconds: float, task: asyncio.Task[Any]) -> Any:
    """Return what `task` returns; stop it after `seconds`, or when the caller is cancelled.

    Raises:
        TimedOut: The time was up.
        Failed: It raised. KeyboardInterrupt and SystemExit come as themselves.
        asyncio.CancelledError: The caller was cancelled; the task has been too, and is over unless it does not obey.
    """
    # Of a task that nobody asks any more, asyncio logs the exception with its text.
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        if not task.done() or task.cancelled():
            raise TimedOut(stopped=task.done())
        # It finished while it was told to stop: what it did counts.
    if task.cancelled():
        raise Failed(asyncio.CancelledError())
    error = task.exception()
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    if error is not None:
        raise Failed(error)
    return task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def shown_id(call_id: str) -> str:
    """Return `call_id` for a log: whole if it is like the service's own, else escaped and cut."""
    return call_id if _PLAIN_ID.match(call_id) else ascii(call_id[:64])


def report(error: BaseException) -> str:
    """Return the classes and places of `error` and its causes; no message, which may hold what was said."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = type(current)
        lines.append(f"{'after ' if lines else ''}{kind.__module__}.{kind.__qualname__}")
        frames = traceback.extract_tb(current.__traceback__)[-_MOST_FRAMES:]
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)
