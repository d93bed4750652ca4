"""The conversations that come with the package: one script for each sequence that the service is known to send."""

from __future__ import annotations

import tomllib
from pathlib import Path

from novasonic.exceptions import ConfigError

__all__ = ["scenario_path", "scenarios"]

_FOLDER = Path(__file__).with_name("scenarios")


def scenarios() -> dict[str, str]:
    """List the shipped scenarios, for ``Emulator("scenario:NAME")``.

    Each plays one sequence of events that the service is known to send, always the same way: a plain turn, every
    known form of barge-in, tool calls, FINAL texts that come late or never. They are scripts
    (``novasonic/emulator/scenarios/NAME.toml``) and may be copied to begin one of your own.

    Returns:
        What each shows, in one line, by its name.
    """
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["description"]
        for path in sorted(_FOLDER.glob("*.toml"))
    }


def scenario_path(name: str) -> str:
    """Find a scenario's script.

    Raises:
        ConfigError: ``code="unknown_scenario"``: there is none of this name.
    """
    path = _FOLDER / f"{name}.toml"
    # A name is no way out of the folder.
    if path.parent != _FOLDER or not path.is_file():
        raise ConfigError(
            f"No scenario is called {name!r}.",
            code="unknown_scenario",
            cure=f"There are {', '.join(scenarios())}.",
        )
    return str(path)
