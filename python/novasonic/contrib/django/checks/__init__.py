"""System checks, each with an id and a cure: ``manage.py check``, those of security with ``--deploy``.

Importing this module registers them; the application's ``ready`` does. All ids are in docs/reference/checks.md.
"""

from __future__ import annotations

from . import security, settings, shape, site

__all__ = ["security", "settings", "shape", "site"]
