"""The first story. The offline voice understands the choices that stand here."""

from django.db import migrations

TITLE = "The Lamp of Gull Point"

# Number, the choice it follows, text, choices.
CHAPTERS = [
    (
        1,
        "",
        "Tonight I open the book of Gull Point. For a hundred years its lamp has burned, and this evening it did not. "
        "You come along the beach with a lantern in your hand, and two windows look down at you.",
        ["go to the lighthouse", "knock on the cottage"],
    ),
    (
        2,
        "go to the lighthouse",
        "The great door stands ajar. On the lowest stair lies a note: the sea has taken my boat, "
        "look for me below the rocks.",
        ["climb the stairs", "climb down to the cave"],
    ),
    (
        2,
        "knock on the cottage",
        "The keeper's sister pours you hot tea and presses a small silver key into your hand. "
        "He went below the rocks this morning, she says, and the kettle has been singing for him ever since.",
        ["climb the stairs", "climb down to the cave"],
    ),
    (
        2,
        "",
        "You go your own way along the beach, until footprints cross your path: up to the tower, and below the rocks.",
        ["climb the stairs", "climb down to the cave"],
    ),
    (
        3,
        "climb down to the cave",
        "Between the rocks sits the old keeper, one foot caught under a stone, and a seal keeps him warm. "
        "You free him, and he points up to the tower: quick, the ship.",
        ["light the lamp", "sound the fog horn"],
    ),
    (
        3,
        "",
        "A hundred and twenty steps, and you stand beside the cold lamp. Far out, a row of lights comes right at you.",
        ["light the lamp", "sound the fog horn"],
    ),
    (
        4,
        "light the lamp",
        "One match, and a white beam walks out over the water. The ship sees it, leans over, and turns.",
        ["go on with the story"],
    ),
    (
        4,
        "sound the fog horn",
        "The horn bellows like a bull under water. Far out somebody answers, and the row of lights stands still.",
        ["go on with the story"],
    ),
    (
        4,
        "",
        "You wave your lantern from the gallery until your arms are heavy. At the last moment the ship turns.",
        ["go on with the story"],
    ),
    (
        5,
        "knock on the cottage",
        "In the morning you bring back the silver key. Keep it, says the keeper's sister, for whoever drank my tea "
        "has a home at Gull Point. That is the end.",
        ["start again"],
    ),
    (
        5,
        "",
        "In the morning nobody on board knows your name. But the lamp burns, and the gulls know you. That is the end.",
        ["start again"],
    ),
]


def write(apps, schema_editor):
    """Put the story in."""
    story = apps.get_model("storyteller", "Story").objects.create(title=TITLE)
    chapter = apps.get_model("storyteller", "Chapter")
    chapter.objects.bulk_create(
        chapter(story=story, number=number, after=after, text=text, choices=choices)
        for number, after, text, choices in CHAPTERS
    )


def remove(apps, schema_editor):
    """Take it out again."""
    apps.get_model("storyteller", "Story").objects.filter(title=TITLE).delete()


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("storyteller", "0001_stories")]
    operations = [migrations.RunPython(write, remove)]
