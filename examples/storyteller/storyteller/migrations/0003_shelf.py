"""Covers on the shelf, the chapter told last in place of its number, and which conversations a telling had."""

import django.db.models.deletion
from django.core.validators import RegexValidator
from django.db import migrations, models


def colour(default):
    """Make a column for a colour."""
    rule = RegexValidator(r"^#[0-9a-f]{6}\Z", "A colour is # and six digits, as in #f0c674.")
    return models.CharField(default=default, max_length=7, validators=[rule])


MOTIFS = [
    ("night", "Night"),
    ("lighthouse", "Lighthouse"),
    ("train", "Train"),
    ("fox", "Fox"),
    ("garden", "Garden"),
]


class Migration(migrations.Migration):
    """Tellings of before begin anew: a number does not say which of its chapters was told."""

    dependencies = [("storyteller", "0002_gull_point")]

    operations = [
        migrations.AlterModelOptions(
            name="story", options={"ordering": ("position", "pk"), "verbose_name_plural": "stories"}
        ),
        migrations.AlterModelOptions(name="telling", options={"ordering": ("-pk",)}),
        migrations.RemoveField(model_name="telling", name="heard"),
        migrations.AddField(
            model_name="story",
            name="blurb",
            field=models.CharField(blank=True, help_text="One or two sentences that make one curious.", max_length=300),
        ),
        migrations.AddField(model_name="story", name="glow", field=colour("#f0c674")),
        migrations.AddField(
            model_name="story",
            name="motif",
            field=models.CharField(choices=MOTIFS, default="night", max_length=20),
        ),
        migrations.AddField(
            model_name="story",
            name="position",
            field=models.PositiveSmallIntegerField(default=0, help_text="On the shelf, from the left."),
        ),
        migrations.AddField(model_name="story", name="sky", field=colour("#1b2150")),
        migrations.AddField(
            model_name="telling",
            name="chapter",
            field=models.ForeignKey(
                blank=True,
                help_text="The one told last.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="storyteller.chapter",
            ),
        ),
        migrations.CreateModel(
            name="Sitting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("conversation", models.UUIDField(unique=True)),
                ("begun_at", models.DateTimeField(auto_now_add=True)),
                (
                    "telling",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sittings",
                        to="storyteller.telling",
                    ),
                ),
            ],
            options={"ordering": ("pk",)},
        ),
    ]
