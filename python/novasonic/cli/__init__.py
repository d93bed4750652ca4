"""The command line, ``novasonic``. It needs the extra ``cli``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say in one line what it needs."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        sys.exit(f'The novasonic command needs {error.name}: pip install "novasonic[cli]"')
    from novasonic.cli.group import novasonic

    novasonic()
