"""Voices and models as data, for menus and checks. Plain strings pass everywhere: the service knows more than this.

Not ``models.py``, since ``novasonic.models`` is the function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from novasonic.config import NOVA_2_5_SONIC, NOVA_2_SONIC

__all__ = ["NOVA_SONIC", "Model", "Voice", "models", "voices"]

NOVA_SONIC: Final = "amazon.nova-sonic-v1:0"
"""The first Amazon Nova Sonic, whose life ended on 2026-09-14; listed for what its users must replace."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of the assistant.

    Attributes:
        id: What ``connect(voice=...)`` takes.
        locales: The languages it is made for, as BCP 47 tags.
        gender: How it sounds.
        polyglot: Whether it speaks every language of the model, switching within a conversation.
    """

    id: str
    locales: tuple[str, ...]
    gender: Literal["feminine", "masculine"]
    polyglot: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its limits.

    Attributes:
        id: What ``connect(model=...)`` takes.
        regions: Where AWS offers it; opening it elsewhere raises ConfigError (``code="model_region"``), unless an
            ``endpoint_url`` is given.
        context_tokens: How much of a conversation it keeps in mind.
        max_output_tokens: Bound on one reply; None: not published.
        stream_seconds: After so long the service ends a stream.
        voices: Ids of its voices.
        typed_text: Whether it answers text; the first model needed spoken audio.
        end_of_life: When AWS switched it off, or None.
    """

    id: str
    regions: tuple[str, ...]
    context_tokens: int
    max_output_tokens: int | None
    stream_seconds: int
    voices: tuple[str, ...]
    typed_text: bool = True
    end_of_life: date | None = None


# AWS Nova 2 user guide, "Language support". The service card counts 18, or 22: it names none that is missing here.
_NOVA_2_VOICES = (
    Voice("tiffany", ("en-US",), "feminine", polyglot=True),
    Voice("matthew", ("en-US",), "masculine", polyglot=True),
    Voice("amy", ("en-GB",), "feminine"),
    Voice("olivia", ("en-AU",), "feminine"),
    Voice("kiara", ("en-IN", "hi-IN"), "feminine"),
    Voice("arjun", ("en-IN", "hi-IN"), "masculine"),
    Voice("ambre", ("fr-FR",), "feminine"),
    Voice("florian", ("fr-FR",), "masculine"),
    Voice("beatrice", ("it-IT",), "feminine"),
    Voice("lorenzo", ("it-IT",), "masculine"),
    Voice("tina", ("de-DE",), "feminine"),
    Voice("lennart", ("de-DE",), "masculine"),
    Voice("lupe", ("es-US",), "feminine"),
    Voice("carlos", ("es-US",), "masculine"),
    Voice("carolina", ("pt-BR",), "feminine"),
    Voice("leo", ("pt-BR",), "masculine"),
)
_SINCE_NOVA_2 = {"olivia", "kiara", "arjun", "tina", "carolina", "leo"}
# The same page of the first guide. Speaking other languages than one's own came with Nova 2.
_NOVA_1_VOICES = (
    *(replace(voice, polyglot=False) for voice in _NOVA_2_VOICES if voice.id not in _SINCE_NOVA_2),
    Voice("greta", ("de-DE",), "feminine"),
)
_VOICES = {NOVA_2_SONIC: _NOVA_2_VOICES, NOVA_2_5_SONIC: _NOVA_2_VOICES, NOVA_SONIC: _NOVA_1_VOICES}

# AWS's model cards and lifecycle page; regions of 2.5 from its announcement (2026-10-05).
_NOVA_2_REGIONS = ("us-east-1", "us-west-2", "eu-north-1", "ap-northeast-1")
# AWS Nova user guides, "Input events"; measured 480.5 s.
_STREAM_SECONDS = 480


def _ids(model: str) -> tuple[str, ...]:
    return tuple(voice.id for voice in _VOICES[model])


_MODELS = (
    Model(
        NOVA_2_SONIC,
        regions=_NOVA_2_REGIONS,
        context_tokens=1_000_000,  # model card
        max_output_tokens=64_000,  # "64K"; the smaller reading
        stream_seconds=_STREAM_SECONDS,
        voices=_ids(NOVA_2_SONIC),
    ),
    Model(
        NOVA_2_5_SONIC,
        regions=_NOVA_2_REGIONS,
        context_tokens=256_000,  # announcement; the models page says 1M, and who trusts too little loses nothing
        max_output_tokens=None,
        stream_seconds=_STREAM_SECONDS,
        voices=_ids(NOVA_2_5_SONIC),
    ),
    Model(
        NOVA_SONIC,
        regions=("us-east-1", "eu-north-1", "ap-northeast-1"),
        context_tokens=300_000,  # model card
        max_output_tokens=None,
        stream_seconds=_STREAM_SECONDS,
        voices=_ids(NOVA_SONIC),
        typed_text=False,
        end_of_life=date(2026, 9, 14),  # lifecycle page
    ),
)


def models() -> tuple[Model, ...]:
    """Return the models known to this release, the usual one first.

    Other ids may be given to ``connect``; nothing is checked of those.
    """
    return _MODELS


def voices(*, locale: str | None = None, model: str = NOVA_2_SONIC) -> tuple[Voice, ...]:
    """Return the voices known to this release.

    ``connect(voice=...)`` is not checked against them, since AWS adds voices to models that exist: what the service
    does not know it refuses (ValidationError, "Received invalid voiceId").

    Args:
        locale: Only those made for this language: ``"en-GB"``, or ``"en"`` for all kinds of English. A polyglot
            voice counts for its own.
        model: Of this model.

    Returns:
        An empty tuple where nothing is known of `model` or made for `locale`.
    """
    known = _VOICES.get(model, ())
    if locale is None:
        return known
    wanted = locale.replace("_", "-").casefold()
    return tuple(voice for voice in known if any(_is_of(tag.casefold(), wanted) for tag in voice.locales))


def _is_of(tag: str, wanted: str) -> bool:
    return tag == wanted or tag.startswith(f"{wanted}-")


def regions_of(model: str) -> tuple[str, ...]:
    """Return where `model` is offered; empty where that is not known."""
    return next((known.regions for known in _MODELS if known.id == model), ())
