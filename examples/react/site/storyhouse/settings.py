"""Settings of the story house: SQLite, no cookies, one origin beside its own whose pages may ask and talk.

``novasonic demo`` says by environment where state may lie. Without it state lies beside ``manage.py``.
"""

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# A new key signs everybody out at each start; a site that lives longer reads its key from its environment.
SECRET_KEY = os.environ.get("STORYHOUSE_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("NOVASONIC_DEMO_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "novasonic.contrib.django",
    "storyhouse",
]
# Neither sessions nor CSRF tokens: no cookie says who asks, so no other site's page can ride on one.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "storyhouse.sign_in.bearer",
]
ROOT_URLCONF = "storyhouse.urls"
ASGI_APPLICATION = "storyhouse.asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("NOVASONIC_DEMO_STATE", BASE_DIR)) / "storyhouse.sqlite3",
        # A transaction that reads before it writes would fail at once, not wait, where another one writes.
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
# One process is the whole site: there is nobody to reach over a channel layer (and its own memory knows the spent
# tickets). The scripts that W012 misses are in the application's bundle.
SILENCED_SYSTEM_CHECKS = ["novasonic.W011", "novasonic.W012"]

# Where the React application is served from: `npm run dev` and `npm run preview`, unless told otherwise.
REACT_ORIGINS = os.environ.get("STORYHOUSE_ORIGINS", "http://localhost:5173,http://localhost:4173").split(",")
NOVASONIC = {
    "REGION": os.environ.get("AWS_REGION", "us-east-1"),
    "ALLOWED_ORIGINS": REACT_ORIGINS,
}
