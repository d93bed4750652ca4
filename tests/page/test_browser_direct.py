"""The state machine and the reports of the browser-direct example, under Node's own test runner."""

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "examples" / "browser-direct" / "tests"


def test_the_examples_modules():
    node = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    assert node, "no node: pip install --group test"
    files = sorted(map(str, TESTS.glob("*.test.mjs")))
    assert len(files) == 2
    run = subprocess.run([node, "--test", *files], capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stdout
