"""Recordings: where sound is placed on the tape, who is recorded, and what becomes of the file."""

import array
import asyncio
import io
import math
import subprocess
import sys
import wave

import pytest
from django.conf import settings
from django.core.files.storage import storages
from django.test import override_settings
from recordsupport import writer  # noqa: F401

from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.models import Conversation
from novasonic.contrib.django.records import recording
from novasonic.contrib.django.records.companion import Records
from novasonic.contrib.django.records.tape import RATE, Tape


def tone(seconds, rate=RATE, hz=440):
    return array.array("h", (int(9_000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(seconds * rate))))


def played(tape, ended):
    """Both tracks, as where each is loud: (from, to) in seconds."""
    file = io.BytesIO()
    tape.write_wav(file, ended)
    tape.close()
    file.seek(0)
    with wave.open(file) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, RATE, 2)
        samples = array.array("h", wav.readframes(wav.getnframes()))
    assert len(samples) / 2 / RATE == pytest.approx(ended, abs=0.05)
    return loud(samples[0::2]), loud(samples[1::2])


def loud(samples):
    step = RATE // 100
    blocks = [max(map(abs, samples[at : at + step])) > 1_000 for at in range(0, len(samples), step)]
    spans, began = [], None
    for number, is_loud in enumerate([*blocks, False]):
        if is_loud and began is None:
            began = number
        elif not is_loud and began is not None:
            spans.append((began / 100, number / 100))
            began = None
    return spans


def test_the_user_is_left_and_the_assistant_right_as_it_was_played():
    tape = Tape(16_000)
    pcm = tone(1.0, 16_000).tobytes()
    for at in range(0, len(pcm), 1_024):
        tape.heard((at + 1_024) / 32_000, pcm[at : at + 1_024])
    answer = tone(2.0).tobytes()
    for at in range(0, len(answer), 4_800):  # all at once, as the service gives it
        tape.spoken(1.5, 1, answer[at : at + 4_800], RATE)
    tape.heard(5.0, tone(0.5, 16_000).tobytes())
    left, right = played(tape, 6.0)
    assert len(left) == 2
    assert left[0] == pytest.approx((0.0, 1.0), abs=0.03)
    assert left[1] == pytest.approx((4.5, 5.0), abs=0.03)
    assert len(right) == 1
    assert right[0] == pytest.approx((1.5, 3.5), abs=0.03)


@pytest.mark.parametrize(("reported", "until"), [(None, 1.8), (600, 1.6)])
def test_an_answer_that_was_talked_over_ends_where_it_was_last_heard(reported, until):
    tape = Tape(16_000)
    for _ in range(10):
        tape.spoken(1.0, 1, tone(0.5).tobytes(), RATE)
    tape.interrupted(1.8, 1)
    if reported is not None:
        tape.played(1, 300)
        tape.played(1, reported)
    tape.spoken(3.0, 2, tone(0.5).tobytes(), RATE)
    _, right = played(tape, 5.0)
    assert len(right) == 2
    assert right[0] == pytest.approx((1.0, until), abs=0.03)
    assert right[1] == pytest.approx((3.0, 3.5), abs=0.03)


def test_sound_of_another_rate_keeps_its_length_and_the_end_cuts_what_was_still_to_come():
    tape = Tape(8_000)
    tape.spoken(0.5, 1, tone(1.0, 16_000).tobytes(), 16_000)
    tape.spoken(0.5, 1, tone(1.0, 16_000).tobytes(), 16_000)
    tape.heard(1.0, tone(1.0, 8_000).tobytes())
    left, right = played(tape, 2.0)
    assert left[0] == pytest.approx((0.0, 1.0), abs=0.05)
    assert right[0] == pytest.approx((0.5, 2.0), abs=0.05)


def test_a_conversation_without_sound_is_silent():
    assert played(Tape(16_000), 0.5) == ([], [])


class Talker(NovaSonicConsumer):
    system = "You are a parrot."

    async def has_consent(self):
        return True

    def get_companions(self):
        return (Records(self),)


@pytest.fixture
def site(parrot, use_emulator, writer, tmp_path):  # noqa: F811
    use_emulator(parrot)
    stored = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "sound": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    keys = settings.NOVASONIC | {"RECORD_AUDIO": True, "RECORDINGS_STORAGE": "sound"}
    with override_settings(STORAGES=stored, NOVASONIC=keys):
        yield


async def talk(open_page, consumer=Talker, *, meanwhile=None):
    async with open_page(consumer) as page:
        speech = tone(1.0, 16_000, 300).tobytes()
        for at in range(0, len(speech), 1_024):
            await page.send_audio(speech[at : at + 1_024])
        await page.until("turn_ended", turn=1)
        if meanwhile is not None:
            await meanwhile()
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
    assert await asyncio.to_thread(recording.flush, 20)


@pytest.mark.usefixtures("site")
@pytest.mark.django_db(transaction=True)
async def test_who_agreed_is_recorded(open_page):
    await talk(open_page)
    conversation = await Conversation.objects.aget()
    assert conversation.consented
    (name,) = conversation.recordings
    assert str(conversation.pk) in name
    with storages["sound"].open(name) as file, wave.open(file) as wav:
        samples = array.array("h", wav.readframes(wav.getnframes()))
    assert loud(samples[0::2])
    assert loud(samples[1::2])
    assert recording.snapshot()["waiting_bytes"] == 0


@pytest.mark.usefixtures("site")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("why", ["nobody asked", "the site does not"])
async def test_who_did_not_agree_is_not_recorded(open_page, why, tmp_path):
    class Reserved(Talker):
        async def has_consent(self):
            return why != "nobody asked"

    with override_settings(NOVASONIC=settings.NOVASONIC | {"RECORD_AUDIO": why == "nobody asked"}):
        await talk(open_page, Reserved)
    conversation = await Conversation.objects.aget()
    assert (conversation.consented, conversation.recordings) == (False, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("site")
@pytest.mark.django_db(transaction=True)
async def test_what_was_deleted_while_it_was_recorded_leaves_no_file(open_page, tmp_path):
    async def delete():
        await Conversation.objects.all().adelete()

    await talk(open_page, meanwhile=delete)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("site")
@pytest.mark.django_db(transaction=True)
async def test_a_storage_that_fails_costs_the_recording_and_nothing_else(open_page, monkeypatch, caplog):
    def refuse(self, name, content):
        raise OSError("no space left")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", refuse)
    await talk(open_page)
    assert "could not be kept: OSError" in caplog.text
    assert (await Conversation.objects.aget()).reason == "closed"


@pytest.mark.usefixtures("site")
@pytest.mark.django_db(transaction=True)
async def test_sound_for_which_there_is_no_room_is_dropped_and_counted(open_page, monkeypatch):
    monkeypatch.setattr(recording, "MAX_WAITING_BYTES", 0)
    before = recording.snapshot()["dropped_bytes"]
    await talk(open_page)
    assert recording.snapshot()["dropped_bytes"] > before


AT_EXIT = """
import time
from novasonic.contrib.django.records.lane import get_lane

tapes, files = get_lane("tapes"), get_lane("files")
tapes.do(int)
files.do(int)  # of an earlier recording: whoever began last ends first
tapes.do(lambda: (time.sleep(0.3), files.do(print, "kept")))
"""


def test_a_recording_that_is_handed_over_at_exit_is_kept():
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("kept\n", "")
