"""The story: what can be said where, and what the narrator answers. Sans I/O but for reading its file.

Where a listener stands in the story follows from the conversation alone, so that it goes on in a new stream which
was given the history.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from novasonic.emulator.voice.guest import GuestStory, quoted_phrases
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from novasonic.config import Message

__all__ = ["Scene", "Story", "load_story"]

_WORD = re.compile(r"[a-z']+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_COMMANDS = ("begin", "next", "restart", "help", "repeat", "stop")
_CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Choice:
    """A way out of a scene: the ways to say it, the first of which is offered, and where it leads."""

    say: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is told, sentence by sentence, and what can be said then; an end of the story has no choices."""

    text: tuple[str, ...]
    choices: tuple[Choice, ...]

    def next(self, phrase: str) -> str | None:
        """Give the scene that `phrase` leads to, None where it leads nowhere."""
        return next((choice.to for choice in self.choices if phrase in choice.say), None)


@dataclass(frozen=True, slots=True)
class ToolUse:
    """When a tool of the client is called, and with what."""

    name: str
    on: frozenset[str]
    arguments: Mapping[str, Any]

    def filled(self, said: str) -> dict[str, Any]:
        """Give the arguments for what was said."""
        return {
            name: value.format(said=said) if isinstance(value, str) else value for name, value in self.arguments.items()
        }


