"""The brain ``voice``: hears a turn, asks the story, speaks the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from novasonic.emulator.voice.espeak import Speaker, voice_for
from novasonic.emulator.voice.extra import require_extra
from novasonic.emulator.voice.hearing import Recogniser
from novasonic.emulator.voice.story import load_story

if TYPE_CHECKING:
    from novasonic.emulator.turn import Turn

__all__ = ["NOT_UNDERSTOOD", "VoiceBrain"]

NOT_UNDERSTOOD = "(not understood)"
"""The user's transcript where the recogniser is not sure."""


class VoiceBrain:
    """Tells the story, or the client's where it declares tools for that and its prompt quotes what can be chosen.

    Keeps nothing of a conversation: where it stands follows from the history.

    Raises:
        ConfigError: ``code="missing_extra"``: PocketSphinx or eSpeak NG is not installed.
    """

    def __init__(self) -> None:
        require_extra()
        self._story = load_story()
        self._recogniser = Recogniser(self._story.understood)
        self._speaker = Speaker()

    def prepare(self) -> None:
        """Load the models, so that the first turn does not wait for them. Blocks for some 0.2 s."""
        self._recogniser.load()
        self._speaker.load()

    async def __call__(self, turn: Turn) -> None:
        """Answer one turn. Recognition and synthesis run in threads."""
        story = self._story.of_client(turn.system, turn.tools)
        if turn.text is None:
            heard = await asyncio.to_thread(self._recogniser.hear, turn.pcm, turn.rate, story.understood)
            phrase = heard.phrase
            await turn.heard(phrase or NOT_UNDERSTOOD)
        else:
            phrase = story.understand(turn.text)
        voice = voice_for(turn.voice)
        sentences = [
            sentence
            for name, arguments in story.calls(phrase, turn.tools)
            for sentence in story.told(await turn.call(name, arguments))
        ]
        for sentence in sentences or story.answer(phrase, turn.history):
            pcm = await asyncio.to_thread(self._speaker.speak, sentence, voice, turn.output_rate)
            await turn.say(sentence, pcm)
