"""Speech that says where it is: each pair of samples carries its own number.

Whoever finds it in a stream knows which of it arrived, where, and how often.
"""

import numpy as np

RATE = 16_000
# Loud enough to be heard as speech, whatever the number.
_LOWEST = 4_000
_BASE = 16_384
SILENCE = bytes(2 * RATE // 10)
"""100 ms."""


def speech(first, seconds):
    """Return PCM16LE that carries the numbers from `first` on."""
    numbers = np.arange(first, first + int(seconds * RATE / 2))
    samples = np.empty(2 * len(numbers), dtype="<i2")
    samples[0::2] = _LOWEST + numbers % _BASE
    samples[1::2] = -(_LOWEST + numbers // _BASE)
    return samples.tobytes()


def numbers(pcm):
    """Return the numbers in `pcm`, in the order of their coming."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int64)
    high, low = samples[:-1], samples[1:]
    found = (high >= _LOWEST) & (low <= -_LOWEST)
    return (high[found] - _LOWEST) + _BASE * (-low[found] - _LOWEST)


def span(pcm):
    """Return the first and the last number in `pcm`; None where there is none."""
    found = numbers(pcm)
    return (int(found[0]), int(found[-1])) if len(found) else None
