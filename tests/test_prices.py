"""Money: what a token costs, and what the table refuses."""

import dataclasses
from datetime import date

import pytest

from novasonic import LIST_PRICES, NOVA_2_5_SONIC, NOVA_2_SONIC, ConfigError, Prices, TokenCounts, Usage
from novasonic.emulator import Emulator


def test_a_million_of_each_costs_its_list_price():
    prices = Prices.of(NOVA_2_SONIC)
    million = 1_000_000
    assert prices.usd(TokenCounts(million, 0, 0, 0)) == 3.0
    assert prices.usd(TokenCounts(0, million, 0, 0)) == 0.33
    assert prices.usd(TokenCounts(0, 0, million, 0)) == 12.0
    assert prices.usd(TokenCounts(0, 0, 0, million)) == 2.75
    assert prices.usd(TokenCounts(0, 0, 0, 0)) == 0.0


def test_a_conversation_worked_out_by_hand():
    # 1,000 tokens heard, 400 read, 2,000 spoken, 300 written: 3,000 + 132 + 24,000 + 825 millionths.
    assert Prices.of(NOVA_2_5_SONIC).usd(TokenCounts(1_000, 400, 2_000, 300)) == pytest.approx(0.027957, abs=1e-12)


def test_own_prices_replace_the_list():
    agreed = dataclasses.replace(Prices.of(NOVA_2_SONIC), speech_out=6, as_of=date(2027, 1, 1))
    assert agreed.usd(TokenCounts(0, 0, 1_000_000, 0)) == 6
    assert Prices.of(NOVA_2_SONIC).speech_out == 12


def test_an_unknown_model_has_no_price():
    assert Prices.of("amazon.nova-9-sonic") is None


def test_the_list_is_dated_and_read_only():
    assert all(prices.as_of >= date(2026, 11, 1) for prices in LIST_PRICES.values())
    with pytest.raises(TypeError):
        LIST_PRICES["amazon.nova-9-sonic"] = Prices.of(NOVA_2_SONIC)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Prices.of(NOVA_2_SONIC).speech_in = 0


@pytest.mark.parametrize("field", ["speech_in", "text_in", "speech_out", "text_out"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "3", None, True, 10**400])
def test_prices_are_numbers(field, value):
    with pytest.raises(ConfigError, match=f"Prices.{field}") as refused:
        dataclasses.replace(Prices.of(NOVA_2_SONIC), **{field: value})
    assert refused.value.code == "invalid_prices"


def test_a_price_without_a_day_is_refused():
    with pytest.raises(ConfigError, match="as_of"):
        Prices(as_of="2026-11", speech_in=0, text_in=0, speech_out=0, text_out=0)


async def test_the_core_counts_with_the_table_it_is_given():
    prices = Prices(as_of=date(2026, 11, 24), speech_in=1_000, text_in=200, speech_out=30, text_out=4)
    async with Emulator(speed=20) as emulator, emulator.client().connect(prices=prices) as session:
        await session.send_text("Hello.")
        async for event in session:
            if isinstance(event, Usage) and event.total.speech_out:
                break
        assert event.usd == pytest.approx(prices.usd(event.total))
        cost = session.cost()
        assert (cost.tokens, cost.usd, cost.as_of) == (event.total, prices.usd(event.total), prices.as_of)
