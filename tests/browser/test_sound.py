"""Microphone, capture and playback alone in a browser: what Node cannot run and the whole page does not reach."""

from __future__ import annotations

import asyncio
import functools
import http.server
import math
import threading
import wave
from array import array
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chromium import CHROMIUM
from playwright.async_api import async_playwright

STATIC = Path(__file__).parents[2] / "python/novasonic/contrib/django/static/novasonic"
TONE_HZ = 880
RATE = 16_000

# What the tests share inside the page: a stream of frames, and the loudness of one pitch in what they hold. On a busy
# machine the fake microphone stutters, so `pure` waits for frames without a gap: at a wrong pitch there never are any.
SETUP = """
window.modules = Promise.all([import("/microphone.js"), import("/capture.js"), import("/playback.js")]);
window.capturing = async (frameMs = 32) => {
  const [, { Capture }] = await modules;
  const taken = { frames: [], lost: 0 };
  taken.capture = await Capture.open({
    worklet: "/capture-worklet.js", rate: 16000, frameMs,
    onFrame: (frame) => taken.frames.push(frame), onLost: () => { taken.lost += 1; },
  });
  taken.next = async (count) => {
    const from = taken.frames.length;
    while (taken.frames.length < from + count) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return taken.frames.slice(from, from + count);
  };
  return taken;
};
window.amplitude = (frames, hz) => {
  const samples = frames.flatMap(({ pcm }) => [...new Int16Array(pcm)]);
  let [real, imaginary] = [0, 0];
  samples.forEach((sample, n) => {
    const hann = 1 - Math.cos((2 * Math.PI * n) / samples.length);
    real += sample * hann * Math.cos((2 * Math.PI * hz * n) / 16000);
    imaginary += sample * hann * Math.sin((2 * Math.PI * hz * n) / 16000);
  });
  return (2 * Math.hypot(real, imaginary)) / samples.length / 32767;
};
window.pure = async (taken, hz) => {
  for (;;) {
    const frames = await taken.next(20);
    const [tone, beside] = [amplitude(frames, hz), amplitude(frames, hz * 1.1)];
    if (tone > 0.05 && beside < tone / 30) {
      return frames;
    }
  }
};
window.silence = async (taken) => {
  while ((await taken.next(4)).some(({ level }) => level)) {}
};
"""


def tone(path: Path) -> Path:
    """A second of a tone that is whole periods long, so that it may be repeated."""
    samples = array("h", (int(32767 * 0.3 * math.sin(2 * math.pi * TONE_HZ * n / RATE)) for n in range(RATE)))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b'<!doctype html><title>sound</title><link rel="icon" href="data:,">')
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=STATIC)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def chromium(address, tmp_path):
    @asynccontextmanager
    async def opened(browser_is=""):
        args = [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={tone(tmp_path / 'tone.wav')}",
            "--autoplay-policy=no-user-gesture-required",
        ]
        async with asyncio.timeout(60), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
            context = await browser.new_context(permissions=["microphone"])
            page = await context.new_page()
            await page.goto(address)
            await page.add_script_tag(content=browser_is + SETUP)
            yield page
            await browser.close()

    return opened


async def test_microphones_change_in_the_midst_of_the_frames(chromium):
    async with chromium() as page:
        heard = await page.evaluate(
            """async (hz) => {
              const [{ openMicrophone, listDevices, isAllowed }] = await modules;
              const taken = await capturing();
              const { capture } = taken;
              await silence(taken);
              const first = await openMicrophone();
              await capture.use(first);
              const frames = await pure(taken, hz);
              capture.mute(true);
              await silence(taken);
              capture.mute(false);
              const devices = await listDevices();
              await capture.use(await openMicrophone({ deviceId: devices.at(-1).id }));
              await pure(taken, hz);
              const firstState = first.getTracks()[0].readyState;
              await capture.use(null);
              await silence(taken);
              capture.close();
              return {
                sizes: [...new Set(frames.map(({ pcm }) => pcm.byteLength))],
                level: Math.max(...frames.map(({ level }) => level)),
                allowed: await isAllowed(), firstState, devices, lost: taken.lost,
              };
            }""",
            TONE_HZ,
        )
        assert heard["firstState"] == "ended"
        assert heard["lost"] == 0
        assert heard["sizes"] == [1024]
        assert heard["level"] > 0.05
        assert heard["allowed"] is True
        assert all(device["id"] and device["label"] for device in heard["devices"])


