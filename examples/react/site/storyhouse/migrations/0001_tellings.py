"""Which conversation told which story."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Telling",
            fields=[
                ("conversation", models.UUIDField(primary_key=True, serialize=False)),
                ("story", models.SlugField()),
            ],
        ),
    )
