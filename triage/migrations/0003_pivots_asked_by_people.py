"""Pivots that people ask for, evidence that came late, and look-ups that are not kept with a case."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

SCOPES = [
    ("written", "as the guide asks"),
    ("host", "this host"),
    ("others", "other hosts"),
    ("all", "all hosts"),
]
ORIGINS = [("guide", "Guide"), ("follow_up", "Follow Up"), ("own", "Own")]
LOOK_UPS = [("rarity", "Rarity"), ("comparison", "Comparison")]
LOOK_UP_STATES = [("waiting", "Waiting"), ("done", "Done"), ("failed", "Failed")]
OF_A_PERSON = models.Q(
    ("origin", "guide"), models.Q(("asked_by__isnull", False), ("counts", False)), _connector="OR"
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("triage", "0002_notifications_and_storm_columns"),
        ("detections", "0005_saved_queries"),
    ]

    operations: ClassVar = [
        migrations.AddField("evidence", "is_new", models.BooleanField(default=False)),
        migrations.AddField("pivotrun", "added", models.PositiveIntegerField(default=0)),
        migrations.AddField("pivotrun", "asked", models.JSONField(default=dict)),
        migrations.AddField("pivotrun", "asked_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "pivotrun",
            "asked_by",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("pivotrun", "counts", models.BooleanField(default=True)),
        migrations.AddField(
            "pivotrun",
            "from_row",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="follow_ups",
                to="triage.evidence",
            ),
        ),
        migrations.AddField("pivotrun", "gone", models.PositiveIntegerField(default=0)),
        migrations.AddField("pivotrun", "is_after_closing", models.BooleanField(default=False)),
        migrations.AddField(
            "pivotrun", "origin", models.CharField(choices=ORIGINS, default="guide", max_length=10)
        ),
        migrations.AddField("pivotrun", "reach_after", models.PositiveIntegerField(null=True)),
        migrations.AddField("pivotrun", "reach_before", models.PositiveIntegerField(null=True)),
        migrations.AddField(
            "pivotrun", "scope", models.CharField(choices=SCOPES, default="written", max_length=10)
        ),
        migrations.AddField("question", "has_new_evidence", models.BooleanField(default=False)),
        migrations.AddField("question", "reopened_at", models.DateTimeField(null=True)),
        migrations.AddConstraint(
            "pivotrun",
            models.CheckConstraint(condition=OF_A_PERSON, name="pivot_of_a_person_counts_not"),
        ),
        migrations.CreateModel(
            name="LookUp",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(choices=LOOK_UPS, max_length=12)),
                ("subject", models.JSONField()),
                ("key", models.CharField(db_index=True, max_length=64)),
                (
                    "state",
                    models.CharField(choices=LOOK_UP_STATES, default="waiting", max_length=10),
                ),
                ("result", models.JSONField(default=dict)),
                ("error", models.TextField(blank=True)),
                ("asked_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="look_ups",
                        to="triage.case",
                    ),
                ),
            ],
            options={"ordering": ["-pk"]},
        ),
    ]
