"""A page without a browser, for prove-wheel: sign in, speak the sample voice, hear the answer."""

import array
import asyncio
import io
import json
import math
import re
import sys
import urllib.parse
import urllib.request
import wave
from http.cookiejar import CookieJar

import websockets

FRAME_BYTES = 1024
FRAME_SECONDS = 0.032
SILENCE_SECONDS = 4.0
# 16-bit RMS: eSpeak NG speaks at some thousands, a silent answer at none.
AUDIBLE = 500
HEARD_SECONDS = 0.5


def sign_in(address: str) -> tuple[str, bytes]:
    """Press the demo's button; return the Cookie header and the page's sample voice."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(address).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    if token is None:
        sys.exit("no sign-in form")
    page = browser.open(f"{address}sign-in/", urllib.parse.urlencode({"csrfmiddlewaretoken": token[1]}).encode()).read()
    sample = re.search(rb'data-sample="/([^"]+)"', page)
    if sample is None:
        sys.exit("no sample voice on the page")
    recording = browser.open(address + sample[1].decode()).read()
    with wave.open(io.BytesIO(recording)) as file:
        pcm = file.readframes(file.getnframes())
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar), pcm


async def speak(page: websockets.ClientConnection, pcm: bytes) -> None:
    """Stream in real time, then the silence by which a pause is heard."""
    pcm += bytes(int(SILENCE_SECONDS * 32_000))
    for at in range(0, len(pcm), FRAME_BYTES):
        await page.send(pcm[at : at + FRAME_BYTES])
        await asyncio.sleep(FRAME_SECONDS)


async def main(address: str) -> None:
    """Hold the conversation; fails by exception."""
    cookie, pcm = sign_in(address)
    socket = address.replace("http", "ws", 1) + "novasonic/ws/"
    headers = {"Cookie": cookie}
    async with (
        asyncio.timeout(60),
        websockets.connect(socket, origin=address.rstrip("/"), additional_headers=headers) as page,
    ):
        speaking = asyncio.create_task(speak(page, pcm))
        heard = bytearray()
        while len(heard) < HEARD_SECONDS * 48_000:
            frame = await page.recv()
            if isinstance(frame, bytes):
                heard += frame
            elif (message := json.loads(frame))["type"] == "transcript":
                print(f"{message['role']}: {message['text']}")
            elif message["type"] == "error":
                raise SystemExit(f"the page was told: {message['message']}")
        speaking.cancel()
    samples = array.array("h", bytes(heard))
    loudness = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
    print(f"{len(samples) / 24_000:.1f} s of the answer, RMS {loudness:.0f}")
    if loudness < AUDIBLE:
        sys.exit("the answer is silent")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
