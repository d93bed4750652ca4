"""Both stores count by the same rules."""

import asyncio
import uuid

import pytest
import redis as redis_py
from services import redis_server

from novasonic.contrib.django.limits import redis
from novasonic.contrib.django.limits.memory import MemoryStore
from novasonic.contrib.django.limits.redis import PREFIX, RedisStore
from novasonic.contrib.django.limits.store import Bounds, Claim

POOL = "default/us-east-1"
DAY_SECONDS = 86_400


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


class Clock:
    def __init__(self):
        self.now = 20_000 * DAY_SECONDS + 1_000.0

    def __call__(self):
        return self.now


class InMemory:
    """A store of one process, and what a test does to its world."""

    def __init__(self):
        self.clock = Clock()
        self.store = MemoryStore(self.clock)

    def next_day(self):
        self.clock.now += DAY_SECONDS


class OnRedis:
    """Redis keeps its own time, so the test moves what it has written to yesterday instead."""

    def __init__(self, server):
        self.client = redis_py.Redis.from_url(server.url, decode_responses=True)
        self.client.flushall()
        self.store = RedisStore(server.url)

    def next_day(self):
        for key in self.client.keys(f"{PREFIX}:c:*"):
            self.client.hincrby(key, "day", -1)
        for kind in ("usd", "ms"):
            for key in self.client.keys(f"{PREFIX}:{kind}:*"):
                _, _, day, scope = key.split(":", 3)
                self.client.rename(key, f"{PREFIX}:{kind}:{int(day) - 1}:{scope}")


@pytest.fixture(params=["memory", "redis"])
async def world(request):
    if request.param == "memory":
        yield InMemory()
    else:
        world = OnRedis(request.getfixturevalue("server"))
        yield world
        await world.store.aclose()
        world.client.close()


@pytest.fixture
def store(world):
    return world.store


def claim(*, owner="ann", generation=1, identity=None, **bounds):
    identity = identity or uuid.uuid4().hex
    return Claim(id=identity, generation=generation, owner=owner, bounds=Bounds(**bounds))


async def entered(store, **about):
    made = claim(**about)
    assert (await store.enter(made)).refused is None
    return made


async def talking(store, size=20, **about):
    made = await entered(store, **about)
    assert (await store.take(made, POOL, size, wait=False)).state == "granted"
    return made


async def leases(store):
    _, counts = await store.beat([], [POOL])
    return counts[POOL].leases


async def waiting(store):
    _, counts = await store.beat([], [POOL])
    return counts[POOL].waiting


async def test_a_pool_grants_as_many_leases_as_it_has_and_no_more(store):
    opens = [await entered(store, owner=str(number)) for number in range(5)]
    taken = await asyncio.gather(*(store.take(one, POOL, 3, wait=False) for one in opens))
    assert sorted(one.state for one in taken) == ["full", "full", "granted", "granted", "granted"]
    assert await leases(store) == 3


async def test_pools_are_apart(store):
    await talking(store, size=1)
    other = await entered(store)
    assert (await store.take(other, "default/eu-north-1", 1, wait=False)).state == "granted"


async def test_a_lease_given_back_is_free(store):
    first = await talking(store, size=1)
    second = await entered(store)
    assert (await store.take(second, POOL, 1, wait=False)).state == "full"
    await store.leave(first)
    assert (await store.take(second, POOL, 1, wait=False)).state == "granted"


async def test_taking_twice_counts_once(store):
    made = await talking(store)
    assert (await store.take(made, POOL, 20, wait=False)).state == "granted"
    assert await leases(store) == 1


async def test_the_line_keeps_its_order(store):
    holder = await talking(store, size=1)
    line = [await entered(store, owner=str(number)) for number in range(3)]
    places = [await store.take(one, POOL, 1, wait=True) for one in line]
    assert [place.position for place in places] == [1, 2, 3]
    await store.leave(holder)
    # Who asks first is not who gets it.
    assert (await store.take(line[2], POOL, 1, wait=True)).position == 3
    assert (await store.take(line[1], POOL, 1, wait=True)).position == 2
    assert (await store.take(line[0], POOL, 1, wait=True)).state == "granted"
    assert (await store.take(line[2], POOL, 1, wait=True)).position == 2


