"""The tests' site as its staff sees it, with its database and recordings where the environment says."""

import os
from pathlib import Path

from testsite.settings import *  # noqa: F403 - settings are made like this

STATE = Path(os.environ["NOVASONIC_DEMO_STATE"])
ALLOWED_HOSTS = ["localhost"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": STATE / "staff.sqlite3"}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": STATE / "sound"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
NOVASONIC = {"RECORD_AUDIO": True}
