"""Recognition of the story's phrases by PocketSphinx, and how sure of one we are.

The recogniser finds the best path through its grammar for whatever it hears; it has no notion of "none of these".
So each result is judged by two things it also tells: how well the sound fits the path, and whether a word of it had
to be stretched to cover sound that belongs to no word.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from novasonic import _core

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CONFIDENCE_BOUND", "Heard", "Recogniser", "grammar_of"]

RATE = 16_000
"""The rate that the acoustic model was trained for, in Hz."""

LONGEST_SECONDS = 10.0
"""No phrase lasts so long, and recognising takes its time."""

CONFIDENCE_BOUND = 0.5

MOST_SEARCHES = 8
"""Grammars kept at a time; one of 40 phrases is made in some milliseconds."""

# A logistic model of "this is the phrase", fitted to what eSpeak NG spoke: every phrase of the story by ten voices of
# four accents, 140 to 185 words a minute, and 60 other sentences, some a word away from a phrase, all under noise 15
# to 30 dB below; and bursts of noise alone. On the table of tests/emulator/test_voice_hearing.py it understands
# 96 % of the phrases, takes 0.3 % for another one, and 2 % of the other sentences for a phrase. Recordings of people
# (PocketSphinx's own test data) fit their grammar far better than a synthesiser's voice does: misfit 12 to 22 where
# eSpeak NG has 20 to 50, confidence 1.0.
_INTERCEPT = 17.35
_PER_MISFIT = -0.308
_PER_STRETCH = -0.177


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood.

    Attributes:
        phrase: One of the grammar's; None below `CONFIDENCE_BOUND`.
        confidence: 0 to 1.
    """

    phrase: str | None
    confidence: float


def grammar_of(phrases: Iterable[str]) -> str:
    """Give a grammar (JSGF) of one alternative for each phrase."""
    return f"#JSGF V1.0;\ngrammar story;\npublic <phrase> = {' | '.join(phrases)};\n"


class Recogniser:
    """Understands phrases. Safe on any thread; one utterance at a time.

    Args:
        phrases: What it listens for where nobody says otherwise.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = tuple(phrases)
        self._lock = threading.Lock()
        self._decoder: Any = None
        self._searches: dict[tuple[str, ...], str] = {}
        self._made = 0

    def load(self) -> None:
        """Load the acoustic model unless it is loaded. Blocks for some 0.1 s."""
        with self._lock:
            self._listen_for(self._phrases)

    def hear(self, pcm: bytes, rate: int, phrases: tuple[str, ...] | None = None) -> Heard:
        """Recognise one utterance. Blocks for some 50 ms; PocketSphinx holds the interpreter meanwhile.

        Args:
            pcm: PCM16LE mono, silence around the words allowed.
            rate: Its rate in Hz.
            phrases: What to listen for; None: what it was made for. Those with a word that is in no dictionary are
                left out.
        """
        phrase, misfit, stretch = self.measure(pcm, rate, phrases)
        confidence = _confidence(misfit, stretch) if phrase is not None else 0.0
        return Heard(phrase if confidence >= CONFIDENCE_BOUND else None, confidence)

    def measure(self, pcm: bytes, rate: int, phrases: tuple[str, ...] | None = None) -> tuple[str | None, float, float]:
        """Give the best phrase if one was heard to its end, its misfit and its stretch.

        Returns:
            The phrase; how badly the sound fits it (0: perfectly; hundredths of the natural logarithm of the
            path's score, by frame of 10 ms of speech); how many frames each phone of its slowest word lasts.
        """
        if not 0 < len(pcm) <= 2 * rate * LONGEST_SECONDS:
            return None, 0.0, 0.0
        samples = _core.resample(pcm, rate, RATE)
        with self._lock:
            wanted = self._phrases if phrases is None else phrases
            decoder = self._listen_for(wanted)
            decoder.start_utt()
            # The whole at once: the cepstral mean is then that of this utterance, and nothing of another speaker's
            # remains. Over the same table that understood 98.4 % of the phrases before, 100 % now.
            decoder.process_raw(samples, full_utt=True)
            decoder.end_utt()
            best = decoder.hyp()
            if best is None or best.hypstr not in wanted:
                return None, 0.0, 0.0
            words = [
                (1 + segment.end_frame - segment.start_frame, decoder.lookup_word(segment.word))
                for segment in decoder.seg()
                if segment.word[0] not in "<["
            ]
        frames = sum(length for length, _ in words)
        misfit = -math.log(best.score) * 1e4 / frames
        stretch = max(length / len(phones.split()) for length, phones in words)
        return best.hypstr, misfit, stretch

    def _listen_for(self, phrases: tuple[str, ...]) -> Any:
        if self._decoder is None:
            import pocketsphinx

            # A language weight of 1: the grammar's equal alternatives have nothing to weigh against the sound, and
            # paths that the usual 6.5 cuts off half way end well (93.0 % of phrases right before, 94.2 % now).
            config = pocketsphinx.Config(lm=None, cmn="batch", lw=1.0, loglevel="FATAL")
            self._decoder = pocketsphinx.Decoder(config)
        decoder = self._decoder
        if phrases not in self._searches:
            if len(self._searches) == MOST_SEARCHES:
                decoder.remove_search(self._searches.pop(next(iter(self._searches))))
            self._made += 1
            # A word without a pronunciation fails the whole grammar.
            known = [phrase for phrase in phrases if all(map(decoder.lookup_word, phrase.split()))]
            decoder.add_jsgf_string(f"phrases-{self._made}", grammar_of(known))
            self._searches[phrases] = f"phrases-{self._made}"
        decoder.activate_search(self._searches[phrases])
        return decoder


def _confidence(misfit: float, stretch: float) -> float:
    return 1 / (1 + math.exp(-(_INTERCEPT + _PER_MISFIT * misfit + _PER_STRETCH * stretch)))
