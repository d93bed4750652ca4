"""Callers who count streams: leave is asked for before a renewal opens a second one, and given back."""

import asyncio
from functools import partial

import pytest

import novasonic
from novasonic.emulator import Emulator, Fault

SOON = novasonic.Continuation(renew_after=0.5, force_after=20.0)


@pytest.fixture
async def emulator():
    async with Emulator(speed=20) as emulator:
        yield emulator


async def renewed(session):
    async with asyncio.timeout(20):
        async for event in session:
            if isinstance(event, novasonic.Renewed):
                return


def open_streams(emulator):
    return sum(report.ended is None for report in emulator.streams)


async def test_with_leave_two_streams_overlap_until_the_old_one_is_gone(emulator, eventually):
    told = []

    async def may_overlap():
        told.append(f"asked with {len(emulator.streams)}")
        return True

    def overlap_ended():
        told.append(f"over with {open_streams(emulator)}")

    client = emulator.client()
    async with client.connect(continuation=SOON, may_overlap=may_overlap, overlap_ended=overlap_ended) as session:
        await renewed(session)
        await eventually(lambda: len(told) >= 2)
        assert told[:2] == ["asked with 1", "over with 1"]
    assert len(told) % 2 == 0, "each leave is over by the end"


@pytest.mark.parametrize("answer", ["no", "failure", "silence"])
async def test_without_leave_the_old_stream_is_closed_first(emulator, answer):
    async def may_overlap():
        match answer:
            case "failure":
                raise LookupError
            case "silence":
                await asyncio.sleep(60)
        return False

    def overlap_ended():
        raise AssertionError("nothing was granted")

    client = emulator.client()
    emulator.add_faults(Fault.quota(1))
    async with client.connect(continuation=SOON, may_overlap=may_overlap, overlap_ended=overlap_ended) as session:
        await session.send_text("Before.")
        for _ in range(2):
            await renewed(session)
        await session.send_text("After.")
        assert session.error is None
    # One that was opened beside another would have been refused.
    assert [report.ended for report in emulator.streams] == ["clean"] * 3


def nothing():
    pass


async def later():
    pass


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"may_overlap": True}, "invalid_may_overlap"),
        ({"may_overlap": nothing, "overlap_ended": True}, "invalid_overlap_ended"),
        ({"may_overlap": nothing, "overlap_ended": later}, "invalid_overlap_ended"),
        ({"overlap_ended": nothing}, "invalid_overlap_ended"),
    ],
)
async def test_what_cannot_be_called_so_is_told_before_anything_is_opened(emulator, settings, code):
    with pytest.raises(novasonic.ConfigError) as refused:
        emulator.client().connect(**settings)
    assert refused.value.code == code
    assert emulator.client().connect(may_overlap=nothing, overlap_ended=partial(nothing))
    assert emulator.streams == ()
