"""The writer's thread, its fence and what is claimed behind it, on SQLite and on PostgreSQL."""

import asyncio
import os
import threading
import uuid
from concurrent.futures import wait
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections, transaction
from django.utils import timezone
from recordsupport import columns, empty, ledger, make_database, migrated, postgres, sqlite, switched_off, turn, writer  # noqa: F401
from services import postgres_server

from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.models import Conversation, Turn, UsageRecord
from novasonic.contrib.django.records import apply, store
from novasonic.contrib.django.records.erase import delete_conversations
from novasonic.contrib.django.records.rows import Row
from novasonic.contrib.django.records.writer import Writer, get_writer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tables(request, tmp_path_factory, django_db_blocker):
    if request.param == "sqlite":
        with migrated(sqlite(tmp_path_factory.mktemp("records") / "records.sqlite3", timeout=1.0), django_db_blocker):
            yield request.param
    else:
        with postgres_server() as url:
            database = postgres(url) | {"NAME": "records"}
            make_database(url, "records")
            with migrated(database, django_db_blocker):
                yield request.param


@pytest.fixture(autouse=True)
def _clean(tables, writer):  # noqa: F811
    yield
    writer.close(10)
    connections.close_all()  # it may have been thrown out
    empty()


async def test_a_commit_returns_when_the_rows_can_be_read(writer):  # noqa: F811
    book = ledger(owner="ada")
    assert await writer.commit(columns(book, voice="tiffany"), turn(book, 1))
    conversation = await Conversation.objects.aget(pk=book.id)
    assert (conversation.owner, conversation.voice, conversation.generation) == ("ada", "tiffany", 1)
    assert [one.user_text async for one in Turn.objects.filter(conversation=conversation)] == ["hello"]
    assert writer.snapshot() | {"batches": 0} == {
        "queued": 0, "written": 2, "batches": 0, "dropped": 0, "fenced": 0, "failed": 0, "retries": 0,
        "down_seconds": None,
    }  # fmt: skip


async def test_many_conversations_share_a_transaction(writer):  # noqa: F811
    books = [ledger() for _ in range(50)]
    assert all(await asyncio.gather(*(writer.commit(turn(book, 1)) for book in books)))
    assert await Turn.objects.acount() == 50
    assert writer.snapshot()["batches"] < 25


async def test_a_later_state_of_a_row_replaces_the_earlier_one(writer):  # noqa: F811
    book = ledger()
    assert await writer.commit(turn(book, 1, "helo"))
    assert await writer.commit(turn(book, 1, "hello"), turn(book, 2, "well"), turn(book, 2, "well?"))
    assert [one.user_text async for one in Turn.objects.order_by("number")] == ["hello", "well?"]


async def test_who_lost_a_conversation_writes_no_row_and_is_told(writer):  # noqa: F811
    lost = asyncio.Queue()
    lost.append = lost.put_nowait
    old = ledger(owner="ada", lost=lost)
    assert await writer.commit(turn(old, 1))
    claim = await store.claim(old.id, "ada", 1)
    assert (claim.generation, claim.next_turn) == (2, 2)

    new = ledger(old.id, generation=2)
    other = ledger()
    results = await asyncio.gather(
        writer.commit(turn(old, 2, "of the past"), columns(old, reason="gone")),
        writer.commit(turn(new, 2, "of today")),
        writer.commit(turn(other, 1, "of somebody else")),
    )
    assert results == [False, True, True]
    assert await asyncio.wait_for(lost.get(), 10) == "taken_over"
    assert {one.user_text async for one in Turn.objects.all()} == {"hello", "of today", "of somebody else"}
    assert (await Conversation.objects.aget(pk=old.id)).reason == ""
    assert writer.snapshot()["fenced"] == 2


async def test_what_was_deleted_is_not_written_anew(writer):  # noqa: F811
    lost = asyncio.Queue()
    lost.append = lost.put_nowait
    book = ledger(lost=lost)
    assert await writer.commit(turn(book, 1))
    await Conversation.objects.filter(pk=book.id).adelete()
    assert not await writer.commit(turn(book, 2))
    assert await asyncio.wait_for(lost.get(), 10) == "deleted"
    assert not await Conversation.objects.aexists()


