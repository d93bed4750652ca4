"""Recordings: from the event loop to a file in the site's storage, by threads of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.db import Error, close_old_connections
from django.utils import timezone

from novasonic.contrib.django.conf import get_settings

from .lane import get_lane
from .tables import rows_of, tables
from .tape import Tape
from .writer import get_writer

if TYPE_CHECKING:
    import uuid

__all__ = ["Recording", "flush", "recording_name", "recordings_storage", "snapshot"]

logger = logging.getLogger(__name__)

MAX_SECONDS = 4 * 3_600.0
# Of all conversations of a process, on its way to their temporary files.
MAX_WAITING_BYTES = 32_000_000
FLUSH_SECONDS = 10.0
_TAPES, _FILES = "novasonic-recordings", "novasonic-recordings-files"


class _Gauge:
    """How much sound waits for the thread, over all recordings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting = 0
        self.dropped = 0

    def take(self, count: int) -> bool:
        with self._lock:
            if self.waiting + count > MAX_WAITING_BYTES:
                self.dropped += count
                return False
            self.waiting += count
            return True

    def give_back(self, count: int) -> None:
        with self._lock:
            self.waiting -= count


_gauge = _Gauge()


def recording_name(conversation_id: uuid.UUID, generation: int) -> str:
    """Return a name for what one worker records of a conversation; nobody can guess it."""
    return f"novasonic/{timezone.now():%Y/%m}/{conversation_id}-{generation}-{secrets.token_urlsafe(9)}.wav"


def recordings_storage() -> Storage:
    """Return the storage of ``NOVASONIC["RECORDINGS_STORAGE"]``."""
    return storages[get_settings().recordings_storage]


def snapshot() -> dict[str, int]:
    """Return how many bytes of sound wait for their files, and how many were dropped."""
    return {"waiting_bytes": _gauge.waiting, "dropped_bytes": _gauge.dropped}


def flush(timeout: float) -> bool:
    """Block until all recordings that were finished are in their storage; False: they were not in so many seconds."""
    return get_lane(_TAPES).flush(timeout) and get_lane(_FILES).flush(timeout)


class Recording:
    """One conversation's recording on this worker; its methods are for the event loop, and cheap.

    Sound for which there is no room is dropped and counted, and silent in the recording: the rest stays in its place.

    Args:
        name: Of the file in the storage; the conversation's row must have it by now or soon.
        conversation_id: Whose sound it is.
        input_rate: Hz of the user's audio.
    """

    def __init__(self, name: str, conversation_id: uuid.UUID, input_rate: int) -> None:
        self._name = name
        self._conversation_id = conversation_id
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._tape: Tape | None = None
        self._input_rate = input_rate
        self._failed = False

    def heard(self, pcm: bytes) -> None:
        """The user said this, up to now."""
        self._sound(pcm, Tape.heard, self._now(), pcm)

    def spoken(self, turn: int | None, pcm: bytes, rate: int) -> None:
        """This piece of an answer goes to the page now."""
        self._sound(pcm, Tape.spoken, self._now(), turn, pcm, rate)

    def interrupted(self, turn: int) -> None:
        """The page stops playing this answer now."""
        get_lane(_TAPES).do(self._do, 0, Tape.interrupted, (self._now(), turn))

    def played(self, turn: int, ms: int) -> None:
        """The page has played so much of this answer."""
        get_lane(_TAPES).do(self._do, 0, Tape.played, (turn, ms))

    def finish(self) -> None:
        """Write the file; nothing more is recorded."""
        get_lane(_TAPES).do(self._hand_over, self._now())

    def _now(self) -> float:
        return self._clock() - self._began

    def _sound(self, pcm: bytes, function: Any, *args: Any) -> None:
        if self._now() < MAX_SECONDS and _gauge.take(len(pcm)):
            get_lane(_TAPES).do(self._do, len(pcm), function, args)

    def _do(self, size: int, function: Any, args: tuple[Any, ...]) -> None:
        try:
            if not self._failed:
                if self._tape is None:
                    self._tape = Tape(self._input_rate)
                function(self._tape, *args)
        except Exception as error:
            self._failed = True
            logger.error("The recording of %s ends here: %s", self._conversation_id, type(error).__name__)  # noqa: TRY400
        finally:
            _gauge.give_back(size)

    def _hand_over(self, ended: float) -> None:
        # An hour of sound takes seconds to mix and longer to upload; other recordings go on meanwhile.
        if self._tape is not None:
            get_lane(_FILES).do(self._keep, self._tape, min(ended, MAX_SECONDS))

    def _keep(self, tape: Tape, ended: float) -> None:
        storage = recordings_storage()
        try:
            with tempfile.TemporaryFile(prefix="novasonic-recording-") as file:
                tape.write_wav(file, ended)
                file.seek(0)
                saved = storage.save(self._name, File(file, self._name))
        except Exception as error:
            logger.error(  # noqa: TRY400 - frames hold sound
                "The recording of %s could not be kept: %s", self._conversation_id, type(error).__name__
            )
            return
        finally:
            tape.close()
        if saved != self._name:
            logger.error("The storage renamed %s, which nobody finds like that.", self._name)
        if saved != self._name or not self._is_wanted():
            storage.delete(saved)

    def _is_wanted(self) -> bool:
        """Say whether the conversation is still there: it may have been deleted while its sound was on its way."""
        if not get_writer().flush(FLUSH_SECONDS):
            return True  # its row may be among those that wait
        close_old_connections()
        try:
            known = rows_of(tables().conversation).filter(pk=self._conversation_id)
            listed = known.values_list("recordings", flat=True).first()
        except Error:
            return True  # nobody could have deleted it either
        finally:
            close_old_connections()
        return listed is not None and self._name in listed
