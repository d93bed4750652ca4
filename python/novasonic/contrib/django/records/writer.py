"""The one thread of a process that writes records.

Conversations hand over rows and go on. The thread writes what has gathered in one transaction (`apply`), so that many
conversations share a commit. While the database is down, rows wait here, in order and bounded, and are tried again;
beyond the bound they are dropped and counted.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import InterfaceError, OperationalError, connections

from . import apply
from .rows import Lost
from .tables import database
from .waiting import Backlog, Entry, Waiter, call_on

if TYPE_CHECKING:
    from .rows import Ledger, Row

__all__ = ["Writer", "get_writer", "snapshot"]

logger = logging.getLogger(__name__)

MAX_ROWS = 10_000
MAX_CHARS = 32_000_000
BATCH_ROWS = 500
COMMIT_SECONDS = 2.0
# Rows that nobody waits for gather this long, to share a transaction.
GATHER_SECONDS = 0.1
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 5.0
EXIT_SECONDS = 5.0
_DOWN = (OperationalError, InterfaceError)
_Outcome: TypeAlias = dict[int, Lost | Exception]
"""Of ledgers, by ``id()``, whose rows were not written: why."""


@dataclass(slots=True)
class _Counts:
    written: int = 0
    batches: int = 0
    dropped: int = 0
    fenced: int = 0
    failed: int = 0
    retries: int = 0


class Writer:
    """Writes the rows of any number of conversations.

    Args:
        max_rows: How many rows wait at most.
        max_chars: How many characters they may have together, about.
    """

    def __init__(self, *, max_rows: int = MAX_ROWS, max_chars: int = MAX_CHARS) -> None:
        self._max_rows = max_rows
        self._max_chars = max_chars
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._backlog = Backlog()
        self._counts = _Counts()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._down_since: float | None = None
        self._busy_since: float | None = None

    def put(self, row: Row) -> bool:
        """Hand over a row that nobody waits for; False: it was dropped, since too many wait."""
        return self._put((row,), None)

    async def commit(self, *rows: Row, bound: float = COMMIT_SECONDS) -> bool:
        """Hand over rows and wait until they are committed. Cancelling leaves them to be written all the same.

        Args:
            rows: What must be safe before the caller goes on.
            bound: Seconds to wait at most.

        Returns:
            False: the conversation is no longer this worker's, or the database does not answer. Then they wait here
            and are written when it does; where that is known before, nobody waits for it.
        """
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop, len(rows), loop.create_future())
        if not self._put(rows, waiter) or self._unwell(bound):
            return False
        try:
            async with asyncio.timeout(bound):
                return await waiter.written
        except TimeoutError:
            return False

    def flush(self, timeout: float) -> bool:
        """Block until everything that was handed over is settled; False: it was not in so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._backlog, timeout)

    def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Write what waits and end the thread, blocking; False: it was not done in so many seconds."""
        if os.getpid() != self._pid:  # at the exit of a child, where the lock may be held by nobody
            return True
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        return not self._backlog

    def snapshot(self) -> dict[str, Any]:
        """Return how many rows wait, were written, dropped, refused as another worker's, or failed."""
        with self._changed:
            down = self._down_since
            return {
                "queued": len(self._backlog),
                "written": self._counts.written,
                "batches": self._counts.batches,
                "dropped": self._counts.dropped,
                "fenced": self._counts.fenced,
                "failed": self._counts.failed,
                "retries": self._counts.retries,
                "down_seconds": None if down is None else time.monotonic() - down,
            }

    def _put(self, rows: tuple[Row, ...], waiter: Waiter | None) -> bool:
        entries = [Entry(row, waiter, row.chars) for row in rows]
        with self._changed:
            chars = self._backlog.chars + sum(entry.chars for entry in entries)
            if self._closing or len(self._backlog) + len(rows) > self._max_rows or chars > self._max_chars:
                self._counts.dropped += len(rows)
                return False
            for entry in entries:
                self._backlog.append(entry)
            if self._thread is None:
                # A daemon: a database that hangs must not keep the process from ending. `close` gives it its time.
                self._thread = threading.Thread(target=self._run, name="novasonic-records-writer", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._changed.notify_all()
        return True

    def _unwell(self, bound: float) -> bool:
        busy = self._busy_since
        return self._down_since is not None or (busy is not None and time.monotonic() - busy > bound)

    def _run(self) -> None:
        delay = 0.0
        while batch := self._next(delay):
            self._busy_since = time.monotonic()
            try:
                outcome = self._write(batch)
            except _DOWN as error:
                delay = min(max(2 * delay, FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
                self._postpone(error)
                if self._closing:
                    break
            else:
                delay = 0.0
                self._settle(batch, outcome)
            finally:
                self._busy_since = None
        _let_go(for_good=True)

    def _next(self, delay: float) -> list[Entry]:
        with self._changed:
            if not self._backlog:
                self._changed.wait_for(lambda: bool(self._backlog) or self._closing)
            if delay:
                self._changed.wait_for(lambda: self._closing, delay)
            else:
                self._changed.wait_for(self._is_pressing, GATHER_SECONDS)
            # They stay until they are settled: the bound holds for them too.
            return self._backlog.first(BATCH_ROWS)

    def _is_pressing(self) -> bool:
        return self._closing or self._backlog.waiting > 0 or len(self._backlog) >= BATCH_ROWS

    def _write(self, batch: list[Entry]) -> _Outcome:
        rows = [entry.row for entry in batch]
        try:
            return dict(apply.write(rows))
        except _DOWN:
            raise
        except Exception:
            outcome: _Outcome = {}
            for ledger in _ledgers(rows):
                try:
                    outcome |= apply.write(row for row in rows if row.ledger is ledger)
                except _DOWN:
                    raise
                except Exception as error:
                    outcome[id(ledger)] = error
            return outcome

    def _postpone(self, error: Exception) -> None:
        _let_go(for_good=True)
        self._counts.retries += 1
        if self._down_since is not None:
            return
        self._down_since = time.monotonic()
        # Never the database's own words, which may quote a row; hence no traceback either.
        logger.error("The records' database fails (%s); rows wait.", type(error).__name__)
        with self._changed:
            waiters = [entry.waiter for entry in self._backlog.entries if entry.waiter is not None]
        for waiter in waiters:
            waiter.tell(False)

    def _settle(self, batch: list[Entry], outcome: _Outcome) -> None:
        with self._changed:
            self._backlog.remove(len(batch))
            idle = not self._backlog
            self._counts.batches += 1
            for entry in batch:
                match outcome.get(id(entry.row.ledger)):
                    case None:
                        self._counts.written += 1
                    case Exception():
                        self._counts.failed += 1
                    case _:
                        self._counts.fenced += 1
            self._changed.notify_all()
        if self._down_since is not None:
            logger.warning("The records' database answers again.")
            self._down_since = None
        if idle:
            _let_go()
        for ledger in _ledgers(entry.row for entry in batch):
            _report(ledger, outcome.get(id(ledger)))
        for entry in batch:
            if entry.waiter is not None:
                entry.waiter.settle(id(entry.row.ledger) not in outcome)


def _ledgers(rows: Any) -> list[Ledger]:
    return list({id(row.ledger): row.ledger for row in rows}.values())


def _report(ledger: Ledger, what: Lost | Exception | None) -> None:
    if isinstance(what, Exception):
        logger.error("Rows of conversation %s cannot be written: %s", ledger.id, type(what).__name__)
    elif what is not None and ledger.lost is None:
        ledger.lost = what
        call_on(ledger.loop, ledger.on_lost, what)


def _let_go(*, for_good: bool = False) -> None:
    # Whatever is wrong with it, the next batch says so; the thread must live.
    with suppress(Exception):
        connection = connections[database()]
        if for_good:
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()


# Keyed by process: threads do not outlive a fork. No lock: one held at fork would hang the child.
_writers: dict[int, Writer] = {}


def get_writer() -> Writer:
    """Return this process's writer."""
    return _writers.get(os.getpid()) or _writers.setdefault(os.getpid(), Writer())


def snapshot() -> dict[str, Any]:
    """Return the counters of this process's writer, for status and metrics pages."""
    return get_writer().snapshot()
