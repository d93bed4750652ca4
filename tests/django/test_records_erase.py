"""What people and the law may ask for: deletion, export, an end of keeping."""

import io
import json
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from novasonic.contrib.django.models import AccessRecord, Conversation, Turn
from novasonic.contrib.django.records import erase
from novasonic.contrib.django.records.erase import delete_of, prune

pytestmark = pytest.mark.django_db

SUPERVISION = "novasonic.contrib.django.workers.supervision"


@pytest.fixture(autouse=True)
def _storage(tmp_path):
    stored = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with override_settings(STORAGES=stored):
        yield


def talk(owner="ada", *, days=0, recorded=False, user=None):
    at = timezone.now() - timedelta(days=days)
    names = [storages["default"].save("novasonic/a.wav", ContentFile(b"RIFF"))] if recorded else []
    made = Conversation.objects.create(
        owner=owner, user=user, started_at=at, updated_at=at, ended_at=at, reason="closed", recordings=names
    )
    Turn.objects.create(conversation=made, number=1, user_text=f"I am {owner}", started_at=at)
    return made


def run(command, *args):
    out = io.StringIO()
    call_command(command, *args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def remaining():
    return set(Conversation.objects.values_list("pk", flat=True))


def test_what_is_older_than_the_setting_says_is_pruned_with_its_files(monkeypatch):
    monkeypatch.setattr(erase, "BATCH", 2)
    old = [talk(days=31, recorded=True) for _ in range(5)]
    young = talk(days=29, recorded=True)
    assert "5 conversations and 5 recordings would be deleted" in run("novasonic_prune", "--dry-run")
    assert len(remaining()) == 6
    assert "5 conversations and 5 recordings deleted" in run("novasonic_prune")
    assert remaining() == {young.pk}
    assert Turn.objects.count() == 1
    assert [storages["default"].exists(one.recordings[0]) for one in old] == [False] * 5
    assert storages["default"].exists(young.recordings[0])


def test_nothing_is_too_old_where_everything_is_kept():
    talk(days=4_000)
    with override_settings(NOVASONIC={"RETENTION_DAYS": None}):
        assert "nothing is too old" in run("novasonic_prune")
        assert prune().conversations == 0
        assert len(remaining()) == 1
        assert "1 conversations" in run("novasonic_prune", "--days", "30")


def test_a_conversation_stays_whose_recording_cannot_be_deleted(monkeypatch, caplog):
    stays, goes = talk(days=40, recorded=True), talk(days=40)

    def refuse(self, name):
        raise PermissionError("read-only")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.delete", refuse)
    with pytest.raises(CommandError, match="1 conversations stay"):
        run("novasonic_prune")
    assert remaining() == {stays.pk}
    assert "PermissionError" in caplog.text
    assert goes.pk not in remaining()


def test_the_audit_outlives_what_it_tells_of_until_somebody_says_otherwise():
    AccessRecord.objects.create(action="read", at=timezone.now() - timedelta(days=400))
    AccessRecord.objects.create(action="read")
    run("novasonic_prune")
    assert AccessRecord.objects.count() == 2
    assert "1 access records would" in run("novasonic_prune", "--access-days", "365", "--dry-run")
    run("novasonic_prune", "--access-days", "365")
    assert AccessRecord.objects.count() == 1


@pytest.mark.parametrize("by", ["owner", "user"])
def test_everything_of_one_person_is_deleted(by, monkeypatch):
    hung_up = []
    monkeypatch.setattr(erase, "hang_up", hung_up.append)
    ada = get_user_model().objects.create(username="ada")
    mine = [talk("7", user=ada, recorded=True), talk("7", user=ada)]
    Conversation.objects.filter(pk=mine[1].pk).update(ended_at=None)
    other = talk("8")
    args = ("--owner", "7") if by == "owner" else ("--user", "ada")
    assert "2 conversations and 1 recordings would" in run("novasonic_prune", *args, "--dry-run")
    assert not AccessRecord.objects.exists()
    run("novasonic_prune", *args)
    assert remaining() == {other.pk}
    assert hung_up == [mine[1].pk]
    assert not storages["default"].exists(mine[0].recordings[0])
    row = AccessRecord.objects.get()
    assert (row.action, row.username, row.detail) == ("deleted", "", "novasonic_prune")


def test_hanging_up_reaches_a_worker_that_nobody_reaches(monkeypatch):
    asked = []

    async def none_holds_it(conversation_id):
        asked.append(conversation_id)
        return False

    monkeypatch.setitem(sys.modules, SUPERVISION, SimpleNamespace(hang_up=none_holds_it))
    lost, over = talk(), talk()
    Conversation.objects.filter(pk=lost.pk).update(ended_at=None, reason="")
    assert erase.hang_up(lost.pk)
    lost.refresh_from_db()
    assert (lost.generation, lost.reason) == (2, "closed")
    assert lost.ended_at is not None
    assert not erase.hang_up(over.pk)
    assert asked == [lost.pk, over.pk]


def test_a_worker_that_holds_it_ends_it_itself(monkeypatch):
    async def ended(conversation_id):
        return True

    monkeypatch.setitem(sys.modules, SUPERVISION, SimpleNamespace(hang_up=ended))
    held = talk()
    Conversation.objects.filter(pk=held.pk).update(ended_at=None)
    assert erase.hang_up(held.pk)
    held.refresh_from_db()
    assert (held.generation, held.ended_at) == (1, None)


def test_without_workers_that_know_each_other_the_row_alone_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, SUPERVISION, None)
    lost = talk()
    Conversation.objects.filter(pk=lost.pk).update(ended_at=None)
    assert erase.hang_up(lost.pk)


