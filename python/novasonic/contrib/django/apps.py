"""The Django application; nothing happens at start-up."""

from __future__ import annotations

from django.apps import AppConfig


class NovaSonicDjangoConfig(AppConfig):
    """Templates, static files and template tags of novasonic."""

    name = "novasonic.contrib.django"
    label = "novasonic"
    verbose_name = "Nova Sonic"
