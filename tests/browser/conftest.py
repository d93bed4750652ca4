"""A headless Chromium whose microphone is a recording, on a page with the element."""

from __future__ import annotations

import array
import asyncio
import json
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from chromium import CHROMIUM, MICROPHONE_RATE, new_page
from websupport import ROOT, running_site

LOADED = "document.querySelector('nova-sonic-talk')?.nova"
PROBE = (Path(__file__).parent / "probe.js").read_text()
NPM = Path(__file__).parent / "npm"
SITES = {
    "stock": ("novasonic.contrib.django.demo.asgi:application", "novasonic.contrib.django.demo.settings", ROOT),
    "storyteller": ("storyteller.asgi:application", "storyteller.settings", ROOT / "examples" / "storyteller"),
    "office": ("office_urls:application", "office_site", Path(__file__).parent),
    "element": ("element_urls:application", "element_site", Path(__file__).parent),
    "policy": ("policy_asgi:application", "policy_settings", Path(__file__).parent),
    "paying": ("paying_site:application", "novasonic.contrib.django.demo.settings", Path(__file__).parent),
}


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    missing = None if Path(CHROMIUM).exists() else pytest.mark.skip(reason=f"no {CHROMIUM}: apt-get install chromium")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(missing)


async def holds(page, expression, seconds=20):
    """Wait until an expression is true in the page.

    Playwright's own ``wait_for_function`` evaluates strings in the page, which a Content-Security-Policy forbids.
    """
    async with asyncio.timeout(seconds):
        await page.evaluate(
            f"new Promise((good) => {{ const look = () => ({expression}) ? good() : setTimeout(look, 20); look(); }})"
        )


class Visit:
    """One page with its console, and what its conversation told."""

    def __init__(self, page, origin) -> None:
        self.page = page
        self.origin = origin
        self.console: list[str] = []
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", self._log)
        # What the page sent as text, with the time.
        self.sent: list[tuple[float, dict]] = []
        page.on("websocket", lambda socket: socket.on("framesent", self._sent))

    def _log(self, line):
        # Chromium says of any plain http page that it ignores this header of Django's.
        if line.type == "error" and "Cross-Origin-Opener-Policy" not in line.text:
            self.console.append(line.text)

    def _sent(self, frame):
        if isinstance(frame, str):
            self.sent.append((time.monotonic(), json.loads(frame)))

    def part(self, name):
        return self.page.locator(f'nova-sonic-talk [part~="{name}"]')

    @property
    def said(self):
        """The sentences of the captions, without who says them."""
        return self.page.locator("nova-sonic-talk [data-segment]")

    async def talk(self):
        await self.part("button").click()

    async def go(self, path):
        """Load another page of the site, watched as before."""
        await self.page.goto(f"{self.origin}{path}")
        await self.watch()

    async def nova(self, expression):
        """Evaluate an expression over the conversation of the page's first element."""
        return await self.page.evaluate(f"(nova => ({expression}))(document.querySelector('nova-sonic-talk').nova)")

    async def becomes(self, expression, seconds=20):
        """Wait until an expression over the conversation of the page's first element is true."""
        nova = "document.querySelector('nova-sonic-talk').nova"
        await holds(self.page, f"(nova => ({expression}))({nova})", seconds)

    async def type(self, text):
        await self.part("text").fill(text)
        await self.part("text").press("Enter")

    async def reload(self):
        """Load the page anew, watched as before; returns the server's answer."""
        answer = await self.page.reload()
        await self.watch()
        return answer

    async def watch(self):
        """Wait for the element of a page that was just gone to, and collect what it tells from here on."""
        await self.page.wait_for_selector("nova-sonic-talk")
        await self.holds(LOADED)
        await self.page.evaluate(PROBE)

    async def holds(self, expression, seconds=20):
        """Wait until an expression is true in the page."""
        await holds(self.page, expression, seconds)

    async def probe(self, expression):
        """Evaluate an expression over what probe.js collected."""
        return await self.page.evaluate(
            f"(({{levels, states, events, flushes, heard}}) => ({expression}))(window.probe)"
        )

    async def until(self, expression, seconds=20):
        await holds(
            self.page, f"(({{levels, states, events, flushes, heard}}) => ({expression}))(window.probe)", seconds
        )

    async def hears_the_microphone(self):
        # A missing recording gives silence and no error.
        await self.until("Math.max(...levels) > 0.01")


@pytest.fixture
def visit(tmp_path):
    """Open a page of the site as a signed-in user; `microphone` is PCM16 at 16 kHz, None: no device at all.

    `begin` goes from where one lands to the page with the element, where that is another.
    """

    @asynccontextmanager
    async def opened(site, *, microphone=b"", granted=True, host="localhost", path="/", begin=None):
        arguments = () if host == "localhost" else (f"--host-resolver-rules=MAP {host} 127.0.0.1",)
        async with new_page(tmp_path, microphone, granted=granted, arguments=arguments) as page:
            seen = Visit(page, f"http://{host}:{site.port}")
            await page.goto(f"{seen.origin}/")
            await page.locator("form button").click()
            if begin is not None:
                await begin(page)
            await seen.watch()
            if path != "/":
                await seen.go(path)
            yield seen
            assert seen.console == []

    return opened


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Serve a site against an emulator; its `state` is the folder of its database."""

    @contextmanager
    def serving(emulator, site="stock"):
        state = tmp_path_factory.mktemp("site")
        application, settings, path = SITES[site]
        with running_site(application, emulator, state=state, path=path, settings=settings) as running:
            running.state = state
            yield running

    return serving


@pytest.fixture(scope="session")
def axe():
    """The script that holds a page against the accessibility rules."""
    script = NPM / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm", path=Path(sys.executable).parent) or shutil.which("npm")
        assert npm, "npm is not installed: `pip install --group test` brings it"
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=NPM, check=True, timeout=120, capture_output=True)
    return script.read_text()


@pytest.fixture(scope="session")
def say():
    """Speak with eSpeak NG: PCM16 at the microphone's rate."""
    from novasonic.emulator.voice.espeak import Speaker, Voice

    speaker = Speaker()
    # PocketSphinx understands this one best after Chromium's noise suppression and gain control.
    voice = Voice("en-us+f2", words_per_minute=150)
    return lambda text, rate=MICROPHONE_RATE: speaker.speak(text, voice, rate)


@pytest.fixture(scope="session")
def quieter():
    """Scale PCM16 by a gain in dB."""

    def scale(pcm, gain_db):
        factor = 10 ** (gain_db / 20)
        return array.array("h", (int(sample * factor) for sample in array.array("h", pcm))).tobytes()

    assert sys.byteorder == "little"
    return scale
