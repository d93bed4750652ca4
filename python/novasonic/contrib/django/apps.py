"""The Django application; nothing happens at start-up but registrations."""

from __future__ import annotations

from django.apps import AppConfig


class NovaSonicDjangoConfig(AppConfig):
    """Templates, static files and template tags of novasonic, its records, views, checks and commands."""

    name = "novasonic.contrib.django"
    label = "novasonic"
    verbose_name = "Nova Sonic"
    # Whatever the site's own is: a migration that differs from site to site cannot be shipped.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and the signals by which who signs out is hung up."""
        from . import checks  # noqa: F401  - importing it registers them
        from .workers import revocation

        revocation.connect_signals()
