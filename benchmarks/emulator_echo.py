"""What an echo round trip costs the emulator: CPU of its whole process, signatures off.

    .venv/bin/python benchmarks/emulator_echo.py [--seconds 10] [--sessions 100 200] [--doors http https]

Method: `novasonic emulator --brain echo --no-auth` in a process of its own; in this one so many raw streams, each
sending 1,024 B of audio every 32 ms, phases spread over the period. After a warm-up, user and system time of all the
emulator's threads (/proc/PID/task/*/schedstat, nanoseconds) is divided by the audioOutput events that came back in the
same time. Other load moves it both ways: cold caches raise it, late wake-ups that serve several events lower it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import datetime
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import novasonic

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
CHUNK_BYTES = 1_024
PERIOD_SECONDS = 0.032
WARM_UP_SECONDS = 2.0
RATE = 16_000
PCM = {"mediaType": "audio/lpcm", "sampleRateHertz": RATE, "sampleSizeBits": 16, "channelCount": 1}
NAMES = {"promptName": "prompt", "contentName": "audio"}


def event(name: str, **body: Any) -> dict[str, Any]:
    return {"event": {name: body}}


OPENING = (
    event("sessionStart", inferenceConfiguration={"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}),
    event(
        "promptStart",
        promptName="prompt",
        textOutputConfiguration={"mediaType": "text/plain"},
        audioOutputConfiguration={**PCM, "voiceId": "tiffany", "encoding": "base64", "audioType": "SPEECH"},
    ),
    event(
        "contentStart",
        **NAMES,
        type="AUDIO",
        interactive=True,
        role="USER",
        audioInputConfiguration={**PCM, "audioType": "SPEECH", "encoding": "base64"},
    ),
)
CHUNK = json.dumps(event("audioInput", **NAMES, content=base64.b64encode(bytes(range(256)) * 4).decode())).encode()
CLOSING = (event("contentEnd", **NAMES), event("promptEnd", promptName="prompt"), event("sessionEnd"))


class Counter:
    """What has come back to all streams."""

    def __init__(self) -> None:
        self.echoes = 0
        self.refused = 0


async def converse(
    client: novasonic.NovaSonic, phase: float, until: float, count: Counter, ready: asyncio.Event
) -> None:
    clock = asyncio.get_running_loop().time
    async with client.open_stream() as stream:
        for opening in OPENING:
            await stream.send(opening)
        await stream.opened()
        ready.set()

        async def send() -> None:
            due = phase
            while due < until:
                await asyncio.sleep(due - clock())
                count.refused += not stream.try_send(CHUNK)
                due += PERIOD_SECONDS
            for closing in CLOSING:
                await stream.send(closing)
            await stream.end_input()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            async for received in stream:
                count.echoes += "audioOutput" in received["event"]


async def measure(pid: int, address: dict[str, str], door: str, sessions: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    client = novasonic.NovaSonic(
        region=address["region"],
        credentials=novasonic.Credentials(address["access_key_id"], address["secret_access_key"]),
        endpoint_url=address[door],
        ca_bundle=address["ca"] if door == "https" else None,
    )
    count, begin = Counter(), loop.time() + 1 + sessions / 100
    ready = [asyncio.Event() for _ in range(sessions)]
    until = begin + WARM_UP_SECONDS + seconds + 0.5
    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            phase = begin + PERIOD_SECONDS * number / sessions
            group.create_task(converse(client, phase, until, count, ready[number]))
        for opened in ready:
            await opened.wait()
        if loop.time() > begin:
            raise SystemExit("opening took longer than expected: nothing was measured")
        await asyncio.sleep(begin + WARM_UP_SECONDS - loop.time())
        cpu, echoes, began = cpu_ns(pid), count.echoes, loop.time()
        await asyncio.sleep(seconds)
        cpu, echoes, passed = cpu_ns(pid) - cpu, count.echoes - echoes, loop.time() - began
    return {
        "us": cpu / 1_000 / echoes,
        "echoes": echoes,
        "expected": round(passed / PERIOD_SECONDS * sessions),
        "refused": count.refused,
        "cores": cpu / 1e9 / passed,
    }


def cpu_ns(pid: int) -> int:
    """Time on a processor of all threads so far."""
    total = 0
    for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError):
            total += int(schedstat.read_text().split()[0])
    return total


@contextlib.contextmanager
def emulator() -> Iterator[tuple[int, dict[str, str]]]:
    command = [sys.executable, "-m", "novasonic", "emulator", "--brain", "echo", "--no-auth", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process.pid, json.loads(process.stdout.readline() if process.stdout else b"")
        finally:
            process.terminate()


def world() -> str:
    """What a figure is worth nothing without."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    load = Path("/proc/loadavg").read_text().split()[0]
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return "\n".join(
        (
            f"date     {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            f"machine  {cpu}, {cores} cores, load {load} before; {platform.system()} {platform.release()}",
            f"versions novasonic {metadata.version('novasonic')}, Python {platform.python_version()}",
            f"         {output('rustc', '--version')}",
            f"commit   {output('git', 'describe', '--always', '--dirty')}",
        )
    )


def output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"no {command[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is measured")
    parser.add_argument("--sessions", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--doors", nargs="+", choices=["http", "https"], default=["http", "https"])
    parser.add_argument("--profile", default="not said", help="the cargo profile that was built, for the record")
    options = parser.parse_args()
    print(f"{world()}\nprofile  {options.profile}\nmethod   {__doc__.split('Method: ')[1].strip()}\n")
    for door in options.doors:
        for sessions in options.sessions:
            with emulator() as (pid, address):
                got = asyncio.run(measure(pid, address, door, sessions, options.seconds))
            print(
                f"{door:5} {sessions:4} sessions: {got['us']:5.1f} us CPU a round trip "
                f"({got['echoes']:.0f} of {got['expected']:.0f} round trips, {got['refused']:.0f} refused, "
                f"{got['cores']:.2f} cores)"
            )


if __name__ == "__main__":
    main()
