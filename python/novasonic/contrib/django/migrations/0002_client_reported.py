"""What pages with keys of their own tell of themselves, told apart from what this server knows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("novasonic", "0001_records"),
    ]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="client_reported",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="As its user's page told it, which talked to the service by itself; nobody has checked it.",
                verbose_name="told by the page",
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="last_report",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Number of the last one that its page sent.",
                verbose_name="last report",
            ),
        ),
        migrations.AddField(
            model_name="turn",
            name="client_reported",
            field=models.BooleanField(db_default=False, default=False, verbose_name="told by the page"),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="client_reported",
            field=models.BooleanField(db_default=False, default=False, verbose_name="told by the page"),
        ),
    ]
