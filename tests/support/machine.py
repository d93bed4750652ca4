"""What figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Say in one line which processor, how much of it, and how busy it was."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    load, *_ = os.getloadavg()
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()}, load {load:.1f}"