class Story:
    """A checked story.

    Args:
        data: A file like ``story.toml``, decoded.

    Raises:
        ConfigError: ``code="invalid_story"``: it names a scene that is not there, or two scenes begin alike.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.title: str = data["title"]
        self.start: str = data["start"]
        self.scenes = {
            name: Scene(tuple(scene["text"]), tuple(Choice(_lowered(c["say"]), c["to"]) for c in scene["choices"]))
            for name, scene in data["scenes"].items()
        }
        self._narrator: Mapping[str, Any] = data["narrator"]
        self._commands = {name: _lowered(data["commands"][name]) for name in _COMMANDS}
        self._tools = [ToolUse(use["name"], frozenset(use["on"]), use["arguments"]) for use in data.get("tools", ())]
        self._meaning = {phrase: name for name, say in self._commands.items() for phrase in say}
        self.commands = tuple(self._meaning)
        self._check()
        # What a page shows, and what the recogniser listens for: both in the order of the file, each once.
        ways = [*self._commands.values(), *(c.say for scene in self.scenes.values() for c in scene.choices)]
        self.phrases = tuple(dict.fromkeys(say[0] for say in ways))
        self.understood = tuple(dict.fromkeys(phrase for say in ways for phrase in say))

    def _check(self) -> None:
        aims = {self.start} | {choice.to for scene in self.scenes.values() for choice in scene.choices}
        if missing := sorted(aims - self.scenes.keys()):
            raise ConfigError(f"The story has no scene {missing[0]!r}.", code="invalid_story")
        first = [scene.text[0] for scene in self.scenes.values()]
        if len(set(first)) < len(first):
            raise ConfigError("Two scenes of the story begin with the same sentence.", code="invalid_story")

    def understand(self, text: str) -> str | None:
        """Find the phrase in something typed: the longest that it contains, word by word."""
        return self.find(text, self.understood)

    @staticmethod
    def find(text: str, phrases: Iterable[str]) -> str | None:
        """Find the longest of `phrases` that `text` contains, word by word."""
        words = " ".join(_WORD.findall(text.lower()))
        return max((phrase for phrase in phrases if f" {phrase} " in f" {words} "), key=len, default=None)

    def of_client(self, system: str, tools: Container[str]) -> Story | GuestStory:
        """Give the story to tell a client: its own where it declares our tools and its prompt quotes choices."""
        choices = quoted_phrases(system) if any(use.name in tools for use in self._tools) else ()
        return GuestStory(self, choices) if choices else self

    def place(self, history: Iterable[Message]) -> str | None:
        """Give the scene in which a conversation stands; None before the story and after a farewell.

        The scene told last decides. What the user said since moves on from there: an answer that was cut off
        before its first sentence is not in the history.
        """
        place: str | None = None
        farewell = self._narrator["farewell"][0]
        for message in history:
            if message.role == "user":
                phrase = self.understand(message.text)
                place = self._move(place, phrase)[0] if phrase is not None else place
                continue
            told = [(message.text.rfind(scene.text[0]), name) for name, scene in self.scenes.items()]
            told.append((message.text.rfind(farewell), ""))
            position, name = max(told)
            if position >= 0:
                place = name or None
        return place

    def calls(self, phrase: str | None, tools: Container[str]) -> list[tuple[str, dict[str, Any]]]:
        """Give the calls that `phrase` asks for, of the `tools` that the client declared."""
        if phrase is None:
            return []
        meaning = self._meaning.get(phrase, _CHOICE)
        return [(use.name, use.filled(phrase)) for use in self._tools if meaning in use.on and use.name in tools]

    def told(self, result: object) -> tuple[str, ...]:
        """Give the sentences of a tool's result: its ``text``, then its ``choices``. None where it has no text."""
        if not isinstance(result, dict) or not isinstance(text := result.get("text"), str):
            return ()
        ways = [way for way in result.get("choices") or () if isinstance(way, str)]
        sentences = (sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence)
        return (*sentences, *(self._ways(ways) if ways else ()))

    def answer(self, phrase: str | None, history: Iterable[Message]) -> tuple[str, ...]:
        """Give the narrator's sentences.

        Args:
            phrase: One of `understood`; None: it was not understood.
            history: What was said before.
        """
        before = self.place(history)
        if phrase is None:
            return (*self._narrator["not_understood"], *self._offer(before))
        place, tells = self._move(before, phrase)
        command = self._meaning.get(phrase)
        if tells and place is not None:
            return (*self.scenes[place].text, *self._offer(place))
        if command == "stop":
            return tuple(self._narrator["farewell"])
        if command == "help":
            return (*self._offer(place), *self._narrator["help"])
        if command == "next":
            return self._offer(place)
        return (*(self._narrator["not_here"] if before is not None else ()), *self._offer(place))

    def offered(self, history: Iterable[Message]) -> tuple[str, ...]:
        """Give the last offer that a listener heard to its end, or how to hear it again; how to begin at first."""
        before, after = self._narrator["offer"].split("{offer}")
        told = [message.text for message in history if message.role == "assistant"]
        for text in reversed(told):
            begin = text.rfind(before)
            end = text.find(after, begin + len(before))
            if begin >= 0 and end >= 0:
                return (text[begin : end + len(after)],)
        return tuple(self._narrator["lost" if told else "welcome"])

    def beside(self, phrase: str | None, offer: tuple[str, ...]) -> tuple[str, ...]:
        """Give what is said beside a story of somebody else's, of which `offer` was offered last."""
        if phrase is None:
            return (*self._narrator["not_understood"], *offer)
        match self._meaning.get(phrase):
            case "stop":
                return tuple(self._narrator["farewell"])
            case "help":
                return (*offer, *self._narrator["help"])
            case _:
                return offer

    def _move(self, place: str | None, phrase: str) -> tuple[str | None, bool]:
        """The scene after `phrase`, and whether it is told."""
        match self._meaning.get(phrase):
            case "begin" | "restart":
                return self.start, True
            case "repeat":
                return place, True
            case "help" | "next":
                return place, False
            case "stop":
                return None, False
        aim = self.scenes[place].next(phrase) if place is not None else None
        return (place, False) if aim is None else (aim, True)

    def _offer(self, place: str | None) -> tuple[str, ...]:
        if place is None:
            return tuple(self._narrator["welcome"])
        ways = [choice.say[0] for choice in self.scenes[place].choices]
        if not ways:
            return tuple(self._narrator["ended"])
        return self._ways(ways)

    def _ways(self, ways: list[str]) -> tuple[str, ...]:
        return (self._narrator["offer"].format(offer=_either(ways)),)


@functools.cache
def load_story() -> Story:
    """Read the story that ships with the package."""
    file = resources.files(__package__).joinpath("story.toml")
    return Story(tomllib.loads(file.read_text(encoding="utf-8")))


def _lowered(phrases: Iterable[str]) -> tuple[str, ...]:
    return tuple(phrase.lower() for phrase in phrases)


def _either(ways: list[str]) -> str:
    *others, last = ways
    return f"{', '.join(others)}, or {last}" if others else last
