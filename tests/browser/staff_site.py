# ruff: noqa: E402 - Django first
"""A site that has had conversations: one that ended and was recorded, one that goes on."""

import array
import io
import math
import wave
from datetime import timedelta

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

application = ASGIStaticFilesHandler(get_asgi_application())

from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.utils import timezone

from novasonic.contrib.django.models import Conversation, ToolCall, Turn, UsageRecord
from novasonic.contrib.django.records.recording import recordings_storage

SAID = (
    ("Good evening. Do you have a table for two?", "We do, at eight. Shall I write it down?"),
    ("Please do. The name is Ada.", "A table for two at eight, for Ada. And would you like to"),
)


def sound():
    samples = array.array("h", (int(9_000 * math.sin(n / 9)) for n in range(2 * 2 * 24_000)))
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((2, 2, 24_000, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())
    return ContentFile(file.getvalue())


def fill():
    people = get_user_model().objects
    people.create_superuser("grace", password="for tests")
    ada = people.create_user("ada")
    began = timezone.now() - timedelta(minutes=3)
    over = Conversation.objects.create(
        owner=str(ada.pk),
        user=ada,
        consumer="restaurant.consumers.Reservations",
        model="amazon.nova-2-sonic-v1:0",
        region="eu-north-1",
        voice="tiffany",
        started_at=began,
        ended_at=began + timedelta(seconds=48),
        reason="closed",
        usd="0.0213",
        recordings=[recordings_storage().save("novasonic/evening.wav", sound())],
        consented=True,
        transcripts="full",
    )
    for number, (user, assistant) in enumerate(SAID, 1):
        Turn.objects.create(
            conversation=over,
            number=number,
            user_text=user,
            assistant_text=assistant,
            interrupted=number == 2,
            started_at=began,
            response_seconds=0.74,
        )
        UsageRecord.objects.create(
            conversation=over, turn=number, speech_in=120, text_in=400, speech_out=260, text_out=50, usd="0.0106"
        )
    ToolCall.objects.create(
        conversation=over, call_id="1", turn=2, name="reserve", arguments={"name": "Ada"}, ok=True, started_at=began
    )
    Conversation.objects.create(owner="guest", consumer="restaurant.consumers.Reservations", voice="matthew")


if not get_user_model().objects.exists():
    fill()