def test_nobodys_records_are_not_deleted_by_mistake():
    talk("")
    with pytest.raises(ValueError, match="owner or a user"):
        delete_of()
    with pytest.raises(ValueError, match="owner or a user"):
        delete_of(owner="")
    for command in ("novasonic_prune", "novasonic_export"):
        with pytest.raises(CommandError, match="--owner is empty"):
            run(command, "--owner", "")
    with pytest.raises(TypeError, match="takes a User"):
        delete_of(user="ada")
    with pytest.raises(CommandError, match="no such user"):
        run("novasonic_prune", "--user", "eve")
    assert len(remaining()) == 1


def test_a_user_who_is_deleted_leaves_conversations_of_nobody():
    ada = get_user_model().objects.create(username="ada")
    made = talk("7", user=ada)
    ada.delete()
    made.refresh_from_db()
    assert (made.user_id, made.owner) == (None, "7")


@pytest.mark.parametrize("by", ["conversation", "owner", "user"])
def test_an_export_is_json_of_one_or_all_and_is_audited(by, tmp_path):
    ada = get_user_model().objects.create(username="ada")
    first, second, _ = talk("7", days=1, user=ada), talk("7", user=ada), talk("8")
    args = {"conversation": str(first.pk), "owner": "7", "user": "ada"}
    whose = {"conversation": [first.pk]}.get(by, [first.pk, second.pk])
    exported = json.loads(run("novasonic_export", f"--{by}", args[by]))
    assert [one["id"] for one in exported] == [str(pk) for pk in whose]
    assert exported[0]["turns"][0]["user_text"] == "I am 7"
    file = tmp_path / "out.json"
    run("novasonic_export", f"--{by}", args[by], "--output", str(file))
    assert json.loads(file.read_text()) == exported
    assert AccessRecord.objects.filter(action="exported", conversation=first.pk).count() == 2


def test_an_export_of_nobody_says_so():
    with pytest.raises(CommandError, match="no such user"):
        run("novasonic_export", "--user", "eve")
    assert json.loads(run("novasonic_export", "--owner", "eve")) == []
