"""What a site may listen to.

Receivers may be coroutine functions. They run in each conversation's own order, outside the audio path, and delay
nobody but each other; an exception of one is logged. All signals come with the handler's class as `sender`, and with
``conversation_id`` (UUID) and ``owner`` (str or None). What was said is in them as it is in the records: not at all
with ``TRANSCRIPTS = "off"``.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["conversation_ended", "conversation_started", "tool_called", "turn_completed"]

conversation_started = Signal()
"""The stream is open. ``generation``: above 1 where it goes on from another worker."""

conversation_ended = Signal()
"""It is over on this worker. ``generation``; ``reason``: with ``reconnect`` and ``gone`` it may go on elsewhere;
``usd``: what it cost, with what it had cost on other workers."""

turn_completed = Signal()
"""``number``, ``user_text``, ``assistant_text`` (as it was heard), ``interrupted``, ``started_at``, ``seconds``."""

tool_called = Signal()
"""A call has its result. ``name``, ``ok`` (None: it did not come to its end), ``seconds``, ``turn``."""
