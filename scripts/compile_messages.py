"""Compile the catalogues of `python/novasonic/contrib/django/locale/`: `.po` to `.mo`, without GNU gettext.

They ship with the wheel, so the `.mo` files are in the repository; a test compares each with its `.po`. New strings:
`django-admin makemessages` in `python/novasonic/contrib/django/` finds them, where GNU gettext is installed.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path

LOCALE = Path(__file__).resolve().parent.parent / "python" / "novasonic" / "contrib" / "django" / "locale"
MAGIC = 0x950412DE


def read_po(text: str) -> dict[str, str]:
    """Return what is translated, by its English; of the forms that we use: no contexts, no plurals, nothing fuzzy."""
    found: dict[str, str] = {}
    entry: dict[str, str] = {}
    field = ""
    for line in [*text.splitlines(), ""]:
        word, _, rest = line.partition(" ")
        if word in ("msgid", "msgstr"):
            field, line = word, rest
        elif not line.startswith('"'):
            if line and not line.startswith("#"):
                raise ValueError(f"not understood: {line}")
            if entry.get("msgstr"):
                found[entry["msgid"]] = entry["msgstr"]
            entry = {}
            continue
        entry[field] = entry.get(field, "") + ast.literal_eval(line)
    return found


def write_mo(messages: dict[str, str]) -> bytes:
    """Return the catalogue as gettext reads it; the same messages give the same bytes."""
    pairs = sorted((english.encode(), said.encode()) for english, said in messages.items())
    tables: list[tuple[int, int]] = []
    strings = b""
    start = 28 + 16 * len(pairs)
    for side in (0, 1):
        for pair in pairs:
            tables.append((len(pair[side]), start + len(strings)))
            strings += pair[side] + b"\0"
    head = struct.pack("<7I", MAGIC, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + b"".join(struct.pack("<2I", *row) for row in tables) + strings


def main() -> None:
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        mo = po.with_suffix(".mo")
        mo.write_bytes(write_mo(read_po(po.read_text(encoding="utf-8"))))
        print(mo.relative_to(LOCALE))


if __name__ == "__main__":
    main()
