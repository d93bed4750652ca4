"""What is awaited or entered: who closes it, and which error is told where two met."""

import pytest

from novasonic._opening import Opening


class Door:
    def __init__(self, stuck: Exception | None = None) -> None:
        self.stuck = stuck
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        if self.stuck is not None:
            raise self.stuck


class OpeningDoor(Opening[Door]):
    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    async def _open(self) -> Door:
        return self.door


async def test_what_is_awaited_is_its_owners_to_close():
    assert (await OpeningDoor(Door())).closed == 0


async def test_what_is_entered_is_closed_once():
    opening = OpeningDoor(Door())
    async with opening as door:
        assert door.closed == 0
    assert door.closed == 1
    # As an exit stack does that was told of it twice.
    await opening.__aexit__(None, None, None)
    assert door.closed == 1


async def test_a_failure_to_close_is_told():
    with pytest.raises(OSError, match="stuck"):
        async with OpeningDoor(Door(OSError("stuck"))):
            pass


async def test_the_bodys_error_is_told_rather_than_the_closes():
    door = Door(OSError("stuck"))
    with pytest.raises(ZeroDivisionError):
        async with OpeningDoor(door):
            raise ZeroDivisionError
    assert door.closed == 1
