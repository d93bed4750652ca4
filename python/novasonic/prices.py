"""What AWS asks for tokens, by date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

from novasonic._numbers import is_number
from novasonic.config import NOVA_2_5_SONIC, NOVA_2_SONIC
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from novasonic.events import TokenCounts

__all__ = ["LIST_PRICES", "Prices"]

_PER = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """USD per million tokens.

    Args:
        as_of: The day they were read from AWS's price page, or agreed on.
        speech_in: The user's speech.
        text_in: System prompt, history, typed text, tools and their results.
        speech_out: The assistant's speech.
        text_out: Its text and its calls of tools.

    Raises:
        ConfigError: ``code="invalid_prices"``: a price is no number, or below 0.
    """

    as_of: date
    speech_in: float
    text_in: float
    speech_out: float
    text_out: float

    def __post_init__(self) -> None:
        if not isinstance(self.as_of, date):
            raise ConfigError(
                f"Prices.as_of is {self.as_of!r}.", code="invalid_prices", cure="Give a datetime.date: prices change."
            )
        for name in ("speech_in", "text_in", "speech_out", "text_out"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise ConfigError(
                    f"Prices.{name} is {value!r}.",
                    code="invalid_prices",
                    cure="Give USD per million tokens, a number from 0.",
                )

    @classmethod
    def of(cls, model: str) -> Prices | None:
        """Return the list price of `model`, or None where this release knows none."""
        return LIST_PRICES.get(model)

    def usd(self, counts: TokenCounts) -> float:
        """Return what `counts` cost in USD."""
        cost = (
            counts.speech_in * self.speech_in
            + counts.text_in * self.text_in
            + counts.speech_out * self.speech_out
            + counts.text_out * self.text_out
        )
        return cost / _PER


# On demand, AWS's Bedrock price page. Nova 2.5 costs what Nova 2 costs.
_NOVA_2 = Prices(as_of=date(2026, 11, 1), speech_in=3.0, text_in=0.33, speech_out=12.0, text_out=2.75)

LIST_PRICES: Mapping[str, Prices] = MappingProxyType({NOVA_2_SONIC: _NOVA_2, NOVA_2_5_SONIC: _NOVA_2})
"""List prices by model id."""
