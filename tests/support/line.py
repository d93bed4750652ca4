"""A network line that is worse than loopback: a TCP proxy that delays, stalls and cuts."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Self

_CHUNK = 65_536


class Line:
    """Stands before a server, as a load balancer would; TCP keeps the order, so that a late piece holds up the next.

    What holds for a line may change while connections live. Use it with ``async with``.

    Attributes:
        port: Where it listens on 127.0.0.1.
        target: Port of the server that the next connections reach; None: nobody is there.
        jitter_ms: Each piece arrives so much later at most, evenly spread.
    """

    def __init__(self, target: int | None = None) -> None:
        self.port = 0
        self.target = target
        self.jitter_ms = 0.0
        seed = time.time_ns() % 1_000_000
        print(f"line's seed: {seed}")
        self._chance = random.Random(seed)
        self._stalled_until = 0.0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    @property
    def chance(self) -> random.Random:
        """The line's own dice, for tests that need more of them under the seed printed."""
        return self._chance

    def stall(self, seconds: float) -> None:
        """Let nothing through, either way, for so long from now."""
        self._stalled_until = time.monotonic() + seconds

    async def cut(self) -> None:
        """Reset every connection there is."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        # A cancelled handler is no news for the loop: the line was cut.
        with suppress(asyncio.CancelledError):
            await self._join(reader, writer)
        self._connections.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = None
        try:
            if self.target is None:
                return
            back, onward = await asyncio.open_connection("127.0.0.1", self.target)
            ways = [asyncio.create_task(self._carry(reader, onward)), asyncio.create_task(self._carry(back, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(pieces, writer))
        try:
            with suppress(OSError):
                while piece := await reader.read(_CHUNK):
                    late = self._chance.uniform(0, self.jitter_ms) / 1000
                    pieces.put_nowait((time.monotonic() + late, piece))
            pieces.put_nowait((0.0, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                due, piece = await pieces.get()
                # The line may be stalled again meanwhile.
                while (wait := max(due, self._stalled_until) - time.monotonic()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(wait)
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
            # The other end reads all of it before it learns that nothing follows.
            writer.close()
            await writer.wait_closed()
