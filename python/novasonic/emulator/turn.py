"""One turn as a brain written in Python sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from novasonic.audio import SAMPLE_BYTES, pcm_bytes
from novasonic.exceptions import AudioFormatError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from novasonic import _core
    from novasonic.audio import PcmLike
    from novasonic.config import Message

__all__ = ["Brain", "Turn"]

# A client that stopped reading is asked again this often; nothing tells when it goes on.
_RETRY_SECONDS = 0.02


class Turn:
    """What the user said, and the means to answer. A brain gets one and is done when it returns.

    Whatever a brain awaits is cancelled when the user speaks over the answer or the stream ends.

    Attributes:
        text: What the user typed; None where the user spoke.
        pcm: What the user spoke, PCM16LE mono at `rate`; empty where the user typed.
        rate: Rate of `pcm` in Hz.
        output_rate: Rate of the answer's audio in Hz.
        voice: The voice the client asked for.
        system: The system prompt.
        history: What was said before on this stream, the replayed history first.
        tools: Names of the tools the client declared.
        stream_id: The stream it belongs to, as in `Emulator.streams`.
        account: The account that opened the stream (see `Emulator.account`).
        tool_choice: What the client wants called: None: whatever the model likes; ``"any"``: some tool; else the tool
            of this name. It is for the brain to obey.
    """

    def __init__(
        self,
        core: _core.Emulator,
        turn_id: int,
        *,
        stream_id: int,
        account: str,
        text: str | None,
        pcm: bytes,
        rate: int,
        output_rate: int,
        voice: str,
        system: str,
        history: tuple[Message, ...],
        tools: tuple[str, ...],
        tool_choice: str | None,
    ) -> None:
        self.stream_id = stream_id
        self.account = account
        self.text = text
        self.pcm = pcm
        self.rate = rate
        self.output_rate = output_rate
        self.voice = voice
        self.system = system
        self.history = history
        self.tools = tools
        self.tool_choice = tool_choice
        self._core = core
        self._id = turn_id
        self._calls: dict[int, asyncio.Future[str]] = {}
        self._has_answered = False
        self._is_over = False

    def __repr__(self) -> str:
        return f"<novasonic.emulator.Turn {self._id}: {'spoken' if self.text is None else 'typed'}>"

    async def heard(self, text: str) -> None:
        """Tell what the user said, as understood; it becomes the user's transcript.

        In a spoken turn, before the first `say` or `call`. Called several times, each is a transcript of its own, as
        the service now and then sends them. Without it the transcript says how long the user spoke.

        Raises:
            ConfigError: ``code="heard_too_late"``: the answer has begun.
        """
        if self._has_answered:
            raise ConfigError(
                "heard() came after the answer had begun.",
                code="heard_too_late",
                cure="Call it first: the service sends the user's words before the answer.",
            )
        await self._until_taken(lambda: self._core.heard(self._id, text))

    async def say(self, text: str, audio: PcmLike | None = None) -> None:
        """Say one sentence. Returns when it is queued, not when it was spoken.

        Args:
            text: The sentence.
            audio: How it sounds: PCM16LE mono at `output_rate`. None: a tone for each word.

        Raises:
            AudioFormatError: `audio` is not whole 16-bit samples.
        """
        pcm = None if audio is None else pcm_bytes(audio)
        if pcm is not None and len(pcm) % SAMPLE_BYTES:
            raise AudioFormatError(
                f"say() was given {len(pcm)} bytes of audio.",
                code="odd_length",
                cure="Give PCM16LE: two bytes for each sample.",
            )
        self._has_answered = True
        await self._until_taken(lambda: self._core.say(self._id, text, pcm))

    async def call(self, name: str, args: Mapping[str, Any] | None = None) -> Any:
        """Call a tool of the client and wait for its result.

        Several calls may wait at once (``asyncio.gather``); they go out in the order in which they were made, and their
        results come in any. Cancelled, the call stays made and its result is dropped.

        Args:
            name: The tool.
            args: Its arguments, an object of JSON.

        Returns:
            The result, decoded from JSON; a client that declared no such tool gives ``{"error": ...}``.
        """
        arguments = json.dumps(dict(args or {}))
        call_id = len(self._calls) + 1
        result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._calls[call_id] = result
        self._has_answered = True
        await self._until_taken(lambda: self._core.call(self._id, call_id, name, arguments))
        return json.loads(await result)

    async def _until_taken(self, act: Callable[[], bool]) -> None:
        while not act():
            if self._is_over:
                # For a brain that caught its cancellation and goes on.
                raise asyncio.CancelledError
            await asyncio.sleep(_RETRY_SECONDS)

    # For the host.

    def _end(self) -> None:
        self._is_over = True

    def _deliver(self, call_id: int, content: str) -> None:
        result = self._calls.get(call_id)
        if result is not None and not result.done():
            result.set_result(content)

    async def _done(self) -> None:
        await self._until_taken(lambda: self._core.done(self._id))

    async def _failed(self, reason: str) -> None:
        await self._until_taken(lambda: self._core.failed(self._id, reason))


Brain: TypeAlias = Callable[[Turn], Awaitable[None]]
"""``async def brain(turn)``: answers one turn."""
