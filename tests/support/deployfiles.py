"""Reads the files of examples/deploy/ as far as they are written."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
_VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")


@dataclass
class Stage:
    """One FROM of a Dockerfile, with what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair for value in self.values("ENV") for pair in shlex.split(value)]
        return dict(pair.split("=", 1) for pair in pairs)

    def command(self, instruction: str) -> list[str]:
        """The last one of this kind, in its JSON form."""
        value = self.values(instruction)[-1]
        return json.loads(value[value.index("[") :])


def stages() -> dict[str, Stage]:
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text())
    found: dict[str, Stage] = {}
    stage = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, value = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = value.split()
            stage = found[name] = Stage(base, name)
        else:
            stage.steps.append((instruction, value))
    return found


def compose(environment: dict[str, str]) -> dict:
    """The compose file with its variables filled in; one that is missing is an error, as it is to Compose."""
    text = (DEPLOY / "compose.yaml").read_text()
    return yaml.safe_load(_VARIABLE.sub(lambda found: environment[found[1]], text))


def exchange(text: str, exchanged: dict[str, str]) -> str:
    """Replace each key by its value, at once; one that is not there means that the files have changed."""
    for old in exchanged:
        assert old in text, f"{old!r} is not in the file any more"
    return re.sub("|".join(map(re.escape, exchanged)), lambda found: exchanged[found[0]], text)
