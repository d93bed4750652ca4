"""The records' own threads for reading.

Django's `sync_to_async` has one thread for the whole process; a page that comes back must not stand in line there
behind a view that takes its time.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from django.db import close_old_connections

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")

READERS = 4

# Keyed by process: threads do not outlive a fork. No lock: one held at fork would hang the child.
_pools: dict[int, ThreadPoolExecutor] = {}


async def in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `function`, which uses the database, in a thread of the records. Cancelling leaves it to end by itself."""
    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools.setdefault(
            os.getpid(), ThreadPoolExecutor(READERS, thread_name_prefix="novasonic-records-reader")
        )
    return await asyncio.get_running_loop().run_in_executor(pool, partial(_tidily, function, *args, **kwargs))


def _tidily(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    close_old_connections()
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()