async def test_a_newcomer_does_not_pass_the_line(store):
    holder = await talking(store, size=1)
    first = await entered(store)
    await store.take(first, POOL, 1, wait=True)
    await store.leave(holder)
    assert (await store.take(await entered(store), POOL, 1, wait=False)).state == "full"
    assert (await store.take(first, POOL, 1, wait=True)).state == "granted"


async def test_two_free_leases_go_to_the_first_two_whoever_of_them_asks_first(store):
    holders = [await talking(store, size=2, owner=str(number)) for number in range(2)]
    line = [await entered(store, owner=f"w{number}") for number in range(3)]
    for one in line:
        await store.take(one, POOL, 2, wait=True)
    for one in holders:
        await store.leave(one)
    assert (await store.take(line[1], POOL, 2, wait=True)).state == "granted"
    assert (await store.take(line[2], POOL, 2, wait=True)).state == "queued"
    assert (await store.take(line[0], POOL, 2, wait=True)).state == "granted"


async def test_who_died_in_the_line_is_out_of_it_whoever_comes_when(server, monkeypatch):
    monkeypatch.setattr(redis, "LINE_SECONDS", 0.1)
    world = OnRedis(server)
    holder = await talking(world.store, size=1)
    dead, later = await entered(world.store), await entered(world.store)
    assert (await world.store.take(dead, POOL, 1, wait=True)).state == "queued"
    await world.store.leave(holder)
    async with asyncio.timeout(5):
        while world.client.exists(f"{PREFIX}:present:{POOL}"):  # noqa: ASYNC110 - Redis's clock
            await asyncio.sleep(0.01)
    assert (await world.store.take(later, POOL, 1, wait=True)).state == "granted"
    await world.store.aclose()
    world.client.close()


async def test_who_leaves_the_line_lets_the_next_move_up(store):
    await talking(store, size=1)
    first, second = await entered(store), await entered(store)
    await store.take(first, POOL, 1, wait=True)
    place = await store.take(second, POOL, 1, wait=True)
    await store.leave_line(first, POOL)
    assert (place.position, (await store.take(second, POOL, 1, wait=True)).position) == (2, 1)
    assert await waiting(store) == 1


async def test_a_shown_ticket_gives_the_old_place_again(store):
    await talking(store, size=1)
    first, second = await entered(store), await entered(store)
    ticket = (await store.take(first, POOL, 1, wait=True)).ticket
    await store.take(second, POOL, 1, wait=True)
    await store.leave_line(first, POOL)
    assert (await store.take(first, POOL, 1, wait=True, ticket=ticket)).position == 1


async def test_a_higher_generation_takes_the_lease_over_without_counting_twice(store):
    old = await talking(store, size=1, owner_conversations=1)
    new = claim(identity=old.id, generation=2)
    assert (await store.enter(new)).refused is None
    assert (await store.take(new, POOL, 1, wait=False)).state == "granted"
    assert await leases(store) == 1
    news, _ = await store.beat([old], [POOL])
    assert news[0].state == "lost"


async def test_the_one_who_lost_it_gives_nothing_back_and_gets_nothing(store):
    old = await talking(store, size=1)
    new = await talking(store, size=1, identity=old.id, generation=2)
    await store.leave(old)
    assert await leases(store) == 1
    assert not await store.take_extra(old, 5)
    assert (await store.take(old, POOL, 1, wait=False)).state == "lost"
    assert (await store.enter(old)).refused == "lost"
    await store.leave(new)
    news, _ = await store.beat([old], [POOL])
    assert news[0].state == "lost", "it must not come back once the newer one has gone"
    assert await leases(store) == 0


