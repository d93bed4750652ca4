"""Sites with users, conversations and databases of their own, and processes that end; each a process."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"

LEAVES = """
import asyncio, django
django.setup()
from django.core.management import call_command
from recordsupport import ledger, turn
from novasonic.contrib.django.records.writer import get_writer

call_command("migrate", database="archive", verbosity=0)

async def talk():
    book = ledger()
    for number in range(1, 101):
        assert get_writer().put(turn(book, number))

asyncio.run(talk())
"""


def run(program, state, settings, **environment):
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    known = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings, "OWNSITE_STATE": str(state)}
    return subprocess.run(
        [sys.executable, "-W", "error", *program],
        env={**os.environ, **known, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("records_app", ["calls", "novasonic"])
def test_a_site_may_have_users_conversations_and_a_database_of_its_own(records_app, tmp_path):
    package = tmp_path / "ownsite"
    subprocess.run(["cp", "-r", SUPPORT / "ownsite", package], check=True)  # it makes migrations
    path = os.pathsep.join([str(tmp_path), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    ended = run(
        [package / "program.py"], tmp_path, "ownsite.settings", PYTHONPATH=path, OWNSITE_RECORDS_APP=records_app
    )
    assert (ended.returncode, ended.stdout) == (0, "kept\n"), ended.stderr
    assert not ended.stderr


@pytest.mark.slow
def test_what_waits_is_written_when_the_process_ends(tmp_path):
    ended = run(["-c", LEAVES], tmp_path, "ownsite.settings", OWNSITE_RECORDS_APP="novasonic")
    assert ended.returncode == 0, ended.stderr
    with closing(sqlite3.connect(tmp_path / "archive.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM novasonic_turn").fetchone() == (100,)
