"""The page on the doctor lists every code that it gives."""

import ast
import re
from pathlib import Path

from novasonic.contrib.django import doctor

PAGE = (Path(__file__).parents[2] / "docs/how-to/doctor.md").read_text()
CODE_PLACE = 4  # of Finding's arguments


def codes():
    """Fifth arguments of findings, and the first of three of what a cause returns."""
    for path in Path(doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Finding"), args=args) if len(args) > CODE_PLACE:
                    yield args[CODE_PLACE]
                case ast.Return(value=ast.Tuple(elts=[code, _, _])):
                    yield code


def test_every_code_is_listed_and_no_other():
    given = {code.value for code in codes() if isinstance(code, ast.Constant)}
    assert len(given) > 12
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == given
