"""Prints the names of the process's threads while a session is open."""

import asyncio
from pathlib import Path

import novasonic


def names():
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


async def main():
    async with novasonic.NovaSonic().connect():
        print("\n".join(names()))


asyncio.run(main())