async def test_a_turn_that_comes_while_its_conversation_is_deleted_does_not_save_it(writer):  # noqa: F811
    if connections[get_settings().database].vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time")
    book, loop, late = ledger(), asyncio.get_running_loop(), []
    assert await writer.commit(turn(book, 1))

    def meanwhile(execute, sql, *args):
        if sql.startswith('DELETE FROM "novasonic_conversation"'):
            late.append(asyncio.run_coroutine_threadsafe(writer.commit(turn(book, 2), bound=20.0), loop))
            wait(late, timeout=1)
        return execute(sql, *args)

    def delete():
        with connections[get_settings().database].execute_wrapper(meanwhile):
            erased = delete_conversations(Conversation.objects.filter(pk=book.id))
        connections.close_all()
        return erased

    assert (await asyncio.to_thread(delete)).conversations == 1
    assert not await asyncio.wrap_future(late[0])
    assert not await Conversation.objects.aexists()
    assert not await Turn.objects.aexists()


async def test_a_conversation_that_was_taken_over_elsewhere_raises_its_own_generation(writer):  # noqa: F811
    """As with transcripts off, where the snapshot in Redis is claimed and the row is not."""
    old = ledger()
    assert await writer.commit(turn(old, 1))
    new = ledger(old.id, generation=2)
    assert await writer.commit(columns(new, reason=""))
    assert not await writer.commit(turn(old, 2))
    assert await store.generation(old.id) == 2
    # One that was frozen before its first row comes after all.
    assert not await writer.commit(turn(ledger(old.id, generation=1), 3))


async def test_a_row_that_no_database_takes_stops_no_others(writer, caplog):  # noqa: F811
    bad, good = ledger(), ledger()
    results = await asyncio.gather(writer.commit(turn(bad, None, "my secret")), writer.commit(turn(good, 1)))
    assert results == [False, True]
    assert writer.snapshot()["failed"] == 1
    assert "IntegrityError" in caplog.text
    assert "my secret" not in caplog.text


async def test_a_claim_takes_one_of_two_that_come_with_the_same_token(writer):  # noqa: F811
    book = ledger(owner="ada", region="eu-north-1")
    assert await writer.commit(turn(book, 1, "hello", "hi"), turn(book, 2, "", "are you there?"), turn(book, 3, "yes"))
    claims = await asyncio.gather(*(store.claim(book.id, "ada", 1) for _ in range(8)))
    (claim,) = [one for one in claims if one is not None]
    assert claim.generation == 2
    assert [(one.role, one.text) for one in claim.history] == [
        ("user", "hello"), ("assistant", "hi\nare you there?"), ("user", "yes"), ("assistant", "hi"),
    ]  # fmt: skip
    assert (claim.next_turn, claim.region) == (4, "eu-north-1")


@pytest.mark.parametrize("reason", ["closed", "limit", "error"])
async def test_what_is_missing_anothers_or_over_is_answered_alike(writer, reason):  # noqa: F811
    mine, over, anybodys = ledger(owner="ada"), ledger(owner="ada"), ledger()
    assert await writer.commit(columns(mine), columns(anybodys), columns(over, ended_at=timezone.now(), reason=reason))
    for conversation_id, owner in [
        (uuid.uuid4(), "ada"), (mine.id, "eve"), (mine.id, None), (over.id, "ada"), (anybodys.id, "ada"),
    ]:  # fmt: skip
        assert not await store.resumable(conversation_id, owner)
        assert await store.claim(conversation_id, owner) is None
    assert await store.resumable(mine.id, "ada", 1)
    assert not await store.resumable(mine.id, "ada", 2)
    assert await store.claim(anybodys.id, None) is not None


@pytest.mark.parametrize("reason", ["gone", "reconnect", "server"])
async def test_who_was_cut_off_may_come_back(writer, reason):  # noqa: F811
    book = ledger(owner="ada")
    assert await writer.commit(columns(book, ended_at=timezone.now(), reason=reason))
    assert (await store.claim(book.id, "ada", 1)).generation == 2


async def test_what_was_spent_before_is_added(writer):  # noqa: F811
    def usage(book, turn, usd):
        tokens = {"speech_in": 10, "text_in": 1, "speech_out": 20, "text_out": 2}
        record = {"generation": book.generation, "turn": turn, "at": timezone.now(), "usd": Decimal(usd)}
        return Row(book, "usage", turn, tokens | record)

    spent = {"speech_in": 10, "text_in": 1, "speech_out": 20, "text_out": 2, "usd": Decimal("0.25")}
    old = ledger(owner="ada")
    assert await writer.commit(columns(old, **spent), usage(old, 1, "0.25"))
    claim = await store.claim(old.id, "ada", 1)
    assert claim.usd == 0.25
    new = ledger(old.id, generation=2)
    for _ in range(2):
        assert await writer.commit(columns(new, **spent), usage(new, 1, "0.25"))
    conversation = await Conversation.objects.aget(pk=old.id)
    assert (conversation.speech_out, conversation.usd) == (40, Decimal("0.5"))
    assert await UsageRecord.objects.acount() == 2


