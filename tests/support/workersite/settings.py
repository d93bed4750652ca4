"""Its settings: those of the tests, and what workers share."""

import json
import os

from testsite.settings import *  # noqa: F403

NOVASONIC = json.loads(os.environ["NOVASONIC_TEST_SETTINGS"])
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": NOVASONIC["REDIS_URL"], "socket_timeout": 15}]},
    }
}
