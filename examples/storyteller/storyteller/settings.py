"""Settings of the storyteller: SQLite, sessions, one consumer.

``novasonic demo`` says by environment where state may lie and which host names the site answers to. Without it
(``python manage.py migrate``, then uvicorn) state lies beside ``manage.py`` and the site answers to this machine alone.
"""

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# A new key signs everybody out at each start; a site that lives longer reads its key from its environment.
SECRET_KEY = os.environ.get("STORYTELLER_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("NOVASONIC_DEMO_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "novasonic.contrib.django",
    "storyteller",
]
MIDDLEWARE = [
    "storyteller.policy.content_security_policy",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "storyteller.urls"
ASGI_APPLICATION = "storyteller.asgi.application"
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
        "NAME": Path(os.environ.get("NOVASONIC_DEMO_STATE", BASE_DIR)) / "storyteller.sqlite3",
        # A transaction that reads before it writes would fail at once, not wait, where another one writes.
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_COOKIE_NAME = "storyteller_session"
CSRF_COOKIE_NAME = "storyteller_csrf"
STATIC_URL = "static/"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "shelf"
USE_TZ = True
# Pages show times in the reader's own zone.
TIME_ZONE = "UTC"
# One process is the whole site: there is nobody to reach over a channel layer.
SILENCED_SYSTEM_CHECKS = ["novasonic.W011"]

# With AWS credentials in the environment this is all it takes; the demo points it at the emulator instead.
NOVASONIC = {"REGION": os.environ.get("AWS_REGION", "us-east-1")}
# Pages that talk to AWS by themselves get keys of this role at /api/aws-credentials/; without a role nobody does.
if "STORYTELLER_PAGE_ROLE" in os.environ:
    NOVASONIC["CREDENTIALS_ENDPOINT"] = {"ROLE_ARN": os.environ["STORYTELLER_PAGE_ROLE"]}
