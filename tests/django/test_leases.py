"""Leases that processes share on Redis: processes die, Redis is emptied, stops and comes back."""

import asyncio
import signal
import sys
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis as redis_py
from services import redis_server

from novasonic.contrib.django.limits import keeping
from novasonic.contrib.django.limits.keeping import Holder, Office
from novasonic.contrib.django.limits.redis import PREFIX, RedisStore
from novasonic.contrib.django.limits.store import Bounds, Claim

PROGRAM = Path(__file__).with_name("lease_holder.py")
POOL = "default/us-east-1"


@pytest.fixture(scope="module")
def running():
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running):
    if running._process is None:
        running.start()
    client = redis_py.Redis.from_url(running.url)
    client.flushall()
    client.close()
    return running


def leases(server):
    client = redis_py.Redis.from_url(server.url)
    try:
        return client.zcard(f"{PREFIX}:leases:{POOL}")
    finally:
        client.close()


class Process:
    """One process of `lease_holder.py`, and what it has said of each conversation."""

    def __init__(self, process):
        self.process = process
        self.inside, self.waiting, self.refused, self.left, self.lost = set(), {}, {}, set(), set()
        self.order = []
        self.ready = asyncio.Event()
        self.changed = asyncio.Event()
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while words := (await self.process.stdout.readline()).decode().split():
            match words:
                case ["ready", _]:
                    self.ready.set()
                case ["in", identity]:
                    self.waiting.pop(identity, None)
                    self.inside.add(identity)
                    self.order.append(identity)
                case ["waits", identity, position]:
                    self.waiting[identity] = int(position)
                case ["refused", identity, reason]:
                    self.refused[identity] = reason
                case ["left", identity]:
                    self.inside.discard(identity)
                    self.left.add(identity)
                case ["lost", identity, _]:
                    self.lost.add(identity)

    async def tell(self, *words):
        self.process.stdin.write((" ".join(words) + "\n").encode())
        await self.process.stdin.drain()


