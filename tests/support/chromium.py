"""A headless Chromium whose microphone is a recording."""

from __future__ import annotations

import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

CHROMIUM = "/usr/bin/chromium"
MICROPHONE_RATE = 16_000
# So that the wave file's end is not where the conversation ends.
_PLAY_ONCE = "%noloop"


@asynccontextmanager
async def new_page(
    folder: Path, microphone: bytes | None, *, granted: bool, arguments: tuple[str, ...] = (), **context: Any
) -> AsyncIterator[Page]:
    """Open an empty page; `microphone` is PCM16 at 16 kHz, None: no device at all, and `folder` takes its recording."""
    heard: list[str] = []
    if microphone is not None:
        recording = folder / "microphone.wav"
        write_wave(recording, microphone or bytes(MICROPHONE_RATE * 2))
        heard = [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={recording}{_PLAY_ONCE}",
        ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*heard, *arguments])
        try:
            opened = await browser.new_context(permissions=["microphone"] if granted else [], **context)
            yield await opened.new_page()
        finally:
            await browser.close()


def write_wave(path: Path, pcm: bytes) -> None:
    """Write what a microphone is to hear."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_RATE)
        file.writeframes(pcm)
