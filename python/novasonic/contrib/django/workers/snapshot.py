"""What a conversation without transcripts leaves for the next worker: its history, encrypted, for ten minutes.

With ``NOVASONIC["TRANSCRIPTS"] = "off"`` nothing that was said reaches the database, so there is nothing to go on from
there. The history waits on Redis instead, readable only with this site's SECRET_KEY; without Redis in this process.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

import novasonic

from .shared import open_redis

if TYPE_CHECKING:
    import uuid

__all__ = ["SNAPSHOT_SECONDS", "Snapshot", "claim", "forget", "save"]

SNAPSHOT_SECONDS: Final = 600
# An hour of talk is some 60,000 characters; what is longer loses its beginning, as it does in the service.
MAX_CHARS: Final = 200_000

# A worker that was overtaken writes nothing: its generation is below the stored one.
_SAVE: Final = """
local stored = redis.call('HGET', KEYS[1], 'generation')
if stored and tonumber(stored) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'sealed', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
# The generation stays, one higher: without it a worker that was left behind would begin the conversation anew.
_FORGET: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return end
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('HDEL', KEYS[1], 'sealed')
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
# Of two pages with one token, one finds the generation that the token names.
_CLAIM: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return false end
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], 'sealed')
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A conversation as it stood at the end of a turn."""

    owner: str | None
    next_turn: int = 1
    history: tuple[novasonic.Message, ...] = field(default=(), repr=False)
    usd: float = 0.0


# Generation, when it expires (monotonic), and the snapshot sealed: memory dumps hold no more than Redis does.
_here: dict[uuid.UUID, tuple[int, float, bytes]] = {}


async def save(conversation_id: uuid.UUID, generation: int, snapshot: Snapshot) -> bool:
    """Keep `snapshot` for ten minutes from now.

    Returns:
        False where another worker has taken the conversation over; then nothing was written.

    Raises:
        redis.RedisError, OSError: Redis did not take it.
    """
    sealed = _seal(conversation_id, snapshot)
    async with open_redis() as redis:
        if redis is not None:
            return bool(await redis.eval(_SAVE, 1, _key(conversation_id), generation, sealed, SNAPSHOT_SECONDS))
    _forget_old()
    if conversation_id in _here and _here[conversation_id][0] > generation:
        return False
    _here[conversation_id] = generation, time.monotonic() + SNAPSHOT_SECONDS, sealed
    return True


async def claim(conversation_id: uuid.UUID, owner: str | None, generation: int) -> Snapshot | None:
    """Take over a conversation that stands at `generation`, which is one higher afterwards.

    Returns:
        None where there is none such, where it is another owner's, or where somebody else was first.

    Raises:
        redis.RedisError, OSError: Redis did not answer.
    """
    async with open_redis() as redis:
        if redis is not None:
            sealed = await redis.eval(_CLAIM, 1, _key(conversation_id), generation, SNAPSHOT_SECONDS)
        else:
            sealed = _claim_here(conversation_id, generation)
    snapshot = None if sealed is None else _open(conversation_id, sealed)
    return snapshot if snapshot is not None and snapshot.owner == owner else None


async def forget(conversation_id: uuid.UUID, generation: int) -> None:
    """Remove what is kept of a conversation that nobody will go on with."""
    async with open_redis() as redis:
        if redis is not None:
            await redis.eval(_FORGET, 1, _key(conversation_id), generation, SNAPSHOT_SECONDS)
        elif conversation_id in _here and _here[conversation_id][0] == generation:
            _here[conversation_id] = generation + 1, time.monotonic() + SNAPSHOT_SECONDS, b""


def _claim_here(conversation_id: uuid.UUID, generation: int) -> bytes | None:
    _forget_old()
    stored, _, sealed = _here.get(conversation_id, (0, 0.0, b""))
    if stored != generation:
        return None
    _here[conversation_id] = stored + 1, time.monotonic() + SNAPSHOT_SECONDS, sealed
    return sealed


def _forget_old() -> None:
    now = time.monotonic()
    for conversation_id in [known for known, (_, expires, _) in _here.items() if expires <= now]:
        del _here[conversation_id]


def _key(conversation_id: uuid.UUID) -> str:
    return f"novasonic:snapshot:{{{conversation_id.hex}}}"


def _seal(conversation_id: uuid.UUID, snapshot: Snapshot) -> bytes:
    said = [[message.role, message.text] for message in snapshot.history]
    length = sum(len(text) for _, text in said)
    while length > MAX_CHARS:
        length -= len(said.pop(0)[1])
    content = {
        # Fernet authenticates nothing but its content: a snapshot put in another's place must not be taken.
        "id": conversation_id.hex,
        "owner": snapshot.owner,
        "next_turn": snapshot.next_turn,
        "history": said,
        "usd": snapshot.usd,
    }
    sealed: bytes = _cipher().encrypt(json.dumps(content, separators=(",", ":")).encode())
    return sealed


def _open(conversation_id: uuid.UUID, sealed: bytes) -> Snapshot | None:
    from cryptography.fernet import InvalidToken

    try:
        content = json.loads(_cipher().decrypt(sealed))
    except InvalidToken:  # another SECRET_KEY, or not of our making
        return None
    if content["id"] != conversation_id.hex:
        return None
    history = tuple(novasonic.Message(role, text) for role, text in content["history"])
    return Snapshot(content["owner"], content["next_turn"], history, content["usd"])


def _cipher() -> Any:
    try:
        from cryptography.fernet import Fernet, MultiFernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise ImproperlyConfigured(
            'NOVASONIC["TRANSCRIPTS"] = "off" keeps what a conversation goes on from encrypted, and the package '
            '"cryptography" is not installed: pip install cryptography.'
        ) from error
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    made = []
    for secret in keys:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"novasonic.contrib.django.workers.snapshot")
        given = secret if isinstance(secret, bytes) else secret.encode()
        made.append(Fernet(base64.urlsafe_b64encode(derived.derive(given))))
    return MultiFernet(made)