@asynccontextmanager
async def processes(server, number, count, *, size=20, budget=0):
    started = []
    try:
        for index in range(number):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(PROGRAM),
                *(server.url, f"p{index}", str(count), str(size), str(budget)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            started.append(Process(process))
        async with asyncio.timeout(30):
            for one in started:
                await one.ready.wait()
        yield started
    finally:
        for one in started:
            if one.process.returncode is None:
                one.process.kill()
            await one.process.wait()
            await one.reading
            one.process.stdin.close()


def total(started, what):
    return sum(len(getattr(one, what)) for one in started)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(keeping, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(keeping, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(keeping, "POLL_SECONDS", 0.05)


class Conversation:
    """One in an office of this process; an office is to Redis what a process is."""

    def __init__(self, office, *, identity=None, generation=1, owner="ann", **bounds):
        self.office = office
        self.losses = []
        self.positions = []
        claim = Claim(
            id=identity or uuid.uuid4().hex, generation=generation, owner=owner, bounds=Bounds(**bounds), seconds=2.0
        )
        self.holder = Holder(claim, self.losses.append)

    @property
    def id(self):
        return self.holder.claim.id

    async def enter(self, per_process=200):
        entry = await self.office.enter(self.holder, per_process)
        return "process" if entry is None else entry.refused

    async def take(self, size=20):
        return (await self.office.wait(self.holder, POOL, size, None)).state

    async def wait(self, size=20):
        async def told(position):
            self.positions.append(position)

        return (await self.office.wait(self.holder, POOL, size, told)).state

    async def talk(self, size=20):
        assert await self.enter() is None
        assert await self.take(size) == "granted"
        return self

    async def leave(self, **how):
        await self.office.leave(self.holder, **how)


@pytest.fixture
async def open_office(quick):
    """Makes offices, each as one process would have it; all are empty in the end, and nothing runs any more."""
    made = []

    def make(server):
        made.append(Office(server.url if server is not None else None))
        return made[-1]

    yield make
    for office in made:
        for holder in list(office._holders.values()):
            await office.leave(holder)
        await office._rest()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "an office left a task behind"


@pytest.mark.slow
async def test_thirty_against_twenty_and_a_process_is_killed(server, eventually):
    async with processes(server, 3, 10) as started:
        for one in started:
            await one.tell("open")
        await eventually(lambda: total(started, "inside") == 20 and total(started, "waiting") == 10)
        assert leases(server) == 20
        assert sorted(place for one in started for place in one.waiting.values()) == list(range(1, 11))

        # One leaves: the first in line gets in, whichever process it is of.
        leaver = next(one for one in started if one.inside)
        await leaver.tell("leave", next(iter(leaver.inside)))
        await eventually(lambda: total(started, "inside") == 20 and total(started, "waiting") == 9)

        # The process that has most leases dies without a word; who waits elsewhere gets in once they expire.
        victim = max(started, key=lambda one: len(one.inside))
        others = [one for one in started if one is not victim]
        victim.process.kill()
        await eventually(lambda: total(others, "waiting") == 0)
        assert total(others, "inside") + total(others, "left") == 20
        assert total(started, "refused") == total(started, "lost") == 0
        assert leases(server) == total(others, "inside")

        for one in others:
            await one.tell("quit")
            async with asyncio.timeout(10):
                assert await one.process.wait() == 0
        assert leases(server) == 0


@pytest.mark.slow
async def test_twenty_opens_of_four_processes_on_a_budget_for_three_are_three(server, eventually):
    async with processes(server, 4, 5, budget=750_000) as started:
        await asyncio.gather(*(one.tell("open") for one in started))
        await eventually(lambda: total(started, "inside") + total(started, "refused") == 20)
        assert total(started, "inside") == 3
        assert {reason for one in started for reason in one.refused.values()} == {"owner_usd"}


@pytest.mark.slow
async def test_a_worker_that_slept_learns_that_it_lost_its_conversation(server, open_office, eventually):
    async with processes(server, 1, 2, size=2) as (sleeper,):
        await sleeper.tell("open")
        await eventually(lambda: len(sleeper.inside) == 2)
        sleeper.process.send_signal(signal.SIGSTOP)
        office = open_office(server)
        # One is resumed here; the other's lease expires, and somebody else gets it.
        await Conversation(office, identity="p0-0", owner="everybody", generation=2).talk(size=2)
        other = Conversation(office)
        await other.enter()
        async with asyncio.timeout(20):
            assert await other.wait(size=2) == "granted"
        sleeper.process.send_signal(signal.SIGCONT)
        await eventually(lambda: sleeper.lost == {"p0-0"})
        # Its other stream is open, so it counts, though there is one more than there should be.
        await eventually(lambda: leases(server) == 3)
        await sleeper.tell("quit")
        async with asyncio.timeout(10):
            assert await sleeper.process.wait() == 0
        assert leases(server) == 2


async def test_the_line_keeps_its_order_through_a_restart_of_redis(server, open_office, eventually):
    office = open_office(server)
    holder = await Conversation(office).talk(size=1)
    waiters = [Conversation(office), Conversation(office)]
    order = []

    async def come(waiter):
        await waiter.enter()
        assert await waiter.wait(size=1) == "granted"
        order.append(waiter)
        await waiter.leave()

    async with asyncio.TaskGroup() as group:
        for number, waiter in enumerate(waiters, 1):
            group.create_task(come(waiter))
            await eventually(lambda waiter=waiter, number=number: waiter.positions == [number])
        server.stop()
        await eventually(lambda: office.snapshot().redis == "down")
        server.start()
        await eventually(lambda: office.snapshot().redis == "up")
        await holder.leave()
    assert order == waiters


async def test_a_redis_that_refuses_is_lost_as_well(server, open_office, caplog):
    client = redis_py.Redis.from_url(server.url)
    client.set(f"{PREFIX}:held:site", "no sorted set")
    office = open_office(server)
    assert await Conversation(office, owner_conversations=1).enter() is None
    assert await Conversation(office, owner_conversations=1).enter() == "owner"
    assert office.snapshot().redis == "down"
    assert "Redis refused the limits' script (enter)" in caplog.text
    client.delete(f"{PREFIX}:held:site")
    client.close()


async def test_a_renewal_that_never_ends_gives_its_second_lease_back(server, open_office, monkeypatch, eventually):
    monkeypatch.setattr(keeping, "EXTRA_SECONDS", 0.3)
    office = open_office(server)
    one = await Conversation(office).talk(size=2)
    assert await office.take_extra(one.holder, 2)
    await eventually(lambda: leases(server) == 1)
    assert not one.holder.claim.extra


async def test_renewals_go_on_while_redis_is_lost(server, open_office):
    office = open_office(server)
    one = await Conversation(office).talk(size=2)
    server.stop()
    assert await office.take_extra(one.holder, 2)
    other = await Conversation(office).talk(size=3)
    assert not await office.take_extra(other.holder, 3)
    office.drop_extra(one.holder)


async def test_a_conversation_that_redis_forgot_between_its_steps_is_told_again(server, open_office):
    office = open_office(server)
    one = Conversation(office)
    await one.enter()
    client = redis_py.Redis.from_url(server.url)
    client.delete(f"{PREFIX}:c:{one.id}")
    client.close()
    assert await one.take() == "granted"


async def test_one_that_leaves_in_the_middle_of_a_beat_does_not_come_back(server, open_office, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 1)
    office = open_office(server)
    stays, goes = await Conversation(office).talk(), await Conversation(office).talk()
    beating = asyncio.create_task(office._beat([stays.holder, goes.holder]))
    await asyncio.sleep(0)
    await goes.leave()
    await beating
    assert leases(server) == 1
    _, counts = await office._local.beat([], [])
    assert counts[POOL].leases == 1


async def test_a_failing_beat_is_not_the_last(server, open_office, monkeypatch, eventually, caplog):
    office = open_office(server)
    beat = office._local.beat

    async def fail(*_):
        monkeypatch.setattr(office._local, "beat", beat)
        raise ZeroDivisionError

    monkeypatch.setattr(office._local, "beat", fail)
    await Conversation(office).talk()
    await eventually(lambda: office.snapshot().pools)
    assert "A beat of the limits failed" in caplog.text


async def test_who_waits_in_another_process_gets_in_by_order(server, open_office, eventually):
    first, second = open_office(server), open_office(server)
    holder = await Conversation(first).talk(size=1)
    order, waiters = [], [Conversation(office) for office in (second, first, second)]

    async def come(waiter):
        await waiter.enter()
        assert await waiter.wait(size=1) == "granted"
        order.append(waiter)
        await waiter.leave()

    async with asyncio.TaskGroup() as group:
        for number, waiter in enumerate(waiters, 1):
            group.create_task(come(waiter))
            await eventually(lambda waiter=waiter, number=number: waiter.positions == [number])
        assert first.snapshot().waiting == 1
        await holder.leave()
    assert order == waiters
    told = waiters[2].positions
    # Whoever is asked only now and then may have passed a place; at the end one's turn is told.
    assert (told[0], told[-1]) == (3, 0)
    assert told == sorted(set(told), reverse=True)


async def test_who_gives_up_waiting_leaves_no_trace(server, open_office, eventually):
    office = open_office(server)
    await Conversation(office).talk(size=1)
    waiter, next_one = Conversation(office), Conversation(office)
    await waiter.enter()
    waiting = asyncio.create_task(waiter.wait(size=1))
    await eventually(lambda: waiter.positions == [1])
    waiting.cancel()
    await asyncio.wait({waiting})
    await waiter.leave()
    await next_one.enter()
    waiting = asyncio.create_task(next_one.wait(size=1))
    await eventually(lambda: next_one.positions)
    assert next_one.positions == [1]
    waiting.cancel()
    await asyncio.wait({waiting})
    assert leases(server) == 1


async def test_any_moment_of_opening_can_be_cancelled(server, open_office):
    office = open_office(server)
    await Conversation(office).talk()
    for delay in range(30):
        one = Conversation(office, owner_usd=250_000, reserve=250_000)
        opening = asyncio.create_task(one.talk())
        for _ in range(delay):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        await one.leave()
    last = Conversation(office, owner_usd=250_000, reserve=250_000)
    assert await last.enter() is None, "nothing is set aside for those that were cancelled"
    assert leases(server) == 1


async def test_any_moment_of_lending_can_be_cancelled(server, open_office):
    office = open_office(server)
    lent, steps = None, 0
    while lent is None:
        steps += 1
        claim = Claim(id=uuid.uuid4().hex, generation=1, owner="page", lent=True, seconds=60.0)
        lending = asyncio.create_task(office.lend(claim, POOL, 20))
        for _ in range(steps):
            await asyncio.sleep(0)
        lending.cancel()
        await asyncio.wait({lending})
        lent = None if lending.cancelled() else lending.result()
        assert leases(server) == (lent is not None), f"after {steps} steps"
    await office.leave(lent)
    assert leases(server) == 0


@pytest.mark.parametrize("shared", [True, False])
async def test_a_pool_that_nobody_uses_any_more_is_told_of_no_more(server, open_office, eventually, shared):
    office = open_office(server if shared else None)
    await Conversation(office).talk()
    other = Conversation(office)
    await other.enter()
    await office.wait(other.holder, "page-1234/us-east-1", 20, None)
    await eventually(lambda: len(office.snapshot().pools) == 2)
    await other.leave()
    await eventually(lambda: list(office.snapshot().pools) == [POOL])


async def test_the_old_worker_is_told_by_its_next_beat(server, open_office, eventually):
    old = await Conversation(open_office(server)).talk(size=1)
    new = await Conversation(open_office(server), identity=old.id, generation=2).talk(size=1)
    await eventually(lambda: old.losses == ["lost"])
    await old.leave()
    assert new.losses == []
    assert leases(server) == 1


async def test_within_a_process_the_old_one_is_told_at_once(open_office):
    office = open_office(None)
    old = await Conversation(office).talk(size=1)
    new = await Conversation(office, identity=old.id, generation=2).talk(size=1)
    assert old.losses == ["lost"]
    await old.leave()
    assert office.snapshot().conversations == 1
    assert new.losses == []


async def test_a_process_takes_so_many_and_no_more(open_office):
    office = open_office(None)
    opened = await asyncio.gather(*(Conversation(office).enter(per_process=3) for _ in range(8)))
    assert sorted(map(str, opened)) == ["None"] * 3 + ["process"] * 5


async def test_redis_restarted_empty_learns_of_its_holders_and_grants_nothing_before(server, open_office, eventually):
    first, second = open_office(server), open_office(server)
    talking = [await Conversation(office).talk(size=4) for office in (first, first, second, second)]
    await eventually(lambda: first._shared.workers == 2 and second._shared.workers == 2)
    server.stop()
    server.start()
    # Asked at once, before all holders have said that they are there.
    late = Conversation(second)
    await late.enter()
    assert await late.take(size=4) == "full"
    assert leases(server) == 4
    assert [one.losses for one in talking] == [[]] * 4


async def test_the_first_to_meet_an_emptied_redis_is_granted_nothing_either(server):
    store = RedisStore(server.url)
    claim = Claim(id="one", generation=1, owner="ann")
    await store.enter(claim)
    await store.beat([claim], [])
    client = redis_py.Redis.from_url(server.url)
    client.flushall()
    client.close()
    await store.enter(claim)
    assert (await store.take(claim, POOL, 20, wait=False)).state == "settling"
    await store.beat([claim], [])
    assert (await store.take(claim, POOL, 20, wait=False)).state == "settling"
    newcomer = RedisStore(server.url)
    other = Claim(id="two", generation=1, owner="ann")
    await newcomer.enter(other)
    assert (await newcomer.take(other, POOL, 20, wait=False)).state == "granted", "it knows of nobody to wait for"
    await store.aclose()
    await newcomer.aclose()


async def test_without_redis_each_process_keeps_to_its_share(server, open_office, eventually):
    first, second = open_office(server), open_office(server)
    talking = [await Conversation(office, owner=str(at)).talk(size=4) for at, office in enumerate((first, second))]
    await eventually(lambda: first._shared.workers == 2 and second._shared.workers == 2)
    server.stop()
    more = [Conversation(office, owner="bob", owner_conversations=2) for office in (first, first, first)]
    assert [await one.enter() for one in more] == [None, None, "owner"]
    assert [await one.take(size=4) for one in more[:2]] == ["granted", "full"]
    assert first.snapshot().redis == "down"
    await more[1].leave()
    assert await more[2].enter() is None

    server.start()
    await eventually(lambda: first.snapshot().redis == "up" and second.snapshot().redis == "up")
    await eventually(lambda: leases(server) == 3)
    assert first.snapshot().owed == 0
    assert [one.losses for one in talking] == [[], []]


async def test_a_process_that_never_reached_redis_shares_by_what_its_server_was_told(open_office, server, monkeypatch):
    server.stop()
    for said, share in (("4", 5), ("nonsense", 20)):
        monkeypatch.setenv("WEB_CONCURRENCY", said)
        office = open_office(server)
        opened = [Conversation(office, owner=str(number)) for number in range(21)]
        for one in opened:
            await one.enter()
        assert [await one.take() for one in opened].count("granted") == share


async def test_a_busy_loop_is_not_taken_for_a_lost_redis(server, open_office):
    office = open_office(server)
    asyncio.get_running_loop().call_later(0.005, time.sleep, 0.8)
    await Conversation(office).talk()
    assert office.snapshot().redis == "up"


async def test_the_budget_holds_while_redis_is_lost(server, open_office):
    office = open_office(server)
    budget = {"owner_usd": 750_000, "reserve": 250_000}
    assert await Conversation(office, **budget).enter() is None
    server.stop()
    entries = await asyncio.gather(*(Conversation(office, **budget).enter() for _ in range(20)))
    assert entries.count(None) == 2, "three with the one that Redis let in"


async def test_what_was_used_while_redis_was_lost_is_charged_when_it_is_back(server, open_office, eventually):
    office = open_office(server)
    stays = await Conversation(office).talk()
    server.stop()
    lost = Conversation(office, owner_usd=1_000_000, reserve=250_000)
    await lost.enter()
    lost.holder.spent = 600_000
    await lost.leave()
    assert office.snapshot().owed == 1
    server.start()
    await eventually(lambda: office.snapshot().redis == "up" and office.snapshot().owed == 0)
    assert await Conversation(office, owner_usd=1_000_000, reserve=500_000).enter() == "owner_usd"
    await stays.leave()


async def test_a_redis_that_hangs_delays_nobody_for_long(server, open_office):
    office = open_office(server)
    await Conversation(office).talk()
    server._process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            await Conversation(office).talk()
    finally:
        server._process.send_signal(signal.SIGCONT)


async def test_a_second_lease_is_beaten_for_until_it_is_dropped(server, open_office, eventually):
    office = open_office(server)
    one = await Conversation(office).talk(size=2)
    assert await office.take_extra(one.holder, 2)
    await asyncio.sleep(2.5)  # longer than a lease lives without beats
    assert leases(server) == 2
    office.drop_extra(one.holder)
    await eventually(lambda: leases(server) == 1)


async def test_nothing_stays_open_when_nobody_talks(server, open_office):
    office = open_office(server)
    one = await Conversation(office).talk()
    await one.leave()
    assert office._shared._client is None
    assert asyncio.all_tasks() == {asyncio.current_task()}
