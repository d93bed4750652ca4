"""Every test that the security page names as proof exists."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/explanation/security.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


def test_the_page_names_proofs():
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_proof_exists(file, name):
    assert re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text(), re.MULTILINE), f"no {name} in {file}"


def test_every_row_names_one():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| ---"))]
    assert [row for row in rows if "::test_" not in row] == []
