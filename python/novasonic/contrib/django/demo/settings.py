"""Settings of the demo site; ``novasonic demo`` sets the environment they read."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

STATE = Path(os.environ.get("NOVASONIC_DEMO_STATE") or tempfile.gettempdir())

# Sessions end with the server, which is right for a demo and wrong for a site.
SECRET_KEY = secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("NOVASONIC_DEMO_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "novasonic.contrib.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "novasonic.contrib.django.demo.urls"
ASGI_APPLICATION = "novasonic.contrib.django.demo.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": STATE / "demo.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Cookies do not know ports: without a name of its own the demo would sign its user out of another local site.
SESSION_COOKIE_NAME = "novasonic_demo_session"
CSRF_COOKIE_NAME = "novasonic_demo_csrf"
STATIC_URL = "static/"
LOGIN_URL = "demo-sign-in"
USE_TZ = True
# One process is the whole site: there is nobody to reach over a channel layer.
SILENCED_SYSTEM_CHECKS = ["novasonic.W011"]
