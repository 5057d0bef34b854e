"""What an Elasticsearch store keeps."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("detections", "0005_saved_queries")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="rule",
            name="clock_repaired",
            field=models.BooleanField(default=False, verbose_name="search in the order of event.created too"),
        ),
        migrations.AddField(
            model_name="rule",
            name="true_up",
            field=models.BooleanField(default=True, verbose_name="search again for late events"),
        ),
        migrations.AlterField(
            model_name="rulerun",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("schedule", "Schedule"),
                    ("import", "Import"),
                    ("manual", "Manual"),
                    ("back", "back-search"),
                    ("true_up", "true-up"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="TrueUp",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("delay_seconds", models.PositiveIntegerField()),
                ("searched_until", models.DateTimeField()),
                ("tried_at", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="true_ups",
                        to="detections.rule",
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "delay_seconds"],
                "constraints": [
                    models.UniqueConstraint(fields=("rule", "delay_seconds"), name="true_up_pass")
                ],
            },
        ),
    ]
