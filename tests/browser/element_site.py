"""The demo's site with pages of their own around the element, and a tool that must be allowed each time."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "element_site"

from novasonic.contrib.django.demo.settings import *  # noqa: F403  - a site of settings

ROOT_URLCONF = "element_urls"
# The German words of the app, and an Arabic page without a catalogue of its own.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]
