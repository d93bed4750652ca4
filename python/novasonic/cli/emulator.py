"""``novasonic emulator``: the service's stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import json
import queue
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from novasonic.emulator import Emulator, Fault, scenarios
from novasonic.emulator.server import REGION
from novasonic.exceptions import NovaSonicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from novasonic.emulator import StreamReport

__all__ = ["emulator"]

# A reader that stops must not stop the emulator; it misses events then.
_LINES_KEPT = 1_000
_FLUSH_SECONDS = 1.0


def _list_scenarios(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        listed = scenarios()
        width = max(map(len, listed))
        for name, description in listed.items():
            click.echo(f"{name:{width}}  {description}")
        context.exit()


@click.command(short_help="Run the service's stand-in on this machine.")
@click.option("--host", default="127.0.0.1", show_default=True, help="IP address to bind.")
@click.option("--port", default=0, show_default="any free one", type=click.IntRange(0, 65535), help="Port of https.")
@click.option(
    "--http-port",
    default=0,
    show_default="any free one",
    type=click.IntRange(0, 65535),
    help="Port of cleartext HTTP/2 (prior knowledge).",
)
@click.option(
    "--ca-out",
    type=click.Path(dir_okay=False, resolve_path=True, path_type=Path),
    help="Write the certificate authority to this file as well; it stays when the emulator stops.",
)
@click.option("--san", multiple=True, metavar="NAME", help="A further name or address for the certificate; repeatable.")
@click.option(
    "--brain",
    default="parrot",
    show_default=True,
    metavar="BRAIN",
    help="Who answers: echo, parrot, voice (hears and speaks English; extra voice), script:FILE or scenario:NAME.",
)
@click.option(
    "--list-scenarios",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_scenarios,
    help="Print the scenarios.",
)
@click.option("--no-auth", is_flag=True, help="Check no signatures: any credentials will do.")
@click.option(
    "--headers",
    type=click.Choice(["first-event", "immediately"]),
    default="first-event",
    show_default=True,
    help="When response headers are sent; the service sends them after the first event.",
)
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="2: twice as fast."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="What goes wrong: 'KIND key=value ...', as 'tcp_reset after_output=12', or a JSON object; repeatable.",
)
@click.option("--record", is_flag=True, help="Keep what clients send, for the control interface.")
@click.option(
    "--stream-limit",
    default=480.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds (divided by --speed) after which a stream is ended.",
)
@click.option(
    "--idle-limit",
    default=55.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds (divided by --speed) without audio or text after which a stream is ended.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: first the addresses, then one for each event.")
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach.")
def emulator(
    *,
    host: str,
    port: int,
    http_port: int,
    ca_out: Path | None,
    san: tuple[str, ...],
    brain: str,
    no_auth: bool,
    headers: Literal["first-event", "immediately"],
    speed: float,
    faults: tuple[str, ...],
    record: bool,
    stream_limit: float,
    idle_limit: float,
    as_json: bool,
    allow_remote: bool,
) -> None:
    """Run the service's stand-in on this machine: the same wire, no AWS.

    It prints the environment variables that point any AWS SDK at it, `novasonic talk` included. Ctrl-C or SIGTERM
    stops it.

    With --json the first line is {"https", "http", "ca", "region", "access_key_id", "secret_access_key", "control_url",
    "control_token"}; then come {"event": "opened" | "ended" | "notice", ...}. Faults can be set while it runs:
    docs/reference/emulator-faults.md.
    """
    lines = _Lines(sys.stdout)
    tell = _JsonTeller(lines) if as_json else _PlainTeller(lines)
    try:
        made = Emulator(
            brain,
            verify=not no_auth,
            speed=speed,
            faults=[Fault.parse(fault) for fault in faults],
            record=record,
            stream_limit=stream_limit,
            idle_limit=idle_limit,
            host=host,
            port=port,
            http_port=http_port,
            san=san,
            headers=headers,
            allow_remote=allow_remote,
            on_log=lambda line: tell.log(line, made.streams),
        )
        asyncio.run(_serve(made, ca_out, tell.ready))
    except (NovaSonicError, OSError) as error:
        raise click.ClickException(_explained(error)) from error
    finally:
        lines.close()


async def _serve(made: Emulator, ca_out: Path | None, ready: Callable[[Emulator, str], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with made:
        if ca_out is not None:
            await asyncio.to_thread(ca_out.write_text, made.ca_pem, encoding="ascii")
        ready(made, made.ca_bundle if ca_out is None else str(ca_out))
        await stopped.wait()


class _PlainTeller:
    """For people: how to reach the emulator, then one line for each session's news."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    def ready(self, made: Emulator, ca: str) -> None:
        settings = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": made.url,
            "AWS_CA_BUNDLE": ca,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": made.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": made.credentials.secret_access_key,
        }
        exports = "\n".join(f"    export {name}={shlex.quote(value)}" for name, value in settings.items())
        self._lines.put(
            f"EMULATOR, not AWS: {made.url} (cleartext HTTP/2: {made.http_url})\n"
            f"Point a client at it, in its shell:\n\n{exports}\n\n"
            "then for instance: novasonic talk question.wav answer.wav\nCtrl-C stops it."
        )

    def log(self, line: str, streams: tuple[StreamReport, ...]) -> None:
        self._lines.put(line)


class _JsonTeller:
    """For programs: the addresses, then what happened to streams; anything else that was logged as a notice."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._opened: set[int] = set()
        self._ended: set[int] = set()

    def ready(self, made: Emulator, ca: str) -> None:
        self._put(
            https=made.url,
            http=made.http_url,
            ca=ca,
            region=REGION,
            access_key_id=made.credentials.access_key_id,
            secret_access_key=made.credentials.secret_access_key,
            control_url=made.control_url,
            control_token=made.control_token,
        )

    def log(self, line: str, streams: tuple[StreamReport, ...]) -> None:
        told = False
        for stream in streams:
            if stream.stream_id not in self._opened:
                self._opened.add(stream.stream_id)
                told = True
                self._put(
                    event="opened", stream=stream.stream_id, connection=stream.connection_id, model=stream.model_id
                )
            if stream.ended is not None and stream.stream_id not in self._ended:
                self._ended.add(stream.stream_id)
                told = True
                self._put(
                    event="ended",
                    stream=stream.stream_id,
                    reason=stream.ended,
                    audio_bytes=stream.audio_bytes,
                    output_audio_bytes=stream.output_audio_bytes,
                )
        if not told:
            self._put(event="notice", message=line)

    def _put(self, **fields: Any) -> None:
        self._lines.put(json.dumps(fields))


class _Lines:
    """Writes lines from a thread, so that a pipe that nobody reads stops nothing but the lines."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._queue: queue.Queue[str | None] = queue.Queue(_LINES_KEPT)
        self._thread = threading.Thread(target=self._write, name="novasonic-emulator-lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            return

    def close(self) -> None:
        self.put_end()
        self._thread.join(_FLUSH_SECONDS)

    def put_end(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                print(line, file=self._file, flush=True)
            except (OSError, ValueError):
                # The reader is gone. The emulator serves others too.
                return


def _explained(error: NovaSonicError | OSError) -> str:
    if isinstance(error, OSError) and "in use" in str(error):
        return f"{error}. Choose another --port and --http-port, or none: then any free one is taken."
    return str(error)
