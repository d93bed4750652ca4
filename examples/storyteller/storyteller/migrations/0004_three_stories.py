"""Three more stories, and covers for all. Choices are of words that the offline voice has in its dictionary."""

from django.db import migrations

GULL_POINT = "The Lamp of Gull Point"
COVERS = {
    GULL_POINT: {
        "blurb": "For a hundred years the lamp has burned. Tonight it went out, and somewhere beyond the rocks a ship "
        "is coming.",
        "motif": "lighthouse",
        "sky": "#14315c",
        "glow": "#ffd27a",
        "position": 1,
    },
    "The Fox Who Borrowed the Moon": {
        "blurb": "There is a hole in the sky as round as a plate, and at your window stands a fox with a very bright "
        "bucket.",
        "motif": "fox",
        "sky": "#2a1f57",
        "glow": "#ffe3a3",
        "position": 2,
    },
    "The Night Train to Elsewhere": {
        "blurb": "It stops behind your garden, where there have never been any rails. The conductor is an owl, and he "
        "has your ticket.",
        "motif": "train",
        "sky": "#4a1f47",
        "glow": "#ffc07a",
        "position": 3,
    },
    "The Clockmaker's Garden": {
        "blurb": "Here it has been five minutes to midnight for a hundred years. Somebody has lost the last minute, or "
        "hidden it.",
        "motif": "garden",
        "sky": "#123f3e",
        "glow": "#f6d98b",
        "position": 4,
    },
}

AGAIN = ["start again"]

# Number, the choice it follows, text, choices.
FOX = [
    (
        1,
        "",
        "A fox stands at your window with a bucket, and in the bucket swims the moon. I only borrowed it, says the "
        "fox, and now I cannot put it back. High above the hill there is a hole in the sky, as round as a plate.",
        ["carry the bucket", "look into the water"],
    ),
    (
        2,
        "carry the bucket",
        "It is heavier than you thought, for all the tides are in it. You come to the river, but without the moon the "
        "old bridge has fallen asleep, and folded itself up. On the other side the hill is waiting.",
        ["wake the old bridge", "swim through the river"],
    ),
    (
        2,
        "look into the water",
        "In the water the moon has a face, and it is laughing. I have hung up there since the beginning, it says, and "
        "nobody ever asked me to come and play. One game, and I will go home without a fuss.",
        ["play hide and seek", "wake the old bridge"],
    ),
    (
        2,
        "",
        "The fox cannot wait, and trots ahead through the wet grass. The light in the bucket slops from side to side, "
        "and the shadows of the trees dance with it. At the river he stops, and looks round for you.",
        ["wake the old bridge", "swim through the river"],
    ),
    (
        3,
        "wake the old bridge",
        "You knock three times on the cold stone. The bridge yawns, stretches, and lets you over. It even carries you "
        "a little way up the hill, because it has always wanted to know what is there.",
        ["throw the moon high", "let the moon choose"],
    ),
    (
        3,
        "swim through the river",
        "The bucket floats before you like a lantern, and every fish in the river comes up to look. Ever so gently "
        "they push, until you stand dripping on the other bank, and a trout wishes you good luck.",
        ["throw the moon high", "let the moon choose"],
    ),
    (
        3,
        "play hide and seek",
        "The moon hides in a puddle, in a spoon, and in the eye of a cow. It is very bad at hiding, since it shines. "
        "At last it rolls up the hill by itself, out of breath, and as happy as a child on a Saturday.",
        ["throw the moon high", "let the moon choose"],
    ),
    (
        3,
        "",
        "You walk up the hill together, the fox, the bucket and you. The hole in the sky is right above you now. It "
        "is so dark in there that it hums.",
        ["throw the moon high", "let the moon choose"],
    ),
    (
        4,
        "throw the moon high",
        "You swing the bucket once, twice, and up goes the moon, and sticks. It has hung a little crooked ever since; "
        "look up, if you do not believe it. The fox takes off a hat that he does not have. That is the end.",
        AGAIN,
    ),
    (
        4,
        "let the moon choose",
        "The moon thinks about it for a long while. Then it kisses the fox on the tip of his tail, which is why it is "
        "white, and floats up by itself. But one night in every month it stays away, and then you know who is playing "
        "in the river. That is the end.",
        AGAIN,
    ),
    (
        4,
        "",
        "While you two are still talking, the moon has long climbed out of the bucket, and up the sky. You might have "
        "asked me, it says. And the fox goes home with a bucket of plain water, and drinks it. That is the end.",
        AGAIN,
    ),
]

