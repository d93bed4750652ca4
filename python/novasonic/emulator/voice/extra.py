"""What the extra ``voice`` brings, and what to say where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from novasonic.exceptions import ConfigError

__all__ = ["require_extra"]

_PACKAGES = ("pocketsphinx", "espeakng_loader")


def require_extra() -> None:
    """Check, without importing them, that the recogniser and the synthesiser are installed.

    Raises:
        ConfigError: ``code="missing_extra"``.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"The offline voice needs {' and '.join(missing)}.",
            code="missing_extra",
            cure='Install it: pip install "novasonic[voice]"',
        )
