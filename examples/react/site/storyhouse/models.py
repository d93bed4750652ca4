"""Which conversation told which story."""

from django.db import models


class Telling(models.Model):
    """Stands beside a conversation of novasonic's records, whose tables hold what was said."""

    # No foreign key: records may be in another database, and are pruned by their own rules.
    conversation = models.UUIDField(primary_key=True)
    story = models.SlugField()

    def __str__(self) -> str:
        return f"{self.story} in {self.conversation}"
