"""The admin: who sees what, and what is written down of it."""

import io
import json
import uuid
import wave
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from novasonic.contrib.django.models import AccessRecord, Conversation, ToolCall, Turn, UsageRecord

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storage(tmp_path):
    stored = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with override_settings(STORAGES=stored):
        yield


@pytest.fixture
def conversation():
    sound = io.BytesIO()
    with wave.open(sound, "wb") as wav:
        wav.setparams((2, 2, 24_000, 0, "NONE", ""))
        wav.writeframes(bytes(4 * 24_000))
    name = storages["default"].save("novasonic/a.wav", ContentFile(sound.getvalue()))
    user = get_user_model().objects.create(username="ada")
    made = Conversation.objects.create(
        owner="7", user=user, consumer="site.consumers.Talker", model="amazon.nova", usd="0.1234", recordings=[name]
    )
    Turn.objects.create(
        conversation=made,
        number=1,
        user_text="<b>my secret</b>",
        assistant_text="I keep it",
        interrupted=True,
        started_at=timezone.now(),
    )
    Turn.objects.create(conversation=made, number=2, withheld=True, started_at=timezone.now())
    ToolCall.objects.create(
        conversation=made, call_id="1", turn=1, name="look_up", arguments={"who": "eve"}, started_at=timezone.now()
    )
    UsageRecord.objects.create(conversation=made, turn=1, speech_out=77, usd="0.1234")
    return made


