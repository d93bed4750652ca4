"""The demo's site with an admin for its staff: its settings, its addresses and its application."""

import os
from pathlib import Path

from novasonic.contrib.django.demo.settings import *  # noqa: F403  - a site of settings
from novasonic.contrib.django.demo.settings import INSTALLED_APPS, MIDDLEWARE, STATE, TEMPLATES

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.messages", "django.contrib.admin"]
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [
    TEMPLATES[0]
    | {
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        }
    }
]
ROOT_URLCONF = "office_urls"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "recordings": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": Path(STATE) / "recordings"},
    },
}
NOVASONIC = {"RECORD_AUDIO": True, "RECORDINGS_STORAGE": "recordings"}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "office_site")
