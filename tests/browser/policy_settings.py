"""The demo's settings with what a site in production adds for browsers: hashed names, and nginx.conf's policy."""

import re
import sys
from pathlib import Path

from novasonic.contrib.django.demo.settings import *  # noqa: F403 - a settings module
from novasonic.contrib.django.demo.settings import MIDDLEWARE, STATE

DEPLOY = Path(__file__).resolve().parents[2] / "examples" / "deploy"
sys.path.append(str(DEPLOY))

POLICY = re.search(r'Content-Security-Policy "([^"]+)"', (DEPLOY / "nginx.conf").read_text())[1]
# Stricter than nginx.conf: no string becomes markup or code.
POLICY += "; require-trusted-types-for 'script'"
ROOT_URLCONF = "policy_site"
STATIC_URL = "/static/"
ASKED = STATE / "asked.txt"
STATIC_ROOT = STATE / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "project.storage.ModuleStorage"},
}
MIDDLEWARE = ["policy_site.policy", *MIDDLEWARE]
