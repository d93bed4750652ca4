"""A site of several workers, as far as one process can be one."""

from __future__ import annotations

from contextlib import contextmanager

from django.conf import settings
from django.test import override_settings

from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.workers import drain
from novasonic.contrib.django.workers.resumption import Resumption
from novasonic.contrib.django.workers.supervision import Supervision


class Talker(NovaSonicConsumer):
    """A consumer that is supervised, and whose pages may come back."""

    system = "You are a parrot."

    def get_companions(self):
        return (Resumption(self), Supervision(self))


@contextmanager
def configured(**keys):
    """Add keys to ``NOVASONIC``."""
    with override_settings(NOVASONIC={**settings.NOVASONIC, **keys}):
        yield


@contextmanager
def redis_layer(url):
    """The Channels layer as a site of several workers has it."""
    layers = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [url]}}}
    with override_settings(CHANNEL_LAYERS=layers):
        yield


@contextmanager
def fresh_worker():
    """Undo a drain, which a process never does."""
    try:
        yield
    finally:
        drain._draining_pid = None


async def say(page, text, turn):
    """Type something and wait for the whole answer."""
    await page.send({"type": "text_message", "text": text})
    return await page.until("turn_ended", turn=turn)
