"""The service itself, on this machine, for development, demonstrations and tests.

::

    async with novasonic.emulator.Emulator() as emulator:
        async with emulator.client().connect() as session:
            ...

It is not AWS and says so in every line it logs.
"""

from novasonic.emulator._scenarios import scenarios
from novasonic.emulator.faults import Fault
from novasonic.emulator.reports import Recording, StreamReport
from novasonic.emulator.server import Emulator
from novasonic.emulator.turn import Brain, Turn

__all__ = ["Brain", "Emulator", "Fault", "Recording", "StreamReport", "Turn", "scenarios"]
