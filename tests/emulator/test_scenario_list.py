"""The shipped scenarios as a user finds them; what each sends is tested in tests/rust/scenarios."""

import shutil
from pathlib import Path

import pytest

import novasonic
from novasonic.emulator import Emulator, scenarios
from novasonic.emulator._scenarios import scenario_path


def test_each_has_a_name_to_type_and_one_line_that_says_what_it_shows():
    listed = scenarios()
    assert len(listed) >= 20
    for name, description in listed.items():
        assert name == name.lower().strip()
        assert " " not in name
        assert 10 < len(description) < 120
        assert "\n" not in description
    assert len(set(listed.values())) == len(listed)


@pytest.mark.parametrize("name", scenarios())
def test_each_is_a_script_that_the_emulator_takes(name):
    with Emulator(f"scenario:{name}"):
        pass


@pytest.mark.parametrize("name", ["", "plain", "../scenarios/tool", "..", "tool.toml", "/tool", "tool\0"])
def test_an_unknown_name_is_an_error_that_lists_the_others(name):
    with pytest.raises(novasonic.ConfigError, match="No scenario is called") as raised:
        Emulator(f"scenario:{name}")
    assert raised.value.code == "unknown_scenario"
    assert "plain-turn" in raised.value.cure


async def test_one_answers_and_a_copy_of_it_does_too(until, tmp_path):
    copy = shutil.copy(scenario_path("typed-text"), tmp_path / "mine.toml")
    for brain in ("scenario:typed-text", f"script:{copy}"):
        async with Emulator(brain, speed=4.0) as emulator, emulator.client().connect() as session:
            await session.send_text("Anybody there?")
            events = await until(session, lambda event: isinstance(event, novasonic.TurnEnded))
            said = [event.text for event in events if isinstance(event, novasonic.Transcript)]
            assert said == ["Anybody there?", "I have read that."]


def test_they_are_in_the_package():
    assert Path(scenario_path("tool")).parent == Path(novasonic.emulator.__file__).parent / "scenarios"
