"""Settings of the example: SQLite, sessions, keys for pages. What is secret or of one place is in the environment."""

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# A new key signs everybody out at each start; a site that lives longer reads its key from its environment.
SECRET_KEY = os.environ.get("DIRECT_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "novasonic.contrib.django",
    "direct",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "direct.urls"
ASGI_APPLICATION = "direct.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("NOVASONIC_DEMO_STATE", BASE_DIR)) / "direct.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_COOKIE_NAME = "direct_session"
CSRF_COOKIE_NAME = "direct_csrf"
STATIC_URL = "static/"
# Where `npm run build` writes.
STATICFILES_DIRS = [BASE_DIR / "dist"]
LOGIN_URL = "sign-in"
USE_TZ = True
# One process is the whole site, and no conversation is held by it.
SILENCED_SYSTEM_CHECKS = ["novasonic.W011"]

NOVASONIC = {"REGION": os.environ.get("AWS_REGION", "us-east-1")}
# Without a role nobody gets keys: docs/how-to/credentials-endpoint.md says how to make one.
if "DIRECT_PAGE_ROLE" in os.environ:
    NOVASONIC["CREDENTIALS_ENDPOINT"] = {"ROLE_ARN": os.environ["DIRECT_PAGE_ROLE"], "REPORTS": True}
