"""What is told. A page names a story; what the model is told of it stays here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Story:
    """One story."""

    title: str
    summary: str
    plot: str


STORIES = {
    "gull-point": Story(
        "The Lamp at Gull Point",
        "A lighthouse keeper counts the waves each night, until one of them knocks at the door.",
        "Ada keeps the lighthouse at Gull Point. Tonight the lamp goes out, and a wave knocks at her door and offers "
        "to carry the light. She may trust it, climb to the lamp herself, or wake the old fisherman.",
    ),
    "paper-fox": Story(
        "The Paper Fox",
        "A fox of folded paper leaves its shelf to find out what rain is.",
        "A fox folded from a letter hears that rain makes things grow. It may leave by the window, ask the cat, or "
        "read first what is written on its own back.",
    ),
}
