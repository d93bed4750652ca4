"""What is told, how far each listener has come, and which conversations belong together."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

# They go into the attributes of an SVG.
colour = RegexValidator(r"^#[0-9a-f]{6}\Z", "A colour is # and six digits, as in #f0c674.")


class Story(models.Model):
    """A story in chapters, and how its cover looks."""

    class Motif(models.TextChoices):
        """What is drawn on the cover: ``templates/storyteller/covers/``."""

        NIGHT = "night"
        LIGHTHOUSE = "lighthouse"
        TRAIN = "train"
        FOX = "fox"
        GARDEN = "garden"

    title = models.CharField(max_length=200, unique=True)
    blurb = models.CharField(max_length=300, blank=True, help_text="One or two sentences that make one curious.")
    motif = models.CharField(max_length=20, choices=Motif.choices, default=Motif.NIGHT)
    sky = models.CharField(max_length=7, default="#1b2150", validators=(colour,))
    glow = models.CharField(max_length=7, default="#f0c674", validators=(colour,))
    position = models.PositiveSmallIntegerField(default=0, help_text="On the shelf, from the left.")

    class Meta:
        ordering = ("position", "pk")
        verbose_name_plural = "stories"

    def __str__(self) -> str:
        return self.title


class Chapter(models.Model):
    """One way the story goes on; several chapters may have one number."""

    story = models.ForeignKey(Story, models.CASCADE, related_name="chapters")
    number = models.PositiveSmallIntegerField()
    after = models.CharField(
        max_length=200, blank=True, help_text="The choice it follows, of any earlier chapter; empty: all others."
    )
    text = models.TextField()
    choices = models.JSONField(default=list, help_text="What the listener may say then.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["story", "number", "after"], name="one_chapter_for_a_choice"),)

    def __str__(self) -> str:
        return f"{self.story}, {self.number} {self.after}".rstrip()


class Telling(models.Model):
    """One listener hears one story, in as many conversations as it takes."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    story = models.ForeignKey(Story, models.CASCADE, related_name="+")
    chapter = models.ForeignKey(
        Chapter, models.SET_NULL, null=True, blank=True, related_name="+", help_text="The one told last."
    )
    begun_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.story} for {self.user}"


class Choice(models.Model):
    """What the listener decided."""

    telling = models.ForeignKey(Telling, models.CASCADE, related_name="choices")
    text = models.CharField(max_length=200)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.text


class Sitting(models.Model):
    """One conversation of a telling. What was said in it is in novasonic's records, under the same id."""

    telling = models.ForeignKey(Telling, models.CASCADE, related_name="sittings")
    # Not a foreign key: records may be in another database, and are pruned by themselves.
    conversation = models.UUIDField(unique=True)
    begun_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.telling}, {self.conversation}"
