"""A PulseAudio of one's own: a loudspeaker that is recorded, and microphones into which tests speak."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30
# What most sound cards run at, and so what a browser has to convert from and to.
RATE = 48_000
SETTLE_SECONDS = 1
MICROPHONES = ("desk", "headset", "lapel")


class Pulse:
    """A running sound server without hardware, found by what `environment` says."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        # Their modules by name.
        self._plugged: dict[str, str] = {}

    def control(self, *arguments: str) -> str:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, check=True, timeout=10, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def have(self, *names: str) -> list[Microphone]:
        """Bring and take microphones until there are these; the last is the system's choice.

        Each comes and goes as one source, and only where it must: Firefox 153 itself crashes now and then (SIGSEGV in
        its listener of PulseAudio's events) where devices go just after the last page that listened was closed.
        """
        if set(self._plugged) != set(names):
            time.sleep(SETTLE_SECONDS)
        for name in set(self._plugged) - set(names):
            self.unplug(name)
        for name in names:
            if name not in self._plugged:
                self._plugged[name] = self.control(
                    *("load-module", "module-remap-source", f"master={name}_mouth.monitor", f"source_name={name}"),
                    *(f"source_properties=device.description={name}", "remix=no"),
                )
        if names:
            self.control("set-default-source", names[-1])
        return [Microphone(self, f"{name}_mouth") for name in names]

    def unplug(self, name: str) -> None:
        self.control("unload-module", self._plugged.pop(name))

    def listeners(self) -> list[str]:
        """The sources that Firefox has open."""
        sources = {source["index"]: source["name"] for source in self._listed("sources")}
        return [
            sources[output["source"]]
            for output in self._listed("source-outputs")
            if "irefox" in output["properties"].get("application.name", "")
        ]

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        return json.loads(self.control("--format=json", "list", kind))

    @contextmanager
    def recorded(self, device: str = "loudspeaker.monitor") -> Iterator[Recording]:
        """Record what a sink plays for as long as the block runs."""
        command = ["parec", f"--device={device}", f"--rate={RATE}", *PCM16, "--latency-msec=10"]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE) as process:
            recording = Recording()
            reader = threading.Thread(target=recording.read, args=(process.stdout,))
            reader.start()
            try:
                yield recording
            finally:
                process.terminate()
                reader.join()


PCM16 = ("--format=s16le", "--channels=1", "--raw")


class Microphone:
    """A source that Firefox takes for hardware."""

    def __init__(self, pulse: Pulse, mouth: str) -> None:
        self._pulse, self._mouth = pulse, mouth

    @contextmanager
    def spoken(self, pcm: bytes, rate: int) -> Iterator[None]:
        """Speak meanwhile; PCM16 mono."""
        command = ["pacat", f"--device={self._mouth}", f"--rate={rate}", *PCM16, "--latency-msec=50"]
        with subprocess.Popen(command, env=self._pulse.environment, stdin=subprocess.PIPE) as process:
            speaker = threading.Thread(target=_pour, args=(process.stdin, pcm))
            speaker.start()
            try:
                yield
            finally:
                process.terminate()
                speaker.join()


def _pour(pipe, pcm) -> None:
    try:
        pipe.write(pcm)
        pipe.close()
    except BrokenPipeError:
        pass  # the test had heard enough


class Recording:
    """Sound and when it was heard, by the clock that pages know too (seconds since 1970)."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        # The least time at which the first sample can have been heard: chunks come late, never early.
        self._began = float("inf")

    def read(self, pipe) -> None:
        while chunk := pipe.read1(65_536):
            self._pcm += chunk
            self._began = min(self._began, time.time() - len(self._pcm) / 2 / RATE)

    def since(self, at: float = 0.0) -> np.ndarray:
        """What was heard after that time, from -1 to 1."""
        start = max(0, int((at - self._began) * RATE)) if self._pcm else 0
        return np.frombuffer(bytes(self._pcm[: len(self._pcm) // 2 * 2]), "<i2")[start:] / 32768

    def last_sound(self, threshold: float = 0.003) -> float:
        """When the last sample above the threshold was heard; 0 where none was."""
        (loud,) = np.nonzero(np.abs(self.since()) > threshold)
        return self._began + float(loud[-1]) / RATE if loud.size else 0.0


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


@contextmanager
def running_pulse(folder: Path) -> Iterator[Pulse]:
    """Start a server whose socket and state are in `folder`; no D-Bus, no sound card, root or not."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    socket = folder / "pulse"
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime), "PULSE_SERVER": f"unix:{socket}"}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
        environment.pop(name, None)
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
    for module in (
        f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
        f"module-null-sink sink_name=loudspeaker rate={RATE} channels=2",
        *(f"module-null-sink sink_name={name}_mouth rate={RATE} channels=1" for name in MICROPHONES),
    ):
        command += ["-L", module]
    with (folder / "pulse.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not socket.exists():
            assert process.poll() is None, (folder / "pulse.log").read_text()
            assert time.monotonic() < deadline, "PulseAudio opened no socket"
            time.sleep(0.02)
        yield Pulse(environment)
    finally:
        process.terminate()
        process.wait()