# As Firefox did it for years, and Safari may.
REFUSES_OTHER_RATES = """
const join = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  if (this.sampleRate === 16000) {
    throw new DOMException("another rate", "NotSupportedError");
  }
  return join.call(this, stream);
};
"""
KNOWS_ONE_RATE = """
window.AudioContext = class extends AudioContext {
  constructor(options) {
    if (options?.sampleRate) {
      throw new DOMException("no such rate", "NotSupportedError");
    }
    super({ sampleRate: 44100 });
  }
};
"""


@pytest.mark.parametrize("browser_is", [REFUSES_OTHER_RATES, KNOWS_ONE_RATE], ids=["refuses others", "knows one rate"])
async def test_a_browser_that_does_not_convert_makes_the_same_frames(chromium, browser_is):
    async with chromium(browser_is) as page:
        sizes = await page.evaluate(
            """async (hz) => {
              const [{ openMicrophone }] = await modules;
              const taken = await capturing(20);
              taken.capture.mute(true);
              await taken.capture.use(await openMicrophone());
              const muted = await taken.next(10);
              taken.capture.mute(false);
              const frames = await pure(taken, hz);
              taken.capture.close();
              return [muted.some(({ level }) => level), ...new Set(frames.map(({ pcm }) => pcm.byteLength))];
            }""",
            TONE_HZ,
        )
        assert sizes == [False, 640]


async def test_a_microphone_that_is_taken_away_is_told_once_and_the_frames_go_on(chromium):
    async with chromium() as page:
        await page.evaluate(
            """async () => {
              const [{ openMicrophone }] = await modules;
              window.taken = await capturing();
              await taken.capture.use(await openMicrophone());
              await taken.next(4);
            }"""
        )
        await page.context.clear_permissions()
        await page.evaluate(
            """async () => {
              while (!taken.lost) {
                await new Promise((resolve) => setTimeout(resolve, 10));
              }
              await taken.capture.use(null);
              await taken.next(4);
              taken.capture.close();
            }"""
        )
        assert await page.evaluate("taken.lost") == 1


@pytest.mark.parametrize("browser_is", ["", KNOWS_ONE_RATE], ids=["converts", "knows one rate"])
async def test_the_loudspeaker_plays_at_the_right_pitch_stops_at_once_and_wakes_up(chromium, browser_is):
    async with chromium(browser_is) as page:
        heard = await page.evaluate(
            """async (hz) => {
              const [, , { Playback }] = await modules;
              const reports = [];
              const playback = await Playback.open({
                worklet: "/playback-worklet.js", rate: 24000, onReport: (report) => reports.push(report),
              });
              const told = async (type) => {
                while (!reports.some((report) => report.type === type)) {
                  await new Promise((resolve) => setTimeout(resolve, 2));
                }
                return reports.find((report) => report.type === type);
              };
              const pcm = (seconds) => Int16Array.from(
                { length: 24000 * seconds }, (_, n) => 32767 * 0.3 * Math.sin((2 * Math.PI * hz * n) / 24000)).buffer;
              const { analyser } = playback;
              playback.push(1, pcm(1));
              playback.end(1);
              await told("playing");
              await new Promise((resolve) => setTimeout(resolve, 300));
              const bins = new Float32Array(analyser.frequencyBinCount);
              analyser.getFloatFrequencyData(bins);
              const peakHz = (bins.indexOf(Math.max(...bins)) * analyser.context.sampleRate) / analyser.fftSize;
              const level = playback.level();
              const drained = await told("drained");
              reports.length = 0;
              await analyser.context.suspend();
              playback.push(2, pcm(20));
              playback.resume();
              await told("playing");
              await told("played");
              playback.flush();
              const flushed = await told("flushed");
              await new Promise((resolve) => setTimeout(resolve, 200));
              const silence = playback.level();
              playback.close();
              return { peakHz, level, drained, flushed, silence };
            }""",
            TONE_HZ,
        )
        assert abs(heard["peakHz"] - TONE_HZ) < 30
        assert heard["level"] == pytest.approx(0.3 / math.sqrt(2), rel=0.1)
        assert heard["drained"]["ms"] == pytest.approx(1000, abs=0.1)
        assert heard["drained"]["underruns"] == 0
        assert heard["flushed"]["turn"] == 2
        assert heard["flushed"]["ms"] + heard["flushed"]["droppedMs"] == pytest.approx(20_000, abs=5)
        assert heard["silence"] == 0
