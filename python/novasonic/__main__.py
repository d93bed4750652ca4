"""``python -m novasonic``: the same as the command ``novasonic``."""

from novasonic.cli import main

main()
