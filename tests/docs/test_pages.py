"""Every Python block of the how-to pages is a whole program that runs."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    for page in sorted(PAGES.glob("*.md")):
        source = page.read_text()
        for found in BLOCK.finditer(source):
            line = source.count("\n", 0, found.start()) + 1
            yield pytest.param(found[1], id=f"{page.name}:{line}")


@pytest.mark.slow
@pytest.mark.parametrize("block", list(blocks()))
async def test_the_block_runs(block, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(block)
    # As a reader runs it: asyncio's debug mode complains of every step that a busy machine stretches beyond 0.1 s.
    environment = {**os.environ, "PYTHONASYNCIODEBUG": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", program, stderr=asyncio.subprocess.PIPE, cwd=tmp_path, env=environment
    )
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert not complaints
