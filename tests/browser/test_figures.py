"""How fast the house is: figures that are printed, with the machine they were measured on, and bounds on them."""

import asyncio
import gzip
import re
import statistics
import time
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
import tape
from machine import describe
from networksite import worker

from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

RATE = 16_000
SECOND = bytes(RATE * 2)
MOST_CLICK_MS = 250
MOST_SILENCE_MS = 20
MOST_HOUSE_MS = 120
MOST_SCRIPT_BYTES = 12_000
CLICKS = 12
INTERRUPTIONS = 24
QUESTIONS = 12
# Long enough that the next utterance finds it playing.
ANSWER_SECONDS = 8.0


@pytest.fixture(scope="module")
def singing():
    with Emulator(brain=tape.singer(ANSWER_SECONDS), record=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def site(singing, tmp_path_factory):
    with worker(singing, tmp_path_factory.mktemp("figures")) as running:
        yield running


@pytest.fixture
def figure(capsys):
    """Print a figure, whatever pytest does with the output of tests."""

    def tell(text):
        with capsys.disabled():
            print(f"\n  {text} ({describe()})")

    return tell


def summary(values):
    ordered = sorted(values)
    return f"median {statistics.median(ordered):.1f}, p95 {percentile(ordered, 95):.1f}, n={len(ordered)}"


def percentile(values, percent):
    return float(np.percentile(values, percent))


@pytest.mark.timeout(180)
async def test_from_the_click_to_listening(site, visit, figure):
    seen = []
    async with visit(site, microphone=b"") as page:
        for _ in range(CLICKS):
            await page.reload()
            await page.page.evaluate(
                f"""(nova => {{
                  addEventListener("click", () => {{ window.clickedAt ??= performance.now(); }}, true);
                  nova.addEventListener("state", ({{detail}}) => {{
                    if (detail.state === "listening" && nova.listens) window.listenedAt ??= performance.now();
                  }});
                  const look = setInterval(() => {{
                    if (nova.listens && nova.state === "listening") {{
                      window.listenedAt ??= performance.now();
                      clearInterval(look);
                    }}
                  }}, 1);
                }})({tape.NOVA})"""
            )
            await page.talk()
            await page.until("window.listenedAt > 0")
            seen.append(await page.page.evaluate("window.listenedAt - window.clickedAt"))
            await page.page.evaluate(f"{tape.NOVA}.stop()")
    figure(f"click to listening, a page just loaded: {summary(seen)} ms")
    assert statistics.median(seen) <= MOST_CLICK_MS


@pytest.mark.timeout(180)
async def test_from_the_interruption_message_to_silence(site, visit, say, figure):
    objection = say("Stop it now, please.")
    microphone = SECOND + (objection + bytes(int(RATE * 1.3) * 2)) * (INTERRUPTIONS + 2)
    async with visit(site, microphone=microphone) as page:
        await tape.tap(page.page)
        await page.talk()
        await page.until(f"events.filter(e => e.type === 'interrupted').length >= {INTERRUPTIONS}", seconds=120)
        await page.until(f"flushes.length >= {INTERRUPTIONS}")
        reported = await page.probe("flushes")
        told = await tape.messages(page.page, "interrupted")
        heard = await tape.played(page.page)
    # The page's own report, and what was really played after the message came.
    recorded = [silence for message in told if (silence := silent_after(heard, message["at"])) is not None]
    figure(f"interruption message to silence: {summary(recorded)} ms; as the page reports it: {summary(reported)} ms")
    assert len(recorded) >= 20
    assert percentile(recorded, 95) <= MOST_SILENCE_MS


def silent_after(heard, at):
    """How long sound was still rendered after `at`; None where nothing sounded then."""
    first = heard.from_ms(at - 5)
    quarter = heard.samples[first : first + heard.rate // 4].astype(int)
    quiet = np.abs(quarter) <= tape.SILENT
    if quiet[: heard.rate // 200].all():
        return None
    # From here on 20 ms of nothing: a tone crosses zero for a sample only.
    run = heard.rate // 50
    starts = np.flatnonzero(np.convolve(quiet, np.ones(run), "valid") == run)
    assert len(starts), "it never fell silent"
    return max(0.0, heard.rendered_ms(first + int(starts[0])) - at)


@asynccontextmanager
async def noting_arrivals(emulator):
    """Note when the user's audio reaches the emulator: (Unix ms, bytes of the newest stream so far)."""
    arrivals = []

    async def look():
        while True:
            received = emulator.streams[-1].audio_bytes if emulator.streams else 0
            # Late, if anything: what the house is said to take is more than it takes.
            if received and (not arrivals or received != arrivals[-1][1]):
                arrivals.append((time.time() * 1000, received))
            await asyncio.sleep(0.002)

    task = asyncio.create_task(look())
    try:
        yield arrivals
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(scope="module")
def brief():
    """A model that answers at once and briefly, and notes when."""
    sing = tape.singer(0.5)
    answered = []

    async def brain(turn):
        answered.append(time.time() * 1000)
        await sing(turn)

    with Emulator(brain=brain, record=True) as emulator:
        emulator.answered = answered
        yield emulator


@pytest.mark.timeout(180)
async def test_from_the_end_of_speech_to_the_first_sound(brief, tmp_path, visit, say, figure):
    # Each after another pause, so that what arrived lies over what was said in one way only.
    pauses = [bytes(int(RATE * (1.8 + number * number % 7 / 10)) * 2) for number in range(QUESTIONS)]
    microphone = SECOND + b"".join(say("Sing it for me, please.") + pause for pause in pauses)
    with worker(brief, tmp_path) as site:
        async with visit(site, microphone=microphone) as page, noting_arrivals(brief) as arrivals:
            await tape.tap(page.page, microphone=True)
            await page.talk()
            done = f"events.filter(e => e.type === 'turn_ended').length >= {QUESTIONS}"
            await page.until(done, seconds=90)
            await page.until("states.at(-1) === 'listening'")
            spoken, heard = await tape.spoken(page.page), await tape.played(page.page)
    [stream] = brief.streams
    arrived = np.frombuffer(brief.recording(stream.stream_id).pcm, dtype="<i2")
    shift = lag(spoken.samples, arrived)
    sounds = [heard.rendered_ms(start) for start in first_sounds(heard)]
    to_it, own, from_it = [], [], []
    for end in last_words(spoken):
        said_at = spoken.rendered_ms(end)
        first = max(0, end - RATE)
        near = max(0, first + shift - RATE // 2)
        last = near + lag(spoken.samples[first:end], arrived[near : near + 2 * RATE]) + end - first
        came_at = next(at for at, received in arrivals if received >= 2 * last)
        answered_at = next(at for at in brief.answered if at > came_at)
        heard_at = next(at for at in sounds if at >= answered_at - 1)  # a worklet's clock tells milliseconds only
        to_it.append(came_at - said_at)
        own.append(answered_at - came_at)
        from_it.append(heard_at - answered_at)
    house = [one + other for one, other in zip(to_it, from_it, strict=True)]
    figure(
        f"end of speech to first sound, through the whole house: {summary(house)} ms"
        f" (to the service {statistics.median(to_it):.0f}, from it {statistics.median(from_it):.0f};"
        f" subtracted: the emulator's own {statistics.median(own):.0f};"
        f" not in it: {heard.latency_ms:.0f} of the sound card, as the browser says)"
    )
    assert len(house) >= 8
    assert statistics.median(house) <= MOST_HOUSE_MS


def lag(words, signal):
    """How many samples later `words` are in `signal`, which another conversion of rates has passed."""
    size = 1 << (len(words) + len(signal)).bit_length()
    spectrum = np.fft.rfft(signal.astype(float), size) * np.conj(np.fft.rfft(words.astype(float), size))
    at = int(np.argmax(np.fft.irfft(spectrum, size)))
    return at if at < size // 2 else at - size


def last_words(spoken, pause_seconds=1.0):
    """Indices of the last loud sample before each long pause."""
    loud = np.flatnonzero(np.abs(spoken.samples.astype(int)) > 600)
    return loud[:-1][np.diff(loud) > pause_seconds * spoken.rate]


def first_sounds(heard, pause_seconds=0.3):
    """Indices of the first sample after each long silence."""
    loud = heard.loud()
    return np.concatenate([loud[:1], loud[1:][np.diff(loud) > pause_seconds * heard.rate]])


async def fetched(page, path):
    return await page.evaluate("async path => (await fetch(path)).text()", path)


async def test_the_size_of_the_pages_script(site, visit, figure):
    """The client: novasonic.js, both worklets and whatever they import."""
    async with visit(site, microphone=b"") as page:
        wanted, sources = ["novasonic.js", "capture-worklet.js", "playback-worklet.js"], {}
        while wanted:
            name = wanted.pop()
            if name not in sources:
                sources[name] = await fetched(page.page, f"/static/novasonic/{name}")
                wanted += re.findall(r'^(?:import|export)[^;]*?from "\./([\w-]+\.js)"', sources[name], re.MULTILINE)
    sizes = {name: packed(source) for name, source in sources.items()}
    bare = {name: packed(without_comments(source)) for name, source in sources.items()}
    # What a bundler or a comment-stripping proxy would send; as served, the sources are to be read.
    together = packed("".join(without_comments(source) for source in sources.values()))
    figure(
        f"script of the client, gzip -9, comments aside: {together} bytes; file by file {sum(bare.values())};"
        f" as served, with comments, {sum(sizes.values())} in {len(sizes)} files"
    )
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"    {name}: {size}, {bare[name]} without comments")
    assert together < MOST_SCRIPT_BYTES


def packed(source):
    return len(gzip.compress(source.encode(), 9, mtime=0))


def without_comments(source):
    token = re.compile(
        r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|/\*.*?\*/|(?<![\\/(,=])//[^\n]*""", re.DOTALL
    )
    return re.sub(r"\n\s*\n+", "\n", token.sub(lambda found: found[1] or "", source))
