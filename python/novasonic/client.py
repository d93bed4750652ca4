"""The way in: a configured client, and the sessions it opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from novasonic import _core
from novasonic._bridge import Bridge
from novasonic._credentials import credentials_row
from novasonic._opening import Opening
from novasonic._overlap import Overlap, require_overlap
from novasonic._settings import (
    continuation_row,
    history_rows,
    limits_row,
    require_count,
    require_first_turn,
    require_rate,
    require_region,
    require_share,
    require_text,
    require_turn_taking,
    timeouts_row,
    tool_choice_name,
)
from novasonic._toolbox import Toolbox
from novasonic.catalog import regions_of
from novasonic.config import (
    CONTINUATION,
    NOVA_2_SONIC,
    Buffers,
    Continuation,
    Credentials,
    Limits,
    Message,
    Timeouts,
)
from novasonic.exceptions import ConfigError
from novasonic.prices import LIST_PRICES, Prices
from novasonic.session import Session
from novasonic.stream import OpeningStream, StreamBuffers
from novasonic.tools import ToolLimits

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from novasonic._credentials import CredentialsProvider
    from novasonic._overlap import MayOverlap, OverlapEnded
    from novasonic.tools import Tool

__all__ = ["Connecting", "NovaSonic"]


class NovaSonic:
    """Opens conversations with Amazon Nova Sonic.

    Reads no file and opens no connection before the first `connect`. One client may serve several event loops and
    threads; its sessions share connections. It does not survive a fork: create it in the process that uses it.

    Args:
        region: AWS region; None: as every AWS tool finds it.
        profile: Profile of the AWS configuration files, before any keys of the environment; None: as every AWS tool
            finds it.
        credentials: None: the default chain of AWS. `Credentials`: these. A callable, sync or async, without
            arguments: asked when a stream opens and the last keys near their end, or have none; a sync one runs in a
            thread.
        endpoint_url: Another address of the service: an emulator, a VPC endpoint. Also from
            ``AWS_ENDPOINT_URL_BEDROCK_RUNTIME``. ``http://`` is for loopback addresses.
        ca_bundle: PEM file of certificate authorities to trust instead of the system's. Also from ``AWS_CA_BUNDLE``.
        allow_insecure: Allow ``http://`` to other hosts.

    Raises:
        ConfigError: A setting is wrong.
    """

    __slots__ = ("_core", "_provider", "_shown")

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        credentials: Credentials | CredentialsProvider | None = None,
        endpoint_url: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        allow_insecure: bool = False,
    ) -> None:
        given = credentials if isinstance(credentials, Credentials) else None
        self._provider: CredentialsProvider | None = None
        if credentials is not None and not isinstance(credentials, Credentials):
            if not callable(credentials):
                raise ConfigError(
                    f"credentials is a {type(credentials).__name__}.",
                    code="invalid_credentials",
                    cure="Give novasonic.Credentials(...), a callable that returns one, or None.",
                )
            self._provider = credentials
        for name, value in (("region", region), ("profile", profile), ("endpoint_url", endpoint_url)):
            require_text(name, value, optional=True)
        require_region(region)
        self._core = _core.Client(
            region=region,
            profile=profile,
            credentials=None if given is None else credentials_row(given),
            ask_credentials=self._provider is not None,
            endpoint_url=endpoint_url,
            ca_bundle=ca_bundle,
            allow_insecure=allow_insecure,
        )
        self._shown = f"region={region!r}, endpoint_url={endpoint_url!r}"

    def __repr__(self) -> str:
        return f"<novasonic.NovaSonic {self._shown}>"

    def connect(
        self,
        *,
        model: str = NOVA_2_SONIC,
        system: str | None = None,
        voice: str = "tiffany",
        input_rate: int = 16_000,
        output_rate: int = 24_000,
        turn_taking: Literal["high", "medium", "low"] | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        temperature: float | None = None,
        tools: Iterable[Tool] = (),
        tool_choice: Tool | str | None = None,
        tool_limits: ToolLimits | None = None,
        context: Any = None,
        history: Iterable[Message] = (),
        first_turn: int = 1,
        continuation: Continuation | None = CONTINUATION,
        may_overlap: MayOverlap | None = None,
        overlap_ended: OverlapEnded | None = None,
        limits: Limits | None = None,
        prices: Prices | None = None,
        realtime: bool = True,
        buffers: Buffers | None = None,
        timeouts: Timeouts | None = None,
    ) -> Connecting:
        """Open a session: ``async with client.connect(...) as session``, or ``session = await client.connect(...)``.

        Whoever awaits it owns the session and calls ``await session.aclose()``. Opening ends with the service's
        response headers, bounded by ``Timeouts.open``. Cancelling it closes the stream that opens meanwhile.

        Args:
            model: Model id, one of `novasonic.models` or any other.
            system: System prompt.
            voice: Voice id, one of `novasonic.voices` or any other; the service refuses what it does not know.
            input_rate: Rate of the user's audio in Hz, 8000 to 192000. The service's own 8000, 16000 and 24000 go up
                untouched; any other is resampled to 16000.
            output_rate: Rate of the assistant's audio in Hz, 8000 to 192000; as `input_rate`, from 24000.
            turn_taking: How short a pause ends the user's turn: ``high`` (1.5 s), ``medium`` (1.75 s), ``low``
                (2 s, AWS Nova 2 user guide, "Turn taking"); None: the service's default.
            max_tokens: Bound on one reply; None: the service's default.
            top_p: Nucleus sampling, 0 to 1; None: the service's default.
            temperature: Randomness, 0 to 1; None: the service's default.
            tools: What the model may call. The session runs them beside the conversation and answers each call once.
            tool_choice: None: the model decides. ``"any"``: it must call some tool; a tool or its name: that one.
            tool_limits: What tools may take of the session.
            context: Given to tools as ``ToolContext.state``: who the conversation is with.
            history: An earlier conversation, which begins with a message of the user.
            first_turn: Number of the next turn, for a conversation that goes on from another process: events,
                transcript and all else that names a turn count from it.
            continuation: How the conversation outlives its streams; None: it ends with the first.
            may_overlap: For callers who count streams: a callable without arguments, sync (called in a thread) or
                async, asked for leave before the next stream is opened beside the present one. False, an exception,
                or no answer within 2 s: the present one is closed first, and nothing is heard for up to 2 s.
            overlap_ended: Called on the event loop once for each leave that `may_overlap` gave, when only one stream
                is left or the session has ended; a plain function that returns at once.
            limits: What the conversation may take before it is ended.
            prices: What tokens cost; None: the model's list price, of `NOVA_2_SONIC` where none is known.
            realtime: Send the user's audio at the pace of speech, a recording sent whole over its own length, and
                silence where no audio comes, so that the service hears pauses and never times out. False: as it
                comes, nothing added.
            buffers: How much audio may wait.
            timeouts: Bounds on waiting.

        Raises:
            ConfigError: A setting is wrong: at once where it shows by itself, when the session is opened where it
                takes files (region, profile, CA bundle). ``code="model_region"``: the model is known and not offered
                in the region; no connection was made. An ``endpoint_url`` of your own is not checked.
            CredentialsError: No credentials, credentials that have ended, or the callable failed (its exception is the
                cause).
            AccessDeniedError: The service refused them.
            CertificateError: The service's certificate is not trusted.
            ConnectError: No connection, or none through the proxy of ``HTTPS_PROXY``.
            OperationTimeout: ``Timeouts.open`` ran out.
            ThrottledError: Too many streams or requests.
            ValidationError: The service refused the request.
            ServiceError: The service failed.
            StreamLostError: The stream broke while it opened.
            ForkError: The client was made before a fork.
        """
        require_text("model", model)
        require_text("voice", voice)
        require_text("system", system, optional=True)
        require_rate("input_rate", input_rate)
        require_rate("output_rate", output_rate)
        require_turn_taking(turn_taking)
        require_count("max_tokens", max_tokens)
        require_share("top_p", top_p)
        require_share("temperature", temperature)
        require_first_turn(first_turn)
        require_overlap(may_overlap, overlap_ended)
        buffers = buffers or Buffers()
        prices = prices or Prices.of(model) or LIST_PRICES[NOVA_2_SONIC]
        timeouts = timeouts or Timeouts()
        setup = Setup(
            tuple(tools), tool_limits or ToolLimits(), context, prices, timeouts.close, may_overlap, overlap_ended
        )
        settings = {
            "model": model,
            "regions": regions_of(model),
            "system": system,
            "voice": voice,
            "input_rate": int(input_rate),
            "output_rate": int(output_rate),
            "turn_taking": turn_taking,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "temperature": temperature,
            "tools": setup.toolbox().specs,
            "tool_choice": tool_choice_name(tool_choice),
            "history": history_rows(history),
            "first_turn": first_turn,
            "input_buffer": buffers.input,
            "output_buffer": buffers.output,
            "timeouts": timeouts_row(timeouts),
            "realtime": bool(realtime),
            "prices": (prices.speech_in, prices.text_in, prices.speech_out, prices.text_out),
            "limits": limits_row(limits),
            "continuation": continuation_row(continuation),
            "asks_overlap": may_overlap is not None,
        }
        return Connecting(self._core, self._provider, settings, setup)

    def open_stream(
        self,
        *,
        model: str = NOVA_2_SONIC,
        buffers: StreamBuffers | None = None,
        timeouts: Timeouts | None = None,
    ) -> OpeningStream:
        """Open a raw stream: ``async with client.open_stream() as stream``, or ``await client.open_stream()``.

        For frameworks that speak the service's own language; for everything else there is `connect`. It returns at
        once, since the service answers only after the first event: send that without delay, ``Timeouts.open`` runs.
        What fails in the opening is raised by reading, by sending and by `RawStream.opened`.

        Args:
            model: Model id, one of `novasonic.models` or any other.
            buffers: How much JSON may wait.
            timeouts: Bounds on waiting.

        Raises:
            ConfigError: A setting is wrong.
            ForkError: On opening: the client was made before a fork.
        """
        require_text("model", model)
        buffers = buffers or StreamBuffers()
        timeouts = timeouts or Timeouts()
        settings = {
            "model": model,
            "regions": regions_of(model),
            "input_bytes": buffers.input,
            "output_bytes": buffers.output,
            "timeouts": timeouts_row(timeouts),
        }
        return OpeningStream(self._core, self._provider, settings, timeouts.close)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a session keeps on this side of the core."""

    tools: tuple[Tool, ...]
    tool_limits: ToolLimits
    context: Any
    prices: Prices
    close_timeout: float
    may_overlap: MayOverlap | None
    overlap_ended: OverlapEnded | None

    def toolbox(self, session_id: str = "") -> Toolbox:
        """Make the tools of one session."""
        return Toolbox(self.tools, self.tool_limits, context=self.context, session_id=session_id)


class Connecting(Opening[Session]):
    """A session to be opened: await it, or enter it."""

    __slots__ = ("_client", "_provider", "_settings", "_setup")

    def __init__(
        self, client: _core.Client, provider: CredentialsProvider | None, settings: dict[str, Any], setup: Setup
    ) -> None:
        super().__init__()
        self._client = client
        self._provider = provider
        self._settings = settings
        self._setup = setup

    async def _open(self) -> Session:
        core = self._client.open(**self._settings)
        input_rate = self._settings["input_rate"]
        toolbox = self._setup.toolbox(core.id)
        bridge = Bridge(
            core,
            input_rate=input_rate,
            provider=self._provider,
            toolbox=toolbox,
            first_turn=self._settings["first_turn"],
            overlap=Overlap(self._setup.may_overlap, self._setup.overlap_ended),
        )
        opened = False
        try:
            failure = await core.opened()
            opened = failure is None
        finally:
            if not opened:
                # Cancelled too: the stream that opens meanwhile is reset.
                bridge.dispose()
                await bridge.held.reap()
        if failure is not None:
            raise failure from bridge.held.provider_error
        return Session(
            bridge,
            input_rate=input_rate,
            close_timeout=self._setup.close_timeout,
            prices=self._setup.prices,
        )
