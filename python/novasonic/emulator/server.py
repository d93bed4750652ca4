"""The emulator as Python programs start and stop it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import shutil
import tempfile
import threading
import warnings
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from novasonic import _core
from novasonic.client import NovaSonic
from novasonic.config import Credentials, Message
from novasonic.emulator._host import BrainHost
from novasonic.emulator._scenarios import scenario_path
from novasonic.emulator.reports import Recording, StreamReport
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from novasonic.emulator.faults import Fault
    from novasonic.emulator.turn import Brain

__all__ = ["Emulator"]

REGION = "us-east-1"
"""The region that `Emulator.client` signs for; the emulator itself takes any."""

_SCRIPT = "script:"
_SCENARIO = "scenario:"
_VOICE = "voice"
_BUILT_IN = ("echo", "parrot")
_LAST_PORT = 65_535


class Emulator:
    """Amazon Nova Sonic's wire on this machine: HTTP/2 and WebSockets, TLS, signatures, rules, voices and faults.

    Use it with ``async with`` (a Python brain then runs on the same event loop) or with plain ``with`` (it gets a
    thread and an event loop of its own). It answers only from what the current stream carries.

    Args:
        brain: Who answers: ``"echo"`` (each piece of audio at once), ``"parrot"`` (what was heard, after the pause),
            ``"script:FILE"`` (turns of a TOML file), ``"scenario:NAME"`` (a script that comes with the package; see
            `novasonic.emulator.scenarios`), ``"voice"`` (a storyteller that understands and speaks English; extra
            ``voice``), or ``async def brain(turn)``.
        verify: Check the signatures of requests and events.
        speed: 2.0: pauses, speech and time limits twice as fast.
        host: IP address to bind.
        port: Port of ``https``; 0: any free one.
        http_port: Port without TLS (HTTP/2 with prior knowledge, or a WebSocket); 0: any free one.
        san: Further names and addresses for the certificate, beside localhost, 127.0.0.1 and ::1.
        headers: When response headers are sent: ``"first-event"``, as the service does, or ``"immediately"``.
        allow_remote: Allow a `host` that other machines can reach.
        max_streams: HTTP/2 streams that one connection may carry at a time; an account's quota is `Fault.quota`.
        idle_limit: Seconds without audio or text after which a stream is ended (service: 55 s).
        stream_limit: Seconds after which a stream is ended (service: 480 s).
        faults: What goes wrong, and where; a script may bring more (``[[fault]]``).
        record: Keep what clients send, for `recording`.
        credentials: The only keys accepted where `verify` is true, with the accounts under them (`account`); None: a
            pair of the emulator's own.
        on_log: Called with each line of the log, which goes to the logger ``novasonic.emulator`` too.

    Raises:
        ConfigError: A setting is wrong, or the extra that a brain needs is missing.
        OSError: On entering: a port is taken, or a script cannot be read.
    """

    def __init__(
        self,
        brain: str | Brain = "parrot",
        *,
        verify: bool = True,
        speed: float = 1.0,
        host: str = "127.0.0.1",
        port: int = 0,
        http_port: int = 0,
        san: Iterable[str] = (),
        headers: Literal["first-event", "immediately"] = "first-event",
        allow_remote: bool = False,
        max_streams: int = 100,
        idle_limit: float = 55.0,
        stream_limit: float = 480.0,
        faults: Iterable[Fault] = (),
        record: bool = False,
        credentials: Credentials | None = None,
        on_log: Callable[[str], None] | None = None,
    ) -> None:
        if isinstance(san, str):
            raise _config_error("san is a string, not a list of names.")
        for what, number in (("port", port), ("http_port", http_port)):
            if not 0 <= number <= _LAST_PORT:
                raise _config_error(f"{what} is {number}, not a number from 0 to {_LAST_PORT}.")
        self.credentials = credentials or Credentials(
            "AKIDEMULATORNOTAWS00",
            "the-emulators-secret-opens-no-door-at-aws",
        )
        self._prepare: Callable[[], None] | None = None
        if brain == _VOICE:
            from novasonic.emulator.voice import VoiceBrain

            brain = VoiceBrain()
            self._prepare = brain.prepare
        self._brain, name, script = _choose(brain)
        self._settings: dict[str, Any] = {
            "brain": name,
            "script": script,
            "host": host,
            "port": port,
            "http_port": http_port,
            "allow_remote": allow_remote,
            "sans": list(san),
            "verify": verify,
            "access_key_id": self.credentials.access_key_id,
            "secret_access_key": self.credentials.secret_access_key,
            "headers": headers,
            "speed": float(speed),
            "max_streams": max_streams,
            "idle_limit": float(idle_limit),
            "stream_limit": float(stream_limit),
            "faults": [json.dumps(fault.to_dict()) for fault in faults],
            "record": record,
        }
        self._host = host
        self._on_log = on_log
        self._core: _core.Emulator | None = None
        self._brain_host: BrainHost | None = None
        self._thread: _LoopThread | None = None
        self._directory: Path | None = None
        self._remove_directory: weakref.finalize[..., Any] | None = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        state = "not started" if self._core is None else "stopped" if self._brain_host is None else self.url
        return f"<novasonic.emulator.Emulator {state}>"

    # Where it is.

    @property
    def url(self) -> str:
        """``https://`` address: the ``endpoint_url`` of a client that trusts `ca_bundle`."""
        return f"https://{self._address()}:{self._started().https_port}"

    @property
    def http_url(self) -> str:
        """``http://`` address, for HTTP/2 with prior knowledge and for WebSockets."""
        return f"http://{self._address()}:{self._started().http_port}"

    @property
    def control_url(self) -> str:
        """``http://`` address of the control interface (HTTP/1.1, loopback); see docs/reference/emulator-faults.md."""
        return f"http://127.0.0.1:{self._started().control_port}"

    @property
    def control_token(self) -> str:
        """What each request to `control_url` must bear: ``Authorization: Bearer <token>``."""
        return self._started().control_token

    @property
    def ca_bundle(self) -> str:
        """Path of a PEM file with the certificate authority of this emulator; gone when it stops."""
        self._started()
        return str(self._directory / "ca.pem") if self._directory is not None else ""

    @property
    def ca_pem(self) -> str:
        """What `ca_bundle` holds."""
        return self._started().ca_pem

    @property
    def streams(self) -> tuple[StreamReport, ...]:
        """Every stream so far, live and ended (the last 10,000)."""
        return tuple(StreamReport(**report) for report in self._started().streams())

    def recording(self, stream_id: int) -> Recording | None:
        """Return what a client sent on one of `streams`; None where there is none, or ``record`` was not asked for."""
        kept = self._started().recording(stream_id)
        if kept is None:
            return None
        pcm, system, history, typed, tool_results, truncated = kept
        return Recording(
            pcm=pcm,
            system=system,
            history=tuple(Message(cast("Any", role), text) for role, text in history if text.strip()),
            typed=tuple(typed),
            tool_results=tuple(tool_results),
            truncated=truncated,
        )

    def account(self, name: str) -> Credentials:
        """Return keys for an account of its own, which faults and quotas can be for.

        They are the emulator's own with `name` behind the key id: any name will do, none needs to be registered.

        Args:
            name: Of letters, digits, ``-`` and ``_``; empty: the emulator's own keys.

        Raises:
            ConfigError: ``code="invalid_emulator"``: another character.
        """
        if not all(char.isascii() and (char.isalnum() or char in "-_") for char in name):
            raise _config_error(f"The account {name!r} has something other than letters, digits, - and _ in its name.")
        if not name:
            return self.credentials
        own = self.credentials
        return Credentials(f"{own.access_key_id}_{name}", own.secret_access_key, own.session_token, own.expires_at)

    def client(self, *, http: bool = False, account: str = "") -> NovaSonic:
        """Return a client of this emulator, which shares no connection with any other.

        Args:
            http: Use the cleartext port instead of TLS.
            account: Whose keys it signs with; see `account`.
        """
        return NovaSonic(
            region=REGION,
            credentials=self.account(account),
            endpoint_url=self.http_url if http else self.url,
            ca_bundle=None if http else self.ca_bundle,
        )

    # What goes wrong.

    def add_faults(self, *faults: Fault) -> None:
        """Set faults for streams that are opened from now on.

        Raises:
            ConfigError: ``code="invalid_fault"``: one of them is impossible; none was set.
        """
        with _fault_errors():
            self._started().add_faults([json.dumps(fault.to_dict()) for fault in faults])

    def clear_faults(self) -> None:
        """Set no faults any more. Streams that are open keep theirs."""
        self._started().clear_faults()

    def commit(self, fault: Fault) -> int:
        """Commit a fault at once on all live streams (of its account).

        Args:
            fault: Without a place, and not about opening a stream.

        Returns:
            How many streams were told.

        Raises:
            ConfigError: ``code="invalid_fault"``: it has a place, or is about opening a stream.
        """
        with _fault_errors():
            return self._started().commit(json.dumps(fault.to_dict()))

    # Its life.

    async def __aenter__(self) -> Self:
        self._brain_host = await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the turns of a Python brain, end all streams, remove the certificate. A second call does nothing."""
        host, self._brain_host = self._brain_host, None
        if host is None or self._pid != os.getpid():
            return
        try:
            await host.aclose()
        finally:
            self._clean_up()

    def __enter__(self) -> Self:
        thread = _LoopThread()
        try:
            self._brain_host = thread.run(self._open())
        except BaseException:
            thread.stop()
            raise
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End what ``with`` began, as `aclose` does. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        try:
            thread.run(self.aclose())
        finally:
            thread.stop()

    def __del__(self) -> None:
        host = getattr(self, "_brain_host", None)
        if host is None or self._pid != os.getpid():
            return
        warnings.warn(f"{self!r} was never stopped", ResourceWarning, source=self, stacklevel=2)
        # A loop that is closed has forgotten its readers; the core stops with its last reference.
        with suppress(RuntimeError):
            host.loop.call_soon_threadsafe(host.abandon)
        if self._thread is not None:
            self._thread.abandon()
        self._clean_up()

    async def _open(self) -> BrainHost:
        if self._core is not None:
            raise ConfigError(
                "This emulator was started before.", code="emulator_restarted", cure="Make a new one for each use."
            )
        if self._prepare is not None:
            await asyncio.to_thread(self._prepare)
        try:
            core = await asyncio.to_thread(_core.Emulator, **self._settings)
        except (ValueError, OverflowError, TypeError) as error:
            raise _config_error(f"The emulator cannot start: {error}.") from error
        self._core = core
        self._directory = Path(tempfile.mkdtemp(prefix="novasonic-emulator-"))
        self._remove_directory = weakref.finalize(self, _remove, self._directory, self._pid)
        (self._directory / "ca.pem").write_text(core.ca_pem, encoding="ascii")
        return BrainHost(core, self._brain, self._on_log)

    def _clean_up(self) -> None:
        if self._remove_directory is not None:
            self._remove_directory()

    def _started(self) -> _core.Emulator:
        if self._core is None:
            raise ConfigError(
                "This emulator was not started.",
                code="emulator_not_started",
                cure="Use it with `with` or `async with`.",
            )
        return self._core

    def _address(self) -> str:
        address = ipaddress.ip_address(self._host)
        if address.is_unspecified:
            # Bound to every interface; this machine reaches it over loopback.
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        return f"[{address}]" if address.version == 6 else str(address)


class _LoopThread:
    """An event loop in a thread of its own, for programs that have none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program which forgets to stop it still exits.
        self._thread = threading.Thread(target=self._main, name="novasonic-emulator-brain", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        self.abandon()
        self._thread.join()

    def abandon(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def _choose(brain: str | Brain) -> tuple[Brain | None, str, str | None]:
    """The Python brain if any, the name for the core, the script's path."""
    if not isinstance(brain, str):
        if not callable(brain):
            raise _config_error(f"brain is a {type(brain).__name__}; give a name or `async def brain(turn)`.")
        return brain, "host", None
    if brain in _BUILT_IN:
        return None, brain, None
    if brain.startswith(_SCRIPT) and len(brain) > len(_SCRIPT):
        return None, "script", brain.removeprefix(_SCRIPT)
    if brain.startswith(_SCENARIO):
        return None, "script", scenario_path(brain.removeprefix(_SCENARIO))
    raise _config_error(
        f'No brain is called {brain!r}. There are "echo", "parrot", "script:FILE", "scenario:NAME" and "voice".'
    )


@contextmanager
def _fault_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{error}.", code="invalid_fault") from error


def _remove(directory: Path, pid: int) -> None:
    # A fork inherits the finalizer, but the directory is its parent's.
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def _config_error(message: str) -> ConfigError:
    return ConfigError(message, code="invalid_emulator")
