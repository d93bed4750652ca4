"""The reference of settings lists every key with its default, and no others."""

import ast
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest

from novasonic.contrib.django.conf import CredentialsEndpoint, LimitSettings, Settings

PAGE = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text()


def tables(head):
    """Rows of all tables whose first column is called so: key and default as they stand there."""
    rows = []
    for table in re.findall(rf"^\| {re.escape(head)} \| default .*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        rows += re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a key is listed twice"
    return dict(rows)


def default_of(field):
    return field.default if field.default is not MISSING else field.default_factory()


@pytest.mark.parametrize(
    ("made", "head"),
    [(Settings, "key"), (LimitSettings, "key of `LIMITS`"), (CredentialsEndpoint, "key of `CREDENTIALS_ENDPOINT`")],
)
def test_every_key_stands_there_with_its_default(made, head):
    listed = tables(head)
    # Settings in a dict of their own have a table of their own.
    here = [each for each in fields(made) if each.default_factory is MISSING or not is_dataclass(default_of(each))]
    assert set(listed) == {each.name.upper() for each in here}
    for each in here:
        shown = listed[each.name.upper()]
        if each.default is MISSING and each.default_factory is MISSING:
            assert shown == "must be given"
        else:
            assert ast.literal_eval(shown.strip("`")) == default_of(each), each.name


def test_the_dict_of_limits_is_named():
    assert 'NOVASONIC["LIMITS"]' in PAGE
