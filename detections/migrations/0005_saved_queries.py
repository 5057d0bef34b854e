"""Saved queries are a rule type."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("detections", "0004_merged_segments")]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="rule",
            name="type",
            field=models.CharField(
                choices=[
                    ("eql", "Eql"),
                    ("query", "Query"),
                    ("threshold", "Threshold"),
                    ("new_terms", "New Terms"),
                    ("esql", "Esql"),
                    ("machine_learning", "Machine Learning"),
                    ("threat_match", "Threat Match"),
                    ("saved_query", "Saved Query"),
                ],
                max_length=20,
            ),
        ),
    ]