async def test_a_claim_waits_for_the_batch_that_is_being_committed(writer):  # noqa: F811
    """Either the old worker's turn is in what the new one is told, or it is never written."""
    book = ledger(owner="ada")
    assert await writer.commit(columns(book))
    took = threading.Event()

    def hold():
        with transaction.atomic(using=get_settings().database):
            Conversation.objects.filter(pk=book.id, generation=1).update(voice="matthew")
            Turn.objects.create(conversation_id=book.id, number=1, user_text="late", started_at="2026-01-01T00:00Z")
            took.set()
            claiming.wait(10)
        connections.close_all()

    claiming = threading.Event()
    holding = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(took.wait)
    claim = asyncio.create_task(store.claim(book.id, "ada", 1))
    done, _ = await asyncio.wait([claim], timeout=0.3)
    assert not done
    claiming.set()
    await holding
    assert [one.text for one in (await claim).history] == ["late"]


async def test_a_worker_that_is_frozen_in_mid_batch_holds_nobody_up(writer, monkeypatch):  # noqa: F811
    if connections[get_settings().database].vendor != "postgresql":
        pytest.skip("SQLite has one lock for everybody, and no clock for it")
    book = ledger(owner="ada")
    assert await writer.commit(turn(book, 1))
    frozen, goes_on, upsert = threading.Event(), threading.Event(), apply._upsert

    def freeze(*args):
        frozen.set()
        goes_on.wait(20)
        upsert(*args)

    monkeypatch.setattr(apply, "_upsert", freeze)
    late = asyncio.create_task(writer.commit(turn(book, 2), bound=20.0))
    await asyncio.to_thread(frozen.wait)
    async with asyncio.timeout(10):
        claim = await store.claim(book.id, "ada", 1)
    assert (claim.generation, claim.next_turn) == (2, 2)
    goes_on.set()
    assert not await late
    assert await asyncio.to_thread(writer.flush, 20)
    assert writer.snapshot()["fenced"] == 1
    assert await Turn.objects.acount() == 1


async def test_beyond_its_bound_rows_are_dropped_and_counted():
    small, book = Writer(max_rows=3), ledger()
    # Written after they have gathered for a while; until then they count.
    assert [small.put(turn(book, number)) for number in range(1, 6)] == [True, True, True, False, False]
    assert small.close(10)
    assert small.snapshot()["dropped"] == 2
    assert [one.number async for one in Turn.objects.order_by("number")] == [1, 2, 3]
    assert not small.put(turn(book, 6)), "it is closed"
    tiny = Writer(max_chars=10)
    assert not tiny.put(turn(book, 1))
    small = Writer(max_chars=5_000)
    call = {"call_id": "1", "name": "look_up", "arguments": {"whom": ["x" * 1_000] * 5}, "result": None}
    assert not small.put(Row(book, "tool_call", "1", call))


async def test_while_the_database_is_down_rows_wait_and_nobody_waits_for_them(writer):  # noqa: F811
    book, other = ledger(owner="ada"), ledger()
    assert await writer.commit(turn(book, 1))
    loop = asyncio.get_running_loop()
    with switched_off():
        began = loop.time()
        assert not await writer.commit(turn(book, 2), bound=20.0)
        assert loop.time() - began < 10, "it is told when the database fails, not when its time is up"
        began = loop.time()
        assert not await writer.commit(turn(book, 3))
        assert not await writer.commit(turn(other, 1))
        assert loop.time() - began < 0.5, "it is known by now"
        assert writer.snapshot()["queued"] == 3
        assert writer.snapshot()["down_seconds"] > 0
        with pytest.raises(DatabaseError):
            await store.claim(book.id, "ada", 1)
    await sync_to_async(connections.close_all)()  # ours was thrown out too
    assert await asyncio.to_thread(writer.flush, 20)
    assert [one.number async for one in Turn.objects.filter(conversation=book.id).order_by("number")] == [1, 2, 3]
    assert await Turn.objects.filter(conversation=other.id).acount() == 1
    assert await writer.commit(turn(book, 4))
    assert writer.snapshot()["down_seconds"] is None
    assert writer.snapshot()["dropped"] == 0


def test_a_child_process_has_a_writer_of_its_own():
    mine = get_writer()
    assert get_writer() is mine
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"other" if get_writer() is not mine and mine.close() else b"same")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 10) == b"other"
