"""Settings of the tests of the Django application.

``NOVASONIC_TEST_DATABASE`` names a PostgreSQL (``postgresql://user@host:port/name``) instead of SQLite.
"""

import atexit
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples" / "storyteller"))

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["testserver", "localhost"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "django.contrib.staticfiles",
    "channels",
    "novasonic.contrib.django",
    "storyteller",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "testsite.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # children that tests fork end too
        path.unlink(missing_ok=True)


def _database(url: str | None) -> dict:
    if url is None:
        # Not in memory: the tests of consumers reach it from several threads.
        scratch = Path(tempfile.gettempdir()) / f"novasonic-tests-{os.getpid()}.sqlite3"
        # Django removes it after the tests, and makes it anew where anybody asks after that.
        atexit.register(_remove, scratch, os.getpid())
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": scratch,
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
            "TEST": {"NAME": scratch},
        }
    where = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": where.path.strip("/"),
        "USER": where.username or "",
        "PASSWORD": where.password or "",
        "HOST": where.hostname or "",
        "PORT": where.port or "",
    }


DATABASES = {"default": _database(os.environ.get("NOVASONIC_TEST_DATABASE"))}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
