"""The demo's site as several workers serve it, one after the other or side by side: what they share is told to each."""

import json
import os

from novasonic.contrib.django.demo.settings import *  # noqa: F403 - a settings module

# The demo's own is new at each start, and every session ends with it.
SECRET_KEY = "the same for every worker"
NOVASONIC = json.loads(os.environ["NOVASONIC_NET_SETTINGS"])
if "REDIS_URL" in NOVASONIC:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [{"address": NOVASONIC["REDIS_URL"], "socket_timeout": 15}]},
        }
    }
