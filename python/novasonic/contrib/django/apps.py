"""The Django application; nothing happens at start-up but registrations."""

from __future__ import annotations

from django.apps import AppConfig


class NovaSonicDjangoConfig(AppConfig):
    """Templates, static files and template tags of novasonic, its records, views, checks and commands."""

    name = "novasonic.contrib.django"
    label = "novasonic"
    verbose_name = "Nova Sonic"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from . import checks  # noqa: F401  - importing it registers them
