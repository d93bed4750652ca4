"""Two databases: everything in one, the records in the other; where they lie is said by the environment."""

import os
from pathlib import Path

STATE = Path(os.environ["OWNSITE_STATE"])
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "novasonic.contrib.django",
    "ownsite.calls",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
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
AUTH_USER_MODEL = "calls.Person"
DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATE / f"{alias}.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
    for alias in ("default", "archive")
}
DATABASE_ROUTERS = ["novasonic.contrib.django.records.router.RecordsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STATIC_URL = "static/"
USE_TZ = True
NOVASONIC = {"DATABASE": "archive", "RECORDS_APP": os.environ.get("OWNSITE_RECORDS_APP", "calls")}
