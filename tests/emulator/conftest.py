"""Sounds and short ways that the emulator's tests share."""

import math
from array import array

import pytest


def _tone(seconds, rate=16_000, amplitude=12_000):
    samples = (int(amplitude * math.sin(2 * math.pi * 300 * n / rate)) for n in range(int(seconds * rate)))
    return array("h", samples).tobytes()


@pytest.fixture
def tone():
    """Gives something loud enough to be taken for speech."""
    return _tone


@pytest.fixture
def until():
    """Reads a session up to the first event for which the condition holds, and gives all events read."""

    async def read(session, condition):
        seen = []
        async for event in session:
            seen.append(event)
            if condition(event):
                return seen
        raise AssertionError(f"the session ended before that; seen: {seen}")

    return read