@pytest.fixture
def staff(client):
    """Sign in somebody of the staff with these permissions."""

    def sign_in(*permissions):
        user = get_user_model().objects.create(username="grace", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return sign_in


def url(page, *args):
    return reverse(f"admin:novasonic_conversation_{page}", args=args)


def accesses():
    return [(one.action, one.username, one.conversation) for one in AccessRecord.objects.order_by("at")]


def test_the_list_shows_what_happened_and_not_what_was_said(staff, conversation):
    page = staff("view_conversation").get(url("changelist")).content.decode()
    assert str(conversation.pk) in page
    assert "Talker" in page
    assert "0.1234" in page
    assert "secret" not in page
    assert not accesses()


@pytest.mark.parametrize("term", ["7", "ada", "the id"])
def test_conversations_are_found_by_their_owner(staff, conversation, term):
    other = Conversation.objects.create(owner="70")
    query = str(conversation.pk) if term == "the id" else term
    page = staff("view_conversation").get(url("changelist"), {"q": query}).content.decode()
    assert str(conversation.pk) in page
    assert str(other.pk) not in page


@pytest.mark.parametrize(
    "query",
    [
        {"q": "secret"},
        {"reason__exact": "closed"},
        {"running": "no"},
        {"model__exact": "another"},
        {"consumer__exact": "another"},
        {"started_at__lt": "2000-01-01 00:00+00:00"},
    ],
)
def test_nothing_is_found_by_what_was_said_or_by_another_filter(staff, conversation, query):
    page = staff("view_conversation").get(url("changelist"), query)
    assert page.status_code == 200
    assert str(conversation.pk) not in page.content.decode()


def test_the_page_of_a_conversation_shows_its_cost_and_nothing_can_be_changed(staff, conversation):
    client = staff("view_conversation")
    page = client.get(url("change", conversation.pk)).content.decode()
    assert "77" in page
    assert "secret" not in page
    assert "What was said" not in page
    assert "Hang up" not in page
    assert 'name="owner"' not in page
    assert client.post(url("change", conversation.pk), {"owner": "8"}).status_code == 403
    assert client.get(url("add")).status_code == 403
    assert client.get(url("transcript", conversation.pk)).status_code == 403
    assert client.get(url("recording", conversation.pk, 0)).status_code == 403
    assert client.post(url("hang_up", conversation.pk)).status_code == 403
    assert not accesses()


def test_what_was_said_takes_a_permission_of_its_own_and_is_written_down(staff, conversation):
    client = staff("view_conversation", "view_transcript")
    assert url("transcript", conversation.pk) in client.get(url("change", conversation.pk)).content.decode()
    response = client.get(url("transcript", conversation.pk))
    page = response.content.decode()
    assert "&lt;b&gt;my secret&lt;/b&gt;" in page
    assert "I keep it" in page
    assert "interrupted" in page
    assert "Withheld" in page
    assert "look_up" in page
    assert url("recording", conversation.pk, 0) in page
    assert "no-store" in response["Cache-Control"]
    assert accesses() == [("read", "grace", conversation.pk)]
    assert client.get(url("transcript", uuid.uuid4())).status_code == 404


def test_a_recording_is_played_part_by_part_and_counts_as_one_listening(staff, conversation):
    client = staff("view_conversation", "view_transcript")
    where = url("recording", conversation.pk, 0)
    whole = b"".join(client.get(where).streaming_content)
    assert whole[:4] == b"RIFF"
    part = client.get(where, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content, part["Content-Range"]) == (206, b"RIFF", f"bytes 0-3/{len(whole)}")
    assert client.get(where, headers={"Range": "bytes=44-"}).content == whole[44:]
    assert client.get(where, headers={"Range": "bytes=-10"}).content == whole[-10:]
    assert client.get(where, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert accesses() == [("listened", "grace", conversation.pk)]
    AccessRecord.objects.update(at=timezone.now() - timedelta(hours=1))
    client.get(where, headers={"Range": "bytes=0-3"})
    assert len(accesses()) == 2
    assert client.get(url("recording", conversation.pk, 1)).status_code == 404
    storages["default"].delete(conversation.recordings[0])
    assert client.get(where).status_code == 404


def test_hanging_up_is_asked_of_the_workers_and_written_down(staff, conversation, monkeypatch):
    asked = []
    monkeypatch.setattr("novasonic.contrib.django.admin.hang_up", lambda pk: asked.append(pk) or True)
    client = staff("view_conversation", "hang_up_conversation")
    assert url("hang_up", conversation.pk) in client.get(url("change", conversation.pk)).content.decode()
    assert client.get(url("hang_up", conversation.pk)).status_code == 405
    response = client.post(url("hang_up", conversation.pk), follow=True)
    assert "1 conversation was ended." in response.content.decode()
    client.post(url("changelist"), {"action": "hang_up_selected", "_selected_action": [str(conversation.pk)]})
    assert asked == [conversation.pk] * 2
    assert accesses() == [("hung_up", "grace", conversation.pk)] * 2
    Conversation.objects.update(ended_at=timezone.now())
    assert "Hang up" not in client.get(url("change", conversation.pk)).content.decode()


def test_an_export_holds_everything_and_is_written_down(staff, conversation):
    client = staff("view_conversation", "view_transcript")
    chosen = {"action": "export_selected", "_selected_action": [str(conversation.pk)]}
    (exported,) = json.loads(client.post(url("changelist"), chosen).content)
    assert exported["id"] == str(conversation.pk)
    assert [one["user_text"] for one in exported["turns"]] == ["<b>my secret</b>", ""]
    assert exported["tool_calls"][0]["arguments"] == {"who": "eve"}
    assert exported["usage"][0]["speech_out"] == 77
    assert accesses() == [("exported", "grace", conversation.pk)]


def test_actions_are_offered_to_those_who_may(staff, conversation):
    page = staff("view_conversation").get(url("changelist")).content.decode()
    for action in ("hang_up_selected", "export_selected", "delete_everything_of_owners", "delete_selected"):
        assert action not in page


def test_deleting_takes_the_recordings_too(staff, conversation):
    client = staff("view_conversation", "delete_conversation")
    chosen = {"action": "delete_selected", "_selected_action": [str(conversation.pk)]}
    page = client.post(url("changelist"), chosen).content.decode()
    assert "secret" not in page
    client.post(url("changelist"), chosen | {"post": "yes"})
    assert not Conversation.objects.exists()
    assert not Turn.objects.exists()
    assert not storages["default"].exists(conversation.recordings[0])
    assert accesses() == [("deleted", "grace", conversation.pk)]


def test_everything_of_an_owner_is_deleted_after_asking(staff, conversation):
    other = Conversation.objects.create(owner="7")
    kept = Conversation.objects.create(owner="8")
    client = staff("view_conversation", "delete_conversation")
    chosen = {"action": "delete_everything_of_owners", "_selected_action": [str(conversation.pk)]}
    page = client.post(url("changelist"), chosen).content.decode()
    assert "2 conversations" in page
    assert Conversation.objects.filter(pk=other.pk).exists()
    client.post(url("changelist"), chosen | {"confirmed": "yes"})
    assert [one.pk for one in Conversation.objects.all()] == [kept.pk]
    assert not storages["default"].exists(conversation.recordings[0])
    assert AccessRecord.objects.get().owner == "7"


def test_the_audit_can_be_read_and_not_changed(staff, conversation):
    row = AccessRecord.objects.create(action="read", username="grace", conversation=conversation.pk)
    client = staff("view_accessrecord", "delete_accessrecord", "change_accessrecord", "add_accessrecord")
    page = client.get(reverse("admin:novasonic_accessrecord_changelist"))
    assert str(conversation.pk) in page.content.decode()
    assert (
        client.post(reverse("admin:novasonic_accessrecord_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    )
    assert client.post(reverse("admin:novasonic_accessrecord_change", args=[row.pk]), {}).status_code == 403
