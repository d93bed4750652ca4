"""A client's own story: its prompt names the choices, its tools give the chapters, our commands turn its pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from novasonic.config import Message
    from novasonic.emulator.voice.story import Story

__all__ = ["GuestStory", "quoted_phrases"]

# Of words, so that quotations of another kind (a title, a format) are no choices more often than not.
_QUOTED = re.compile(r'"([A-Za-z\']+(?: [A-Za-z\']+){1,7})"')
# A grammar of more phrases than these is understood badly, whatever they are.
MOST_PHRASES = 64


def quoted_phrases(system: str) -> tuple[str, ...]:
    """List what stands in double quotes in a prompt and could be said: two to eight words, each phrase once."""
    found = dict.fromkeys(phrase.lower() for phrase in _QUOTED.findall(system))
    return tuple(found)[:MOST_PHRASES]


class GuestStory:
    """The narrator's part in a story that is not ours. As `Story`, it keeps nothing of a conversation.

    Args:
        host: Whose commands, tools and narrator's words are used.
        choices: The phrases that choose something.
    """

    def __init__(self, host: Story, choices: Iterable[str]) -> None:
        self._host = host
        self.understood = tuple(dict.fromkeys((*host.commands, *choices)))

    def understand(self, text: str) -> str | None:
        """Find the phrase in something typed: the longest that it contains, word by word."""
        return self._host.find(text, self.understood)

    def calls(self, phrase: str | None, tools: Container[str]) -> list[tuple[str, dict[str, Any]]]:
        """Give the calls that `phrase` asks for."""
        return self._host.calls(phrase, tools)

    def told(self, result: object) -> tuple[str, ...]:
        """Give the sentences of a tool's result."""
        return self._host.told(result)

    def answer(self, phrase: str | None, history: Iterable[Message]) -> tuple[str, ...]:
        """Give the narrator's sentences where no tool gave any."""
        return self._host.beside(phrase, self._host.offered(history))
