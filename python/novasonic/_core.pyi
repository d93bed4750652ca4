# The Rust core. Documentation is on the facade: client.py and session.py.

from collections.abc import Awaitable, Sequence
from os import PathLike
from typing import Any, Final, final

__all__ = ["ERROR_CLASSES", "EVENT_FIELDS", "Client", "Emulator", "Session", "__version__", "resample"]

__version__: Final[str]
ERROR_CLASSES: Final[list[str]]
EVENT_FIELDS: Final[list[tuple[str, list[str]]]]

@final
class Client:
    def __new__(
        cls,
        *,
        region: str | None,
        profile: str | None,
        credentials: tuple[str, str, str | None, float | None] | None,
        ask_credentials: bool,
        endpoint_url: str | None,
        ca_bundle: str | PathLike[str] | None,
        allow_insecure: bool,
    ) -> Client: ...
    def open(
        self,
        *,
        model: str,
        regions: Sequence[str],
        system: str | None,
        voice: str,
        input_rate: int,
        output_rate: int,
        turn_taking: str | None,
        max_tokens: int | None,
        top_p: float | None,
        temperature: float | None,
        tools: Sequence[tuple[str, str, str]],
        tool_choice: str | None,
        history: Sequence[tuple[str, str]],
        input_buffer: float,
        output_buffer: float,
        open_timeout: float,
        close_timeout: float,
        realtime: bool,
        prices: tuple[float, float, float, float],
        limits: tuple[float | None, float | None, int | None, float | None],
    ) -> Session: ...

@final
class Session:
    @property
    def fd(self) -> int: ...
    @property
    def id(self) -> str: ...
    def opened(self) -> Awaitable[Any]: ...
    def drain(self, max_events: int) -> tuple[list[tuple[Any, ...]], list[tuple[int, str, Any]], bool, int | None]: ...
    def try_send_audio(self, pcm: bytes) -> bool: ...
    def send_audio_or_want_room(self, pcm: bytes) -> bool: ...
    def send_text(self, text: str) -> None: ...
    def prompt(self, token: int, text: str) -> None: ...
    def send_tool_result(self, tool_use_id: str, result: str, ok: bool) -> None: ...
    def played(self, turn: int, seconds: float) -> None: ...
    def turns(self) -> list[tuple[Any, ...]]: ...
    def turn(self, number: int) -> tuple[Any, ...] | None: ...
    def mute(self, muted: bool) -> None: ...
    def interrupt(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def answer_credentials(
        self,
        request_id: int,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        expires_at: float | None,
    ) -> None: ...
    def answer_failed(self, request_id: int, reason: str) -> None: ...
    def stats(self) -> dict[str, int]: ...

@final
class Emulator:
    def __new__(
        cls,
        *,
        brain: str,
        script: str | PathLike[str] | None,
        host: str,
        port: int,
        http_port: int,
        allow_remote: bool,
        sans: Sequence[str],
        verify: bool,
        access_key_id: str,
        secret_access_key: str,
        headers: str,
        speed: float,
        max_streams: int,
        idle_limit: float,
        stream_limit: float,
        faults: Sequence[tuple[int, str, str, str, int]],
    ) -> Emulator: ...
    @property
    def https_port(self) -> int: ...
    @property
    def http_port(self) -> int: ...
    @property
    def ca_pem(self) -> str: ...
    @property
    def fd(self) -> int: ...
    def drain(self, max_notices: int) -> tuple[list[tuple[Any, ...]], list[str], bool]: ...
    def heard(self, turn_id: int, text: str) -> bool: ...
    def say(self, turn_id: int, text: str, pcm: bytes | None) -> bool: ...
    def call(self, turn_id: int, call_id: int, name: str, arguments: str) -> bool: ...
    def done(self, turn_id: int) -> bool: ...
    def failed(self, turn_id: int, reason: str) -> bool: ...
    def streams(self) -> list[tuple[int, int, str, str, str | None, list[str], int, int, str | None]]: ...
    def stop(self) -> None: ...

def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes: ...
