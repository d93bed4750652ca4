"""A storyteller without a model: PocketSphinx hears, a small story answers, eSpeak NG speaks. Extra ``voice``.

It understands the phrases of its story and nothing else; it is there so that a demonstration without an AWS account
really listens and really talks.
"""

from novasonic.emulator.voice.brain import VoiceBrain
from novasonic.emulator.voice.story import load_story

__all__ = ["VoiceBrain", "phrases"]


def phrases() -> tuple[str, ...]:
    """List what the storyteller understands, in the order of the story; needs no extra.

    Some phrases have other wordings that are understood too.
    """
    return load_story().phrases
