"""Check the walls of the house: which room may import which, and what may stand in the tree at all.

The compiler does not know that `protocol/` must stay free of sockets or that the emulator must not share the client's
rule book; this does. Prints one line for each breach and exits 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A temporary folder is everybody's: many files name it rightly.
_BESIDE = ROOT if ROOT.parent in {Path("/"), Path(tempfile.gettempdir())} else ROOT.parent

# An arrow of the design: room -> rooms it may import. `error` is vocabulary and open to the whole client side.
ARROWS: dict[str, set[str]] = {
    "audio": set(),
    "error": set(),
    "protocol": {"error"},
    "conversation": {"protocol", "audio", "error"},
    "transport": {"protocol", "error"},
    "session": {"conversation", "transport", "protocol", "audio", "error"},
    "emulator": {"audio"},
    "bindings": {"session", "emulator", "conversation", "transport", "protocol", "audio", "error"},
}
SANS_IO = {
    "protocol": "sans I/O",
    "conversation": "sans I/O, time is an argument",
}
CLOCKS_AND_IO = re.compile(r"\b(tokio|hyper|Instant|SystemTime|std::net|std::thread|std::fs)\b")
PYO3 = re.compile(r"\bpyo3(_async_runtimes)?::")
CRATE_PATH = re.compile(r"\bcrate::(?:\{([^}]*)\}|(\w+))", re.DOTALL)
# An address that a lock file must not hold, whatever the mirror: the lock names packages, not places.
ADDRESS = re.compile(r"https?://")
# Homes, and where this tree stands with what lies beside it: whatever machine this is, elsewhere they mean nothing.
_PLACES = sorted({Path("~root").expanduser(), Path.home(), ROOT, _BESIDE})
MACHINE_PATH = re.compile("|".join([r"/home/\w+/", *(re.escape(f"{place}/") for place in _PLACES)]))


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT / "src")
    return relative.parts[0].removesuffix(".rs")


def imported_rooms(source: str) -> set[str]:
    rooms: set[str] = set()
    for group, single in CRATE_PATH.findall(source):
        if single:
            rooms.add(single)
        else:
            rooms.update(re.findall(r"(?:^|,)\s*(\w+)", group))
    return rooms & set(ARROWS)


def strip_comments(source: str) -> str:
    return re.sub(r"//[^\n]*", "", source)


def rust_breaches() -> list[str]:
    breaches = []
    for path in sorted((ROOT / "src").rglob("*.rs")):
        room = room_of(path)
        if room == "lib":
            continue
        name = path.relative_to(ROOT)
        source = strip_comments(path.read_text())
        is_test = path.name == "tests.rs" or "tests" in path.parts
        breaches += [
            f"{name}: {room}/ may not import {other}/"
            for other in sorted(imported_rooms(source) - ARROWS[room] - {room})
            if not is_test
        ]
        if room != "bindings" and PYO3.search(source):
            breaches.append(f"{name}: pyo3 belongs in bindings/ only")
        if room in SANS_IO and not is_test and (found := CLOCKS_AND_IO.search(source)):
            breaches.append(f"{name}: {found.group()} in {room}/, which is {SANS_IO[room]}")
    return breaches


def tree_breaches() -> list[str]:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    breaches = []
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or name == "scripts/lint_rooms.py":
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path.name == "package-lock.json" and ADDRESS.search(re.sub(r'"(url|funding|homepage)":[^\n]*', "", text)):
            breaches.append(f"{name}: a download address in a lock file (npm: omit-lockfile-registry-resolved=true)")
        breaches += [
            f"{name}:{number}: a path of one machine"
            for number, line in enumerate(text.splitlines(), 1)
            if MACHINE_PATH.search(line)
        ]
    return breaches


def main() -> int:
    breaches = rust_breaches() + tree_breaches()
    print("\n".join(breaches) or "rooms: every wall stands")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