async def test_a_renewal_takes_a_second_lease_and_gives_it_back(store):
    made = await talking(store, size=2)
    assert await store.take_extra(made, 2)
    assert await store.take_extra(made, 2), "asked again, it has it already"
    assert await leases(store) == 2
    assert not await store.take_extra(await talking(store, size=3), 3)
    await store.drop_extra(made)
    assert await leases(store) == 2


async def test_a_second_lease_is_refused_where_somebody_waits_for_it(store):
    holders = [await talking(store, size=2, owner=str(number)) for number in range(2)]
    await store.take(await entered(store), POOL, 2, wait=True)
    await store.leave(holders[1])
    assert not await store.take_extra(holders[0], 2)


async def test_an_end_gives_both_leases_back(store):
    made = await talking(store)
    await store.take_extra(made, 20)
    await store.leave(made)
    assert await leases(store) == 0


async def test_a_conversation_that_goes_on_elsewhere_leaves_its_lease(store):
    old = await talking(store, size=1)
    await store.leave(old, keep=True)
    assert (await store.take(await entered(store), POOL, 1, wait=False)).state == "full"
    await talking(store, size=1, identity=old.id, generation=2)


async def test_a_conversation_that_moves_to_another_region_frees_the_first(store):
    old = await talking(store, size=1)
    new = await entered(store, identity=old.id, generation=2)
    assert (await store.take(new, "default/eu-north-1", 1, wait=False)).state == "granted"
    assert await leases(store) == 0


async def test_conversations_are_counted_by_owner_and_by_site(store):
    most = {"owner_conversations": 2, "site_conversations": 3}
    first = await entered(store, **most)
    await entered(store, **most)
    assert (await store.enter(claim(**most))).refused == "owner"
    await entered(store, owner="bob", **most)
    assert (await store.enter(claim(owner="eve", **most))).refused == "site"
    await store.leave(first)
    await entered(store, owner="eve", **most)


async def test_one_that_is_resumed_is_not_counted_beside_itself(store):
    old = await entered(store, owner_conversations=1)
    await entered(store, identity=old.id, generation=2, owner_conversations=1)


@pytest.mark.parametrize("scope", ["owner", "site"])
async def test_twenty_at_once_on_a_budget_for_three_are_three(store, scope):
    owners = ["ann"] * 20 if scope == "owner" else [str(number) for number in range(20)]
    budget = {f"{scope}_usd": 750_000, "reserve": 250_000}
    entries = await asyncio.gather(*(store.enter(claim(owner=owner, **budget)) for owner in owners))
    assert [entry.refused for entry in entries].count(None) == 3
    assert {entry.refused for entry in entries} == {None, f"{scope}_usd"}


async def test_what_was_not_used_of_the_reserve_is_given_back(store):
    budget = {"owner_usd": 500_000, "reserve": 250_000}
    made = await entered(store, **budget)
    made.usd = 100_000
    await store.leave(made)
    assert (await store.enter(claim(**budget))).usd_left == 400_000
    assert (await store.enter(claim(**budget))).refused == "owner_usd", "0.10 used and 0.25 set aside"


async def test_what_was_used_beyond_the_reserve_is_charged_as_it_goes(store):
    budget = {"owner_usd": 1_000_000, "reserve": 250_000}
    made = await entered(store, **budget)
    made.usd = 900_000
    news, _ = await store.beat([made], [])
    assert news[0].state == "held"
    assert (await store.enter(claim(**budget))).refused == "owner_usd"


async def test_who_uses_up_the_budget_is_told_but_not_who_is_within_its_reserve(store):
    budget = {"owner_usd": 1_000_000, "reserve": 250_000}
    heavy, light = await entered(store, **budget), await entered(store, **budget)
    heavy.usd, light.usd = 800_000, 200_000
    news, _ = await store.beat([heavy, light], [])
    assert [one.state for one in news] == ["usd", "held"]


