"""What is told, and how far each listener has come."""

from django.conf import settings
from django.db import models


class Story(models.Model):
    """A story in chapters."""

    title = models.CharField(max_length=200, unique=True)

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
    """One listener hears one story; the newest is the one that goes on."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    story = models.ForeignKey(Story, models.CASCADE, related_name="+")
    heard = models.PositiveSmallIntegerField(default=0, help_text="Number of the last chapter told.")
    begun_at = models.DateTimeField(auto_now_add=True)

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
