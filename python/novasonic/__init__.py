"""Live voice conversations with Amazon Nova Sonic.

::

    client = novasonic.NovaSonic()
    async with client.connect(system="You are a storyteller.") as session:
        session.feed("question.wav")
        async for event in session:
            match event:
                case novasonic.AudioOutput(pcm, rate): ...
                case novasonic.Transcript(role, text, final=True): ...
"""

from novasonic._core import __version__
from novasonic.catalog import Model, Voice, models, voices
from novasonic.client import Connecting, NovaSonic
from novasonic.config import (
    NOVA_2_5_SONIC,
    NOVA_2_SONIC,
    Buffers,
    Continuation,
    Credentials,
    Limits,
    Message,
    Timeouts,
)
from novasonic.events import (
    AudioOutput,
    Event,
    Interrupted,
    Renewed,
    Renewing,
    SessionEnded,
    Timings,
    TokenCounts,
    ToolCall,
    ToolFinished,
    Transcript,
    TurnEnded,
    TurnStarted,
    UnknownEvent,
    Usage,
)
from novasonic.exceptions import (
    AccessDeniedError,
    AudioFormatError,
    CertificateError,
    ConcurrencyError,
    ConfigError,
    ConnectError,
    CredentialsError,
    ForkError,
    InternalError,
    NovaSonicError,
    OperationTimeout,
    ServiceError,
    SessionClosedError,
    StreamLostError,
    ThrottledError,
    TurnTimeout,
    ValidationError,
)
from novasonic.prices import LIST_PRICES, Prices
from novasonic.session import Session
from novasonic.stats import Cost, Stats
from novasonic.stream import OpeningStream, RawStream, StreamBuffers, StreamStats
from novasonic.tools import ApprovalRequest, Tool, ToolContext, ToolError, ToolLimits, tool
from novasonic.transcript import TranscriptEntry, TranscriptView
from novasonic.turns import Turn

__all__ = [
    "LIST_PRICES",
    "NOVA_2_5_SONIC",
    "NOVA_2_SONIC",
    "AccessDeniedError",
    "ApprovalRequest",
    "AudioFormatError",
    "AudioOutput",
    "Buffers",
    "CertificateError",
    "ConcurrencyError",
    "ConfigError",
    "ConnectError",
    "Connecting",
    "Continuation",
    "Cost",
    "Credentials",
    "CredentialsError",
    "Event",
    "ForkError",
    "InternalError",
    "Interrupted",
    "Limits",
    "Message",
    "Model",
    "NovaSonic",
    "NovaSonicError",
    "OpeningStream",
    "OperationTimeout",
    "Prices",
    "RawStream",
    "Renewed",
    "Renewing",
    "ServiceError",
    "Session",
    "SessionClosedError",
    "SessionEnded",
    "Stats",
    "StreamBuffers",
    "StreamLostError",
    "StreamStats",
    "ThrottledError",
    "Timeouts",
    "Timings",
    "TokenCounts",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolFinished",
    "ToolLimits",
    "Transcript",
    "TranscriptEntry",
    "TranscriptView",
    "Turn",
    "TurnEnded",
    "TurnStarted",
    "TurnTimeout",
    "UnknownEvent",
    "Usage",
    "ValidationError",
    "Voice",
    "__version__",
    "models",
    "tool",
    "voices",
]
