"""What counts as a number in a setting."""

from __future__ import annotations

from math import isfinite
from typing import TypeGuard

__all__ = ["is_number"]


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite int or float, no bool, that a float can hold."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False
