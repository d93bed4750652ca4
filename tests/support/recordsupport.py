"""A database of the records beside the site's own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import uuid
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

# Threads keep their connection to an alias: another database needs another one.
_aliases = (f"records{number}" for number in itertools.count())


def sqlite(path, timeout=5.0):
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": timeout},
    }


def postgres(url):
    where = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": where.path.strip("/"),
        "USER": where.username,
        "HOST": where.hostname,
        "PORT": where.port,
    }


def make_database(url, name):
    import psycopg

    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")


@contextmanager
def connected(alias, database):
    """Let this process know another database."""
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: database})[alias]
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def migrated(database, blocker):
    """Yield with the records' tables in `database`, which ``NOVASONIC`` names."""
    alias = next(_aliases)
    with connected(alias, database), override_settings(NOVASONIC={"DATABASE": alias}), blocker.unblock():
        call_command("migrate", "novasonic", database=alias, verbosity=0)
        yield alias


def empty():
    from novasonic.contrib.django import models

    for table in (models.ToolCall, models.UsageRecord, models.Turn, models.Conversation, models.AccessRecord):
        rows = table.objects.all()
        rows._raw_delete(rows.db)


@contextmanager
def switched_off():
    """Lock SQLite's file, or throw everybody out of PostgreSQL's database and let nobody in."""
    from novasonic.contrib.django.conf import get_settings

    alias = get_settings().database
    database = connections.settings[alias]
    if connections[alias].vendor == "sqlite":
        with closing(sqlite3.connect(database["NAME"], isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
        return
    import psycopg

    name = database["NAME"]
    server = psycopg.connect(
        host=database["HOST"], port=database["PORT"], user="tests", dbname="template1", autocommit=True
    )
    with server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            yield
        finally:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def writer(monkeypatch):
    """This process's writer, new and empty."""
    from novasonic.contrib.django.records import writer as module

    fresh = module.Writer()
    monkeypatch.setattr(module, "_writers", {os.getpid(): fresh})
    yield fresh
    fresh.close(10)


def ledger(conversation_id=None, generation=1, lost=None, **opening):
    from novasonic.contrib.django.records.rows import Ledger

    return Ledger(
        id=conversation_id or uuid.uuid4(),
        generation=generation,
        opening=opening,
        loop=asyncio.get_running_loop(),
        on_lost=(lambda what: None) if lost is None else lost.append,
    )


def turn(book, number, user="hello", assistant="hi", **columns):
    from django.utils import timezone

    from novasonic.contrib.django.records.rows import Row

    values = {
        "number": number,
        "user_text": user,
        "assistant_text": assistant,
        "withheld": False,
        "interrupted": False,
        "started_at": timezone.now(),
        "seconds": 1.0,
        "response_seconds": 0.5,
        "generation": book.generation,
    }
    return Row(book, "turn", number, values | columns)


def columns(book, **values):
    from novasonic.contrib.django.records.rows import Row

    return Row(book, "conversation", None, values)