TRAIN = [
    (
        1,
        "",
        "Just before midnight a train stops behind your garden. Its windows are warm and yellow, and the conductor is "
        "an owl in a blue coat. Your ticket says Elsewhere, he tells you, so you may sit wherever you like.",
        ["sit by the window", "visit the kitchen car"],
    ),
    (
        2,
        "sit by the window",
        "The train climbs, until there is nothing below you but clouds with lamps in them. Beside you sits a small "
        "girl made of snow. I am going to the sea, she whispers. I have never seen it, and I am afraid that I shall "
        "melt.",
        ["give her your coat", "ask the owl for help"],
    ),
    (
        2,
        "visit the kitchen car",
        "In the kitchen car a bear in an apron bakes the dreams for tomorrow. But she has run out of moonlight, and "
        "her big bowl is empty. Without it, she says, everybody will dream of stairs again.",
        ["catch some moonlight", "ask the owl for help"],
    ),
    (
        2,
        "",
        "You walk through the long train from end to end. Every door has a name on it, and the last one has yours. "
        "Behind it somebody is crying, very quietly, and the snow on the floor does not melt.",
        ["give her your coat", "ask the owl for help"],
    ),
    (
        3,
        "give her your coat",
        "You lay your coat round the girl of snow, and it keeps the cold in, as good coats do. When the sea comes, "
        "black and silver and without an end, she laughs so loudly that the engine whistles back.",
        ["stay until morning", "ride home again"],
    ),
    (
        3,
        "catch some moonlight",
        "You lean out of the window with the bowl, and the moon pours into it like cream. The bear stirs it in, and "
        "the whole train smells of summer holidays. Take a slice, she says. That one is yours.",
        ["stay until morning", "ride home again"],
    ),
    (
        3,
        "ask the owl for help",
        "The owl turns his head all the way round, which is how owls think. Then he pulls the silver cord, and the "
        "train stops in the middle of the sky. Anywhere is a station, he says, if somebody needs one.",
        ["stay until morning", "ride home again"],
    ),
    (
        3,
        "",
        "Somewhere between two clouds the train goes slower. All the passengers stand at the windows and are quiet, "
        "for down there is the place that each of them has missed the most.",
        ["stay until morning", "ride home again"],
    ),
    (
        4,
        "stay until morning",
        "You stay until the east turns pink. Then you see where Elsewhere is: right above your own house, one cloud "
        "up, where you never looked. The owl bows, and opens the door. That is the end.",
        AGAIN,
    ),
    (
        4,
        "",
        "The train sets you down in the wet grass, and the rails fold up behind it like a fan. In your pocket there "
        "is another ticket. Good for any night, it says, if you leave a window open. That is the end.",
        AGAIN,
    ),
]

GARDEN = [
    (
        1,
        "",
        "Behind the clockmaker's shop lies a garden where it is always five minutes to midnight. The roses tick, very "
        "softly. Tonight the gate stands open, and on it sits a bird of brass, wound down and silent.",
        ["wind up the bird", "listen to the roses"],
    ),
    (
        2,
        "wind up the bird",
        "Seven turns of the key, and the bird shakes out its feathers. The last minute is lost, it sings, and without "
        "it midnight cannot come. It fell into the fountain, or else the ivy has stolen it.",
        ["search the dark fountain", "follow the green ivy"],
    ),
    (
        2,
        "listen to the roses",
        "One of the roses ticks slower than all the others. Between its petals lies a woman no bigger than a thimble, "
        "fast asleep. She holds a golden wheel in her arms, and murmurs: not yet, not yet.",
        ["take the golden wheel", "sing a quiet song"],
    ),
    (
        2,
        "",
        "You walk along the gravel, and it does not crunch. A snail has been crossing the path for a hundred years, "
        "and is nearly there. Somebody lost a minute, it says. Ask the water, or ask the leaves.",
        ["search the dark fountain", "follow the green ivy"],
    ),
    (
        3,
        "search the dark fountain",
        "There is no water in the fountain, only moonlight, cold up to your shoulder. At the bottom lies the minute, "
        "small and round and warm, like a pebble from a beach in August.",
        ["let midnight come", "keep the quiet minute"],
    ),
    (
        3,
        "follow the green ivy",
        "The ivy leads you up the tower, and through the face of the great clock. It holds the minute in a hundred "
        "green fingers. After midnight comes winter, it rustles, and I am so afraid of the frost.",
        ["let midnight come", "keep the quiet minute"],
    ),
    (
        3,
        "take the golden wheel",
        "You carry the wheel up to the great clock as one carries an egg. It fits as if it had only been away for "
        "tea. The hand trembles, and looks down at you, and waits.",
        ["let midnight come", "keep the quiet minute"],
    ),
    (
        3,
        "sing a quiet song",
        "You sing the only lullaby you know. The woman opens her eyes, and grows as tall as the gate: it is the "
        "clockmaker herself. I was so afraid of being late, she says, that I stopped everything. Now you decide.",
        ["let midnight come", "keep the quiet minute"],
    ),
    (
        3,
        "",
        "The bird hops ahead of you, from bed to bed, and then it stands still. Under a leaf lies the minute. "
        "Somebody has covered it up against the cold, with great care.",
        ["let midnight come", "keep the quiet minute"],
    ),
    (
        4,
        "let midnight come",
        "You put the minute into its place, and all the clocks of the town strike twelve, one after the other, like "
        "children who run down a stair. The roses open. And the first snow that falls is warm. That is the end.",
        AGAIN,
    ),
    (
        4,
        "keep the quiet minute",
        "You put the minute into your pocket, and the clock goes on without it. Whenever you need it, at a goodbye, "
        "or before you answer, you may take it out, and the world will wait for you. That is the end.",
        AGAIN,
    ),
    (
        4,
        "",
        "Nobody moves, and nothing happens, and it happens for a long time. Then the snail arrives at the other side "
        "of the path, and it is midnight after all. That is the end.",
        AGAIN,
    ),
]

STORIES = {
    "The Fox Who Borrowed the Moon": FOX,
    "The Night Train to Elsewhere": TRAIN,
    "The Clockmaker's Garden": GARDEN,
}


def write(apps, schema_editor):
    """Put the stories in, and all covers on."""
    stories, chapters = apps.get_model("storyteller", "Story"), apps.get_model("storyteller", "Chapter")
    for title, told in STORIES.items():
        story = stories.objects.create(title=title)
        chapters.objects.bulk_create(
            chapters(story=story, number=number, after=after, text=text, choices=choices)
            for number, after, text, choices in told
        )
    for title, cover in COVERS.items():
        stories.objects.filter(title=title).update(**cover)


def remove(apps, schema_editor):
    """Take them out again."""
    apps.get_model("storyteller", "Story").objects.filter(title__in=STORIES).delete()


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("storyteller", "0003_shelf")]
    operations = [migrations.RunPython(write, remove)]
