"""Hold conversations for long, cut and renewed all the time, and see what is left behind.

    python tests/faults/soak.py [--seconds 3600]

The emulator runs in a process of its own, so that memory and descriptors are the client's alone. Prints their slopes
over the whole run; exits 1 where memory grows by 1 MB or a descriptor stays.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np

import novasonic

CONVERSATIONS = 20
ROUND_SECONDS = 5.0
MOST_BYTES = 1_000_000
# The pool may hold a connection more or less at the end than at the beginning; a leak is one for each round at least.
MOST_DESCRIPTORS = 2.5
# The first part of a run fills caches, arenas and pools.
WARM_UP = 0.3

_libc = ctypes.CDLL(None)


def resident_bytes():
    gc.collect()
    # What the allocator keeps for later is no leak.
    _libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def start_emulator():
    command = [sys.executable, "-m", "novasonic", "emulator", "--brain", "parrot", "--speed", "20", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def commit(told, fault):
    """Break all live streams at once."""
    request = urllib.request.Request(
        f"{told['control_url']}/commit",
        data=json.dumps(fault).encode(),
        headers={"authorization": f"Bearer {told['control_token']}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        response.read()


async def converse(client, counts, *, until):
    """Talk until told to stop: typed words, half a second of noise, a new conversation now and then."""
    noise = np.random.default_rng(7).integers(-9_000, 9_000, 8_000, dtype=np.int16)
    while not until.is_set():
        continuation = novasonic.Continuation(renew_after=3.0, force_after=8.0, restarts_per_hour=100_000)
        async with client.connect(continuation=continuation) as session:
            reader = asyncio.create_task(_count(session, counts))
            for _ in range(6):
                await session.send_text("How are you?")
                await session.send_audio(noise)
                await asyncio.sleep(0.5)
            await session.aclose()
            await reader


async def _count(session, counts):
    async for event in session:
        counts[type(event).__name__] += 1


async def run(seconds):
    """Soak and return `(samples, counts)`; a sample is seconds, bytes, descriptors."""
    process, told = start_emulator()
    try:
        client = novasonic.NovaSonic(
            region=told["region"],
            credentials=novasonic.Credentials(told["access_key_id"], told["secret_access_key"]),
            endpoint_url=told["https"],
            ca_bundle=told["ca"],
        )
        counts, until, samples = Counter(), asyncio.Event(), []
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (now := loop.time() - began) < seconds:
            until.clear()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(CONVERSATIONS):
                    tasks.create_task(converse(client, counts, until=until))
                for kind in ("tcp_reset", "end_stream"):
                    await asyncio.sleep(ROUND_SECONDS / 2)
                    await asyncio.to_thread(commit, told, {"kind": kind})
                until.set()
            # With every conversation closed: what is left is nobody's.
            samples.append((now, resident_bytes(), descriptors()))
        return samples, counts
    finally:
        process.kill()
        process.communicate()


def slopes(samples):
    """Return growth over the whole run: bytes and descriptors."""
    table = np.array(samples[int(len(samples) * WARM_UP) :], dtype=float)
    span = table[-1, 0] - table[0, 0]
    return tuple(np.polyfit(table[:, 0], table[:, column], 1)[0] * span for column in (1, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3_600.0)
    samples, counts = asyncio.run(run(parser.parse_args().seconds))
    grown_bytes, grown_descriptors = slopes(samples)
    print(
        f"{samples[-1][0]:.0f} s: {dict(counts)}",
        f"memory {samples[-1][1] / 1e6:.1f} MB, grown by {grown_bytes / 1e6:+.2f} MB; "
        f"descriptors {samples[-1][2]}, grown by {grown_descriptors:+.2f}",
        sep="\n",
    )
    return 0 if grown_bytes < MOST_BYTES and grown_descriptors < MOST_DESCRIPTORS else 1


if __name__ == "__main__":
    sys.exit(main())
