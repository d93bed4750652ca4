"""Speech from eSpeak NG, by ctypes, in its synchronous mode.

The library is GPL-3 and therefore comes with the extra ``voice`` only, in the wheel of ``espeakng-loader``.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from novasonic import _core
from novasonic.exceptions import ConfigError

__all__ = ["Speaker", "Voice", "voice_for"]

# speak_lib.h of eSpeak NG 1.52.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
_CHARS_UTF8 = 1
_OK = 0
_GO_ON = 0
# It keeps the path of its data in 160 bytes, file names of some 25 bytes appended, and cuts what is longer.
_LONGEST_DATA_PATH = 130

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Voice:
    """How eSpeak NG is to sound.

    Attributes:
        name: Language and variant, as ``en-us+f3``.
        words_per_minute: 80 to 450.
        pitch: 0 to 100; 50 is the variant's own.
        pitch_range: 0 to 100; 50 is the variant's own.
    """

    name: str = "en-us"
    words_per_minute: int = 165
    pitch: int = 50
    pitch_range: int = 50


# The service's voices (AWS Nova 2 user guide, "Language support") by accent and sex. Those of other languages tell
# the English story too, each by a variant of its own, so that one hears which was chosen.
_VOICES = {
    "tiffany": Voice("en-us+f2", 165, 55, 60),
    "matthew": Voice("en-us+m3", 160, 40),
    "amy": Voice("en-gb-x-rp+f3", 165, 50, 60),
    "olivia": Voice("en+f4", 165, 50, 60),
    "kiara": Voice("en-gb-scotland+f2", 165, 55),
    "arjun": Voice("en+m7", 165, 45),
    "ambre": Voice("en-us+f4", 160, 55),
    "florian": Voice("en-us+m1", 160, 45),
    "beatrice": Voice("en-us+f1", 165, 60, 65),
    "lorenzo": Voice("en-us+m2", 165, 50, 60),
    "tina": Voice("en-us+f5", 165, 50),
    "greta": Voice("en-us+f5", 155, 45),
    "lennart": Voice("en-us+m4", 160, 40),
    "lupe": Voice("en-us+f3", 170, 55, 65),
    "carlos": Voice("en-us+m6", 165, 40),
    "carolina": Voice("en-029+f2", 165, 55),
    "leo": Voice("en-029+m2", 165, 45),
}


def voice_for(service_voice: str) -> Voice:
    """Give the voice that stands in for one of the service, as ``tiffany``; any other gets a plain American one."""
    return _VOICES.get(service_voice, Voice())


class Speaker:
    """Speaks. Safe on any thread: one sentence at a time, for the whole process."""

    def load(self) -> None:
        """Load the library unless it is loaded. Blocks for some 20 ms.

        Raises:
            ConfigError: ``code="espeak"``: it does not find its data.
        """
        with _lock:
            _library()

    def speak(self, text: str, voice: Voice, rate: int) -> bytes:
        """Give `text` as PCM16LE mono at `rate` Hz. Blocks for some 10 ms a second of speech.

        Raises:
            ConfigError: ``code="espeak"``: it knows no such voice, or failed.
        """
        with _lock:
            library = _library()
            pcm = library.synthesise(text, voice)
        return _core.resample(pcm, library.rate, rate)


class _Library:
    """The loaded library: one voice and one callback for the whole process, so only under `_lock`."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._declare()
        data = _short_path(Path(espeakng_loader.get_data_path()))
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT)
        if self.rate <= 0:
            raise _failed(f"does not start with its data in {data}")
        self._spoken: list[bytes] = []
        # The library keeps the pointer, so the callback must live as long.
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _declare(self) -> None:
        integer, text = ctypes.c_int, ctypes.c_char_p
        self._library.espeak_Initialize.argtypes = [integer, integer, text, integer]
        self._library.espeak_SetSynthCallback.argtypes = [_Callback]
        self._library.espeak_SetVoiceByName.argtypes = [text]
        self._library.espeak_SetParameter.argtypes = [integer, integer, integer]
        self._library.espeak_Synth.argtypes = [
            text,
            ctypes.c_size_t,
            ctypes.c_uint,
            integer,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]

    def _collect(self, samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            self._spoken.append(ctypes.string_at(samples, count * 2))  # type: ignore[arg-type]
        return _GO_ON

    def synthesise(self, text: str, voice: Voice) -> bytes:
        library = self._library
        if library.espeak_SetVoiceByName(voice.name.encode()) != _OK:
            raise _failed(f"has no voice {voice.name!r}")
        for parameter, value in ((_RATE, voice.words_per_minute), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        # A NUL would end the sentence there.
        encoded = text.replace("\0", " ").encode() + b"\0"
        self._spoken.clear()
        if library.espeak_Synth(encoded, len(encoded), 0, 0, 0, _CHARS_UTF8, None, None) != _OK:
            raise _failed("could not speak a sentence")
        pcm = b"".join(self._spoken)
        self._spoken.clear()
        return pcm


_lock = threading.Lock()
_loaded: _Library | None = None


def _library() -> _Library:
    global _loaded
    if _loaded is None:
        _loaded = _Library()
        os.register_at_fork(after_in_child=_renew_lock)
    return _loaded


def _renew_lock() -> None:
    # Whoever held it in the parent does not exist in the child.
    global _lock
    _lock = threading.Lock()


def _short_path(data: Path) -> Path:
    """Give a path to `data` that the library does not cut. It opens voices later, so a link stays until exit."""
    if len(os.fsencode(data)) <= _LONGEST_DATA_PATH:
        return data
    directory = Path(tempfile.mkdtemp(prefix="novasonic-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    link = directory / "espeak"
    link.symlink_to(data)
    return link


def _failed(what: str) -> ConfigError:
    return ConfigError(f"eSpeak NG {what}.", code="espeak", cure='Reinstall it: pip install "novasonic[voice]"')