async def test_who_is_out_of_reach_for_long_is_not_charged_again(server, monkeypatch):
    monkeypatch.setattr(redis, "MEMORY_SECONDS", 0.05)
    world = OnRedis(server)
    made = claim(owner_usd=1_000_000)
    made.seconds = 0.05
    await world.store.enter(made)
    made.usd = 300_000
    await world.store.beat([made], [])
    await asyncio.sleep(0.3)  # Redis's clock
    await world.store.beat([made], [])
    assert (await world.store.enter(claim(owner_usd=1_000_000))).usd_left == 700_000
    await world.store.leave(made)
    assert world.client.pttl(f"{PREFIX}:c:{made.id}") <= 100
    await world.store.aclose()
    world.client.close()


async def test_minutes_are_charged_by_each_beat(store):
    budget = {"owner_ms": 60_000}
    made = await entered(store, **budget)
    made.ms = 40_000
    await store.beat([made], [])
    other = claim(**budget)
    assert (await store.enter(other)).ms_left == 20_000
    made.ms = 60_000
    news, _ = await store.beat([made, other], [])
    assert [one.state for one in news] == ["minutes", "minutes"]
    assert (await store.enter(claim(**budget))).refused == "owner_minutes"
    assert (await store.enter(claim(owner="bob", **budget))).refused is None


async def test_the_sites_minutes_are_everybodys(store):
    made = await entered(store, site_ms=60_000)
    made.ms = 60_000
    await store.leave(made)
    assert (await store.enter(claim(owner="bob", site_ms=60_000))).refused == "site_minutes"


async def test_a_budget_is_of_a_day(world, store):
    budget = {"owner_usd": 500_000, "owner_ms": 60_000, "reserve": 250_000}
    made = await entered(store, **budget)
    made.usd, made.ms = 500_000, 60_000
    await store.leave(made)
    assert (await store.enter(claim(**budget))).refused == "owner_minutes"
    world.next_day()
    entry = await store.enter(claim(**budget))
    assert (entry.refused, entry.usd_left, entry.ms_left) == (None, 500_000, 60_000)


async def test_a_conversation_over_midnight_is_charged_to_both_days(world, store):
    budget = {"owner_usd": 1_000_000, "reserve": 250_000}
    made = await entered(store, **budget)
    made.usd, made.ms = 600_000, 10_000
    await store.beat([made], [])
    world.next_day()
    made.usd, made.ms = 700_000, 12_000
    news, _ = await store.beat([made], [])
    assert news[0].state == "held"
    assert (made.usd_base, made.ms_base) == (600_000, 10_000)
    other = await store.enter(claim(owner="ann", **budget))
    assert other.usd_left == 750_000, "0.10 were used today, of a reserve of 0.25"
    await store.leave(made)
    assert (await store.enter(claim(owner_usd=1_000_000))).usd_left == 650_000


async def test_a_takeover_sets_aside_one_reserve_and_goes_on_from_what_was_used(store):
    budget = {"owner_usd": 600_000, "reserve": 250_000}
    old = await entered(store, **budget)
    old.usd, old.ms = 300_000, 5_000
    await store.beat([old], [])
    new = claim(identity=old.id, generation=2, **budget)
    new.usd = 310_000  # by the records, which know of more than the last beat
    entry = await store.enter(new)
    assert (entry.refused, new.usd, new.ms, entry.usd_left) == (None, 310_000, 5_000, 290_000)


async def test_a_lent_lease_ends_by_itself(world, store):
    made = claim(owner="page")
    made.lent, made.seconds = True, 0.05
    await store.enter(made)
    assert (await store.take(made, POOL, 1, wait=False)).state == "granted"
    other = await entered(store)
    if isinstance(world, InMemory):
        world.clock.now += 1
    async with asyncio.timeout(5):
        while (await store.take(other, POOL, 1, wait=False)).state != "granted":  # noqa: ASYNC110 - Redis's clock
            await asyncio.sleep(0.02)
