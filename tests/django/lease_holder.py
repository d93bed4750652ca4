"""A process that holds conversations: ``lease_holder.py URL NAME COUNT SIZE BUDGET``, told what to do on its stdin.

``open`` opens COUNT conversations at once; ``leave ID`` ends one; ``quit`` ends all. Says ``in ID``, ``waits ID``,
``refused ID REASON``, ``left ID`` and ``lost ID`` on stdout.
"""

import asyncio
import sys

from novasonic.contrib.django.limits import keeping
from novasonic.contrib.django.limits.keeping import Holder, Office
from novasonic.contrib.django.limits.store import Bounds, Claim

LEASE_SECONDS = 3.0
keeping.BEAT_SECONDS = 0.5
keeping.POLL_SECONDS = 0.1


def say(*words):
    print(*words, flush=True)


async def hold(office, identity, size, budget, end):
    bounds = Bounds(owner_usd=budget or None, reserve=250_000)
    claim = Claim(id=identity, generation=1, owner="everybody", bounds=bounds, seconds=LEASE_SECONDS)
    holder = Holder(claim, lambda why: say("lost", identity, why))

    async def told(position):
        say("waits", identity, position)

    try:
        entry = await office.enter(holder, 200)
        if entry.refused is not None:
            say("refused", identity, entry.refused)
            return
        taken = await office.wait(holder, "default/us-east-1", size, told)
        say("in" if taken.state == "granted" else taken.state, identity)
        await end.wait()
    finally:
        await office.leave(holder)
        say("left", identity)


async def main(url, name, count, size, budget):
    office = Office(url)
    identities = [f"{name}-{number}" for number in range(int(count))]
    ends = {identity: asyncio.Event() for identity in identities}
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say("ready", name)
    async with asyncio.TaskGroup() as group:
        while command := (await reader.readline()).decode().split():
            match command:
                case ["open"]:
                    for identity in identities:
                        group.create_task(hold(office, identity, int(size), int(budget), ends[identity]))
                case ["leave", identity]:
                    ends[identity].set()
                case ["quit"]:
                    break
        for end in ends.values():
            end.set()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
