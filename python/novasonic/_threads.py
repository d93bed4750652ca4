"""Threads for code of the user's that may block: tools, credentials callables, files.

asyncio's own pool has a handful of threads (six on two cores) for the whole process and joins them at exit: a few tools
that hang would hold up everybody else's, and the program could not end. These are as many as are needed at once, are
used again while they are warm (with the database connections they may hold), and go with the program.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")

# A thread that nobody wants for so long ends.
IDLE_SECONDS = 10.0


def in_thread(function: Callable[[], T]) -> asyncio.Future[T]:
    """Run `function` in a thread, in the caller's context.

    Cancelled, the future forgets the thread, which cannot be stopped; so does the end of the program.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def tell(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("T", value))

    def work() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = context.run(function)
        except StopIteration as error:  # no future takes it
            failure = RuntimeError("StopIteration was raised")
            failure.__cause__ = error
        except BaseException as error:  # raised again by who waits
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, value, failure)

    _Threads.of_process().run(work)
    return answer


class _Threads:
    """Daemon threads, the idle ones waiting for work."""

    _current: _Threads | None = None

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []

    @classmethod
    def of_process(cls) -> _Threads:
        # A child of a fork has none of its parent's threads, and the lock may be held by one of them.
        threads = cls._current
        if threads is None or threads.pid != os.getpid():
            threads = cls._current = cls()
        return threads

    def run(self, work: Callable[[], None]) -> None:
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is not None:
            inbox.put(work)
            return
        threading.Thread(target=self._serve, args=(work,), name="novasonic-work", daemon=True).start()

    def _serve(self, work: Callable[[], None]) -> None:
        inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        while True:
            work()
            del work  # with what its caller holds
            with self._lock:
                self._idle.append(inbox)
            try:
                work = inbox.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                # Somebody took us meanwhile, and the work is on its way.
                work = inbox.get()
