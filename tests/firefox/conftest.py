"""Stock Firefox on the demo's page, with PulseAudio for a sound card: what is spoken and heard is sound."""

from __future__ import annotations

import asyncio
import math
import shutil
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from bidi import FIREFOX, running_firefox
from pulse import running_pulse
from websupport import ROOT, running_site

MISSING = [name for name in (FIREFOX, "pulseaudio", "pactl", "parec", "pacat") if shutil.which(name) is None]
HERE = Path(__file__).parent
# The one place that knows where a page keeps its conversation.
NOVA = "document.querySelector('nova-sonic-talk').nova"
NOTICE = "document.querySelector('nova-sonic-talk').shadowRoot.querySelector('[part=notice]')"
PROBE = (HERE / "probe.js").read_text().replace("NOVA", NOVA)
SPEECH_RATE = 16_000
ALLOW, BLOCK = 1, 2


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.firefox)
            if MISSING:
                item.add_marker(pytest.mark.skip(reason=f"no {', '.join(MISSING)}: scripts/firefox"))


@pytest.fixture(scope="session")
def pulse(tmp_path_factory):
    with running_pulse(tmp_path_factory.mktemp("pulse")) as running:
        yield running


@pytest.fixture(scope="session")
def start(pulse, tmp_path_factory):
    """Start a Firefox whose user gives the microphone to every page, or to none: BiDi's permissions do not know it."""

    def started(microphone):
        folder = tmp_path_factory.mktemp("firefox")
        return running_firefox(folder, pulse.environment, permissions__default__microphone=microphone)

    return started


@pytest.fixture(scope="session")
def browsers(start):
    """Give the browser that tests share; a new one where it crashed."""
    with ExitStack() as stack:
        running = []

        def browser():
            if not running or not running[-1].runs:
                running.append(stack.enter_context(start(ALLOW)))
            return running[-1]

        yield browser


@pytest.fixture
def browser(browsers):
    return browsers()


@pytest.fixture
def denying_browser(start):
    with start(BLOCK) as running:
        yield running


class Visit:
    """The demo's page; what its conversation told is `seen`, each with its `type` and `at` in seconds since 1970."""

    def __init__(self, tab) -> None:
        self.tab = tab

    async def press(self, part):
        await self.tab.click(f"[part={part}]")

    async def type(self, text):
        await self.press("text")
        await self.tab.keys(text, "Enter")

    async def nova(self, expression):
        return await self.tab.evaluate(f"nova.{expression}")

    async def until(self, expression, seconds=20):
        await self.tab.until(expression, seconds)

    async def told(self, kind, condition="true", seconds=20):
        """Wait for an event and return it."""
        chosen = f"seen.find((e) => e.type === '{kind}' && ({condition}))"
        await self.tab.until(f"{chosen} !== undefined", seconds)
        return await self.tab.evaluate(chosen)

    async def listens(self):
        await self.until("nova.listens && levels.length > 0")

    async def frames(self, count):
        """Wait for so many frames of the user's side, of 32 ms each."""
        so_far = await self.tab.evaluate("levels.length")
        await self.until(f"levels.length >= {so_far + count}")

    async def sounds(self):
        """Wait until the microphone has told of a sound for a while, of that which is spoken now."""
        await self.tab.evaluate("levels.splice(0)")
        await self.until("levels.length > 40 && levels.slice(-30).every(({level}) => level > 0.01)", seconds=30)

    async def until_there(self, condition, seconds=5):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - the sound server tells nobody
                await asyncio.sleep(0.02)

    async def says(self, words):
        """Wait until the user is told this."""
        await self.tab.until(f"{NOTICE}.checkVisibility() && {NOTICE}.textContent.includes('{words}')")

    async def reach(self, *names, back=False):
        """Go with the tab key to the control of one of these names."""
        for _ in range(60):
            await self.tab.keys(*(["+Shift", "Tab", "-Shift"] if back else ["Tab"]))
            if (await self.tab.focused()) in names:
                return
        raise AssertionError(f"the tab key does not lead to {names}")


@pytest.fixture
def visit(browser):
    """Open the site's page as a signed-in user."""

    @asynccontextmanager
    async def opened(site, browser=browser):
        async with browser.tab() as tab:
            await tab.go(f"{site.origin}/sign-in/")
            await tab.follow("form button")
            await tab.run(PROBE)
            yield Visit(tab)
            assert tab.console == []

    return opened


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Serve the stock demo against an emulator."""

    @contextmanager
    def serving(emulator):
        demo = "novasonic.contrib.django.demo"
        with running_site(
            f"{demo}.asgi:application",
            emulator,
            state=tmp_path_factory.mktemp("site"),
            path=ROOT,
            settings=f"{demo}.settings",
        ) as running:
            yield running

    return serving


@pytest.fixture(scope="session")
def say():
    """Speak with eSpeak NG: PCM16 at the rate of SPEECH_RATE."""
    from novasonic.emulator.voice.espeak import Speaker, Voice

    speaker, voice = Speaker(), Voice("en-us+f2", words_per_minute=150)
    return lambda text, rate=SPEECH_RATE: speaker.speak(text, voice, rate)


@pytest.fixture(scope="session")
def tone():
    """A sine as PCM16."""

    def made(seconds, rate, hz, amplitude=0.3):
        at = np.arange(int(seconds * rate)) * (2 * math.pi * hz / rate)
        return (np.sin(at) * amplitude * 32767).astype("<i2").tobytes()

    return made


@pytest.fixture(scope="session")
def pitch():
    """Return the loudest frequency of samples in Hz."""

    def loudest(samples, rate):
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        return float(np.argmax(spectrum)) * rate / len(samples)

    return loudest
