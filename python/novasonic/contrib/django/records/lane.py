"""A thread that does one thing after the other."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lane", "get_lane"]

logger = logging.getLogger(__name__)

EXIT_SECONDS = 10.0


class Lane:
    """Runs what it is given in order, in a daemon thread that begins at the first of it.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def do(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` in the thread; what it raises is logged by its name."""
        if self._closed:
            # At exit lanes end one after the other, and one that still works may hand over to one that has ended.
            self._do(function, args)
            return
        self._queue.put((function, args))
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
                    atexit.register(self._close)

    def flush(self, timeout: float) -> bool:
        """Block until what was given before is done; False: it was not in so many seconds."""
        done = threading.Event()
        self.do(done.set)
        return done.wait(timeout)

    def _close(self) -> None:
        if os.getpid() == self._pid and self._thread is not None:
            self._closed = True
            self._queue.put(None)
            self._thread.join(EXIT_SECONDS)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            self._do(*task)

    def _do(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            function(*args)
        except Exception as error:
            # No traceback: its frames hold sound.
            logger.error("%s failed: %s", self._name, type(error).__name__)  # noqa: TRY400


# Keyed by process: threads do not outlive a fork. No lock: one held at fork would hang the child.
_lanes: dict[tuple[int, str], Lane] = {}


def get_lane(name: str) -> Lane:
    """Return this process's lane of that name."""
    where = (os.getpid(), name)
    return _lanes.get(where) or _lanes.setdefault(where, Lane(name))
