# ruff: noqa: E402 - Django first
"""Keeps records in that site as a conversation would, and looks at them as its staff would."""

import asyncio
import io
import json
import sys

import django
from asgiref.sync import sync_to_async

django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from recordsupport import columns, ledger, turn

from novasonic.contrib.django.models import AccessRecord
from novasonic.contrib.django.records import store
from novasonic.contrib.django.records.erase import delete_of
from novasonic.contrib.django.records.tables import tables
from novasonic.contrib.django.records.writer import get_writer


def tables_of(alias):
    with connections[alias].cursor() as cursor:
        return set(connections[alias].introspection.table_names(cursor))


async def keep(user):
    book = ledger(owner="ada", user_id=user.pk, voice="tiffany")
    writer = get_writer()
    assert await writer.commit(columns(book, voice="tiffany"), turn(book, 1))
    if OWN:
        await Conversation.objects.filter(pk=book.id).aupdate(topic="the sea")
        await Turn.objects.filter(number=1).aupdate(rating=5)
    # A row that is written again leaves the site's own columns alone.
    assert await writer.commit(columns(book, voice="matthew"), turn(book, 1, "hello again"))
    claim = await store.claim(book.id, "ada", 1)
    assert [one.text for one in claim.history] == ["hello again", "hi"]
    assert not await writer.commit(turn(book, 2))
    await sync_to_async(connections.close_all)()
    return book.id


for alias in ("default", "archive"):
    call_command("makemigrations", "calls", verbosity=0)
    call_command("migrate", database=alias, verbosity=0)
Conversation, Turn = tables().conversation, tables().turn
OWN = Conversation._meta.app_label == "calls"
assert "calls_person" in tables_of("default")
assert "calls_person" not in tables_of("archive")
assert ("calls_turn" in tables_of("archive")) is OWN
assert "auth_permission" in tables_of("default")
assert "novasonic_conversation" not in tables_of("default")
assert "novasonic_conversation" in tables_of("archive")
assert "auth_permission" not in tables_of("archive")

ada = get_user_model().objects.create(email="ada@example.org", is_staff=True, is_superuser=True)
conversation_id = asyncio.run(keep(ada))
conversation = Conversation.objects.get(pk=conversation_id)
assert conversation._state.db == "archive"
assert (conversation.user, conversation.voice) == (ada, "matthew")
assert Turn.objects.get().user_text == "hello again"
if OWN:
    assert (conversation.topic, Turn.objects.get().rating) == ("the sea", 5)

client = Client()
client.force_login(ada)
for page, args in (("changelist", ()), ("change", (conversation_id,)), ("transcript", (conversation_id,))):
    response = client.get(reverse(f"admin:{Conversation._meta.app_label}_conversation_{page}", args=args))
    assert response.status_code == 200, (page, response)
assert "hello again" in response.content.decode()
assert client.get(reverse("admin:novasonic_accessrecord_changelist")).status_code == 200
found = client.get(reverse(f"admin:{Conversation._meta.app_label}_conversation_changelist"), {"q": "ada@"})
assert str(conversation_id) in found.content.decode()
assert AccessRecord.objects.get().user == ada

exported = io.StringIO()
call_command("novasonic_export", "--user", "ada@example.org", stdout=exported, stderr=io.StringIO())
assert json.loads(exported.getvalue())[0]["user"] == str(ada.pk)

kept = Conversation.objects.create(owner="ada", user=ada)
assert delete_of(user=ada).conversations == 2
kept = Conversation.objects.create(owner="ada", user=ada)
ada.delete()
kept.refresh_from_db()
assert kept.user_id is None

connections.close_all()
sys.stdout.write("kept\n")
