"""``novasonic demo``: a page to talk on, with the emulator beside it as its own process."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import getpass
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

# Here, though the site and the server need most of them: what is missing is told before anything starts.
import channels  # noqa: F401
import click
import django  # noqa: F401
import uvicorn
import websockets  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOCK_APP = "novasonic.contrib.django.demo.asgi:application"
PORTS_TO_TRY = 20
LAST_PORT = 65_535
EMULATOR_START_SECONDS = 60.0
EMULATOR_STOP_SECONDS = 5.0
SOCKETS_STOP_SECONDS = 3
PR_SET_PDEATHSIG = 1


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, LAST_PORT),
    help="Port to serve on; a taken one moves on to the next.",
)
@click.option("--app", "app_name", default=STOCK_APP, metavar="MODULE:ATTR", help="ASGI application of a Django site.")
@click.option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the site's package.",
)
@click.option("--aws", is_flag=True, help="Talk to Amazon Bedrock with your AWS credentials; no emulator.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def demo(*, host: str, port: int, app_name: str, app_dir: Path | None, aws: bool, no_browser: bool) -> None:
    """Serve a page to talk on.

    The voice is the emulator's offline stand-in, not Nova; with --aws the same page talks to Amazon Nova Sonic.
    Ctrl-C stops everything.
    """
    started_at = float(os.environ.get("NOVASONIC_DEMO_STARTED") or time.time())  # `make demo` counts its build too
    # As Ctrl-C does: through every `finally`, so that no process and no folder is left behind.
    signal.signal(signal.SIGTERM, _interrupt)
    if app_dir is not None:
        sys.path.insert(0, str(app_dir.resolve()))
    try:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(contextlib.closing(listen(host, port)))
            port = listener.getsockname()[1]
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="novasonic-demo-")))
            os.environ["NOVASONIC_DEMO_STATE"] = str(state)
            os.environ["NOVASONIC_DEMO_HOSTS"] = ",".join(host_names(host))
            emulator = None if aws else stack.enter_context(running_emulator())
            application = load_site(app_name)

            def ready() -> None:
                greet(host, port, time.time() - started_at, emulated=not aws)
                if not no_browser and can_open_browser(host):
                    open_browser(f"http://localhost:{port}/")

            server = make_server(application, ready)
            if emulator is not None:
                stop_with(emulator, server)
            server.run(sockets=[listener])
            if emulator is not None and emulator.poll() is not None:
                raise click.ClickException("The emulator ended by itself; what it said is above.")
    except KeyboardInterrupt:
        click.echo("\nStopped.")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket on `port` or the next free one after it.

    Raises:
        click.ClickException: Nothing can be served on this host, or all ports tried are taken.
    """
    for candidate in range(port, min(port + PORTS_TO_TRY, LAST_PORT + 1)) if port else [0]:
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise click.ClickException(f"Cannot serve on {host!r}: {error.strerror}.") from None
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            # At once: two sockets that only bind may share a port, and the second to listen fails.
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise click.ClickException(f"Cannot serve on {host} port {candidate}: {error.strerror}.") from None
            click.echo(f"Port {candidate} is taken.")
        else:
            return listener
    raise click.ClickException(f"Port {port} and those after it are taken; choose another with --port.")


def host_names(host: str) -> list[str]:
    """Name the hosts a browser may ask for when the site is served on `host`."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        names.append(socket.gethostname().lower())
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which of our addresses leads outside
            names.append(probe.getsockname()[0])
    else:
        names.append(f"[{host}]" if ":" in host else host.lower())
    return names


@contextlib.contextmanager
def running_emulator() -> Iterator[subprocess.Popen[bytes]]:
    """Run the emulator with the offline voice and point this process's AWS settings at it.

    Its own session: Ctrl-C in the terminal reaches the demo alone, which then stops it.

    Raises:
        click.ClickException: It did not start.
    """
    command = [sys.executable, "-m", "novasonic", "emulator", "--json", "--brain", "voice"]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    try:
        told = first_line(process)
        os.environ |= {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": told["https"],
            "AWS_CA_BUNDLE": told["ca"],
            "AWS_REGION": told["region"],
            "AWS_ACCESS_KEY_ID": told["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": told["secret_access_key"],
        }
        # It would be sent beside keys it does not belong to.
        os.environ.pop("AWS_SESSION_TOKEN", None)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(EMULATOR_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    # For a demo that is killed without a chance to clean up.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Read what the emulator tells when it is ready.

    Raises:
        click.ClickException: It ended or said nothing in time.
    """
    assert process.stdout is not None  # noqa: S101 - opened as a pipe
    readable, _, _ = select.select([process.stdout], [], [], EMULATOR_START_SECONDS)
    line = process.stdout.readline() if readable else b""
    try:
        told: dict[str, Any] = json.loads(line)
    except ValueError:
        raise click.ClickException("The emulator did not start; what it said is above.") from None
    return told


def load_site(name: str) -> Any:
    """Import the ASGI application and bring its database up to date.

    Raises:
        click.ClickException: There is no such application.
    """
    module_name, _, attribute = name.partition(":")
    try:
        application = getattr(importlib.import_module(module_name), attribute)
        from django.core.management import call_command
        from django.db import connections
    except (ImportError, AttributeError, ValueError) as error:
        raise click.ClickException(f"Cannot load {name}: {error}") from error
    call_command("migrate", verbosity=0, interactive=False)
    connections.close_all()
    return application


def make_server(application: Any, ready: Callable[[], None]) -> uvicorn.Server:
    """Build the web server; `ready` is called once it accepts connections."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    return Server(
        uvicorn.Config(
            application,
            ws_max_size=131_072,
            # PCM does not shrink by deflate, which costs more than everything else on the way.
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=SOCKETS_STOP_SECONDS,
        )
    )


def stop_with(process: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    """Stop the server when the emulator ends: a page without a voice is no demo."""

    def watch() -> None:
        process.wait()
        server.should_exit = True

    threading.Thread(target=watch, name="novasonic-demo-emulator", daemon=True).start()


def greet(host: str, port: int, seconds: float, *, emulated: bool) -> None:
    """Print the address, and what stands in the microphone's way."""
    click.echo(f"Ready in {seconds:.1f} s. Open http://localhost:{port}/ and talk. Ctrl-C stops it.")
    if emulated:
        click.echo("The voice is the offline emulator's, not Nova; the page lists what it understands.")
    if hint := ssh_hint(host, port):
        click.echo(hint)


def ssh_hint(host: str, port: int) -> str | None:
    """Say how to reach the page from another machine, where the microphone needs more than a plain address."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    if is_loopback(host) and not connection:
        return None
    server, ssh_port = connection[2:4] if len(connection) == 4 else (socket.gethostname(), "22")
    other_port = "" if ssh_port == "22" else f"-p {ssh_port} "
    return (
        "Browsers give the microphone only to https or localhost. From another machine, run there\n"
        f"    ssh {other_port}-L {port}:localhost:{port} {getpass.getuser()}@{server}\n"
        f"and open http://localhost:{port}/ on it."
    )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_browser(url: str) -> None:
    """Open `url` in the user's browser, which may take as long as it likes.

    ``webbrowser`` waits for the program that BROWSER names to end; waiting here, nobody would serve it the page.
    """
    threading.Thread(target=webbrowser.open, args=(url,), name="novasonic-demo-browser", daemon=True).start()


def can_open_browser(host: str) -> bool:
    """Say whether a browser opened here would be in front of the user."""
    if not is_loopback(host) or os.environ.get("SSH_CONNECTION"):
        return False
    # Without a display `webbrowser` may start a text browser in this terminal.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
