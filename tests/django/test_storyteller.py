"""The example's story: who stands where in it, and that the model's calls go there."""

import asyncio
import json
import sqlite3

import pytest
import websockets
from django.contrib.auth import get_user_model
from django.core.management import call_command
from websupport import ROOT, running_site

from novasonic.emulator import Emulator


@pytest.fixture
def listener(db):
    """Make listeners in a database that holds the shipped stories alone."""
    return lambda name: get_user_model().objects.create(username=name)


@pytest.mark.django_db
def test_the_model_and_its_migrations_agree():
    call_command("makemigrations", "storyteller", check=True, dry_run=True, verbosity=0)


def hear(user, *choices):
    """Decide, one choice after the other, and hear what follows each."""
    from storyteller.telling import next_chapter, remember_choice

    heard = []
    for choice in choices:
        assert remember_choice(user, choice)
        heard.append(next_chapter(user)["text"])
    return heard


def test_what_was_chosen_early_tells_late(listener):
    from storyteller.telling import choices_of, next_chapter

    ada, eve = listener("ada"), listener("eve")
    first = next_chapter(ada)
    assert first == next_chapter(eve)
    assert (first["title"], first["chapter"]) == ("The Lamp of Gull Point", 1)
    theirs = {}
    for user, way in ((ada, "Knock on the  cottage."), (eve, "go to the lighthouse")):
        assert way.lower().split()[0] in " ".join(first["choices"])
        theirs[user] = hear(user, way, "climb down to the cave", "light the lamp", "go on with the story")
    # The same in between, and another beginning and end.
    assert [a == e for a, e in zip(theirs[ada], theirs[eve], strict=True)] == [False, True, True, False]
    assert "silver key" in theirs[ada][-1]
    assert choices_of(eve)[0] == "go to the lighthouse"
    assert choices_of(ada)[0] == "knock on the cottage"


def test_after_the_end_it_begins_again_and_so_it_does_when_asked_to(listener):
    from storyteller.telling import choices_of, next_chapter

    ada = listener("ada")
    chapters = [next_chapter(ada)["chapter"] for _ in range(7)]
    assert chapters == [1, 2, 3, 4, 5, 1, 2]
    hear(ada, "fly to the moon")
    assert next_chapter(ada, start_again=True)["chapter"] == 1
    assert choices_of(ada) == []


def test_where_no_story_is_nothing_is_told(listener):
    from storyteller.models import Story
    from storyteller.telling import choices_of, next_chapter, remember_choice

    ada = listener("ada")
    Story.objects.all().delete()
    assert next_chapter(ada) is None
    assert not remember_choice(ada, "run")
    assert choices_of(ada) == []


@pytest.mark.slow
async def test_the_model_tells_it_and_the_page_remembers(tmp_path):
    with (
        Emulator(brain="voice") as emulator,
        running_site(
            "storyteller.asgi:application",
            emulator,
            state=tmp_path,
            path=ROOT / "examples" / "storyteller",
            settings="storyteller.settings",
        ) as site,
    ):
        headers = {"Cookie": site.sign_in()}
        told = []
        async with websockets.connect(
            site.socket_url + "story/ws/", origin=site.origin, additional_headers=headers
        ) as page:
            for words in ("Tell me a story.", "Go to the lighthouse."):
                await page.send(json.dumps({"type": "text_message", "text": words}))
                told.append(await whole_turn(page))
        assert "book of Gull Point" in told[0]
        assert "go to the lighthouse" in told[0]
        assert "stands ajar" in told[1]
        _, _, html = site.request("GET", "/", headers=headers)
        assert "So far you chose to go to the lighthouse." in html
    database = sqlite3.connect(tmp_path / "storyteller.sqlite3")
    assert database.execute("SELECT heard FROM storyteller_telling").fetchall() == [(2,)]
    database.close()


async def whole_turn(page):
    said = []
    async with asyncio.timeout(30):
        while True:
            frame = await page.recv()
            message = json.loads(frame) if isinstance(frame, str) else {"type": "audio"}
            if message["type"] == "turn_ended":
                return " ".join(said)
            if message["type"] == "transcript" and message["role"] == "assistant":
                said.append(message["text"])
