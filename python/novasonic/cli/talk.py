"""``novasonic talk``: a recording in, the conversation on the screen, the answer in a file."""

from __future__ import annotations

import asyncio
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

import novasonic
from novasonic._wav import WavReader
from novasonic.audio import SAMPLE_BYTES, read_wav

if TYPE_CHECKING:
    from novasonic.session import Session

__all__ = ["talk"]

_RATES = (8_000, 16_000, 24_000)

# Nothing says that no further turn comes. After the recording a model that has answered gets this long to begin
# another answer, one that has not yet said anything the other.
_QUIET_SECONDS = 3.0
_NO_ANSWER_SECONDS = 20.0
_PROGRESS_SECONDS = 0.1


@click.command(short_help="Send a recording and hear the answer.")
@click.argument("recording", metavar="IN.wav", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("answer", metavar="[OUT.wav]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--endpoint-url", help="Another address of the service. Also from AWS_ENDPOINT_URL_BEDROCK_RUNTIME.")
@click.option(
    "--ca-bundle",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the certificate authorities to trust. Also from AWS_CA_BUNDLE.",
)
@click.option("--region", help="AWS region; by default as every AWS tool finds it.")
@click.option("--profile", help="Profile of the AWS configuration files.")
@click.option("--model", default=novasonic.NOVA_2_SONIC, show_default=True, help="Model id.")
@click.option("--voice", default="tiffany", show_default=True, help="Voice id.")
@click.option("--system", help="System prompt.")
@click.option(
    "--output-rate",
    type=click.Choice([str(rate) for rate in _RATES]),
    default="24000",
    show_default=True,
    help="Rate of OUT.wav in Hz.",
)
def talk(
    *,
    recording: Path,
    answer: Path | None,
    endpoint_url: str | None,
    ca_bundle: Path | None,
    region: str | None,
    profile: str | None,
    model: str,
    voice: str,
    system: str | None,
    output_rate: str,
) -> None:
    """Send the recording IN.wav as if it were spoken now, print both sides, write the answer to OUT.wav.

    IN.wav may be of any rate, width and number of channels. Credentials come from where every AWS tool finds them:
    AWS_ACCESS_KEY_ID and its like, the configuration files, the machine's role.

    Without an AWS account: run `novasonic emulator --brain voice`, paste the lines it prints into this shell, and
    say "tell me a story".

    Exit code 0: answered. 1: an error, which is printed with what to do about it. 2: wrong usage.
    """
    if answer is not None and answer.resolve() == recording.resolve():
        raise click.UsageError("IN.wav and OUT.wav are the same file.")
    try:
        with recording.open("rb") as file:
            recorded = WavReader(file, recording.name).rate
        # As it is where the service takes it so.
        rate = recorded if recorded in _RATES else 16_000
        seconds = len(read_wav(recording, rate)) / (SAMPLE_BYTES * rate)
        client = novasonic.NovaSonic(region=region, profile=profile, endpoint_url=endpoint_url, ca_bundle=ca_bundle)
        conversation = _Conversation(Console(highlight=False), seconds)
        try:
            connecting = client.connect(
                model=model, voice=voice, system=system, input_rate=rate, output_rate=int(output_rate)
            )
            asyncio.run(conversation.hold(connecting, recording))
        finally:
            # What was said before an error or Ctrl-C is kept too.
            if answer is not None and conversation.audio:
                _write(answer, bytes(conversation.audio), int(output_rate))
                click.echo(f"{answer}: {len(conversation.audio) / (SAMPLE_BYTES * int(output_rate)):.1f} s", err=True)
    except (novasonic.NovaSonicError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not conversation.turns:
        raise click.ClickException(
            f"No answer came within {_NO_ANSWER_SECONDS:.0f} s of the recording's end. Is there speech in {recording}?"
        )


@dataclass(slots=True)
class _Conversation:
    """One conversation, as it is printed and kept."""

    console: Console
    seconds: float
    turns: int = 0
    audio: bytearray = field(default_factory=bytearray)
    _is_open: bool = False
    _told: set[tuple[int | None, str, int]] = field(default_factory=set)
    _last_event: float = field(default_factory=time.monotonic)

    async def hold(self, connecting: novasonic.Connecting, recording: Path) -> None:
        # Where the output is no terminal, the transcript alone is printed.
        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            bar = progress.add_task("connecting", total=None)
            async with connecting as session:
                feeding = session.feed(recording)
                reading = asyncio.create_task(self._read(session))
                try:
                    await self._until_over(session, feeding, reading, progress, bar)
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)

    async def _until_over(
        self,
        session: Session,
        feeding: asyncio.Task[None],
        reading: asyncio.Task[None],
        progress: Progress,
        bar: TaskID,
    ) -> None:
        while not reading.done() and not (feeding.done() and self._is_over()):
            sent = session.stats().sent_audio_ms / 1_000
            description = "speaking" if sent < self.seconds else "listening"
            progress.update(bar, description=description, completed=sent, total=self.seconds)
            await asyncio.wait({reading}, timeout=_PROGRESS_SECONDS)
        if reading.done():
            await reading

    def _is_over(self) -> bool:
        if self._is_open:
            return False
        return time.monotonic() - self._last_event > (_QUIET_SECONDS if self.turns else _NO_ANSWER_SECONDS)

    async def _read(self, session: Session) -> None:
        async for event in session:
            self._last_event = time.monotonic()
            match event:
                case novasonic.AudioOutput(pcm=pcm):
                    self.audio += pcm
                case novasonic.Transcript():
                    self._tell(event)
                case novasonic.TurnStarted():
                    self._is_open = True
                case novasonic.TurnEnded(interrupted=interrupted):
                    self._is_open = False
                    self.turns += 1
                    if interrupted:
                        self.console.print(Text("(interrupted)", style="dim"))

    def _tell(self, said: novasonic.Transcript) -> None:
        # The final text of a sentence repeats its first one, often long after; the first is the one that is news.
        key = (said.turn, said.role, said.segment)
        if key in self._told:
            return
        self._told.add(key)
        style = "bold cyan" if said.role == "user" else "bold green"
        self.console.print(Text.assemble((f"{said.role}: ", style), said.text), soft_wrap=True)


def _write(path: Path, pcm: bytes, rate: int) -> None:
    # Opened here: wave leaves a half-made writer behind where it cannot open a path, which complains when collected.
    with path.open("wb") as out, wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(rate)
        file.writeframes(pcm)
