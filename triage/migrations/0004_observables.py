"""Observables, and frozen events in short."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0003_pivots_asked_by_people")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="EventSummary",
            fields=[
                (
                    "evidence",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="summary",
                        serialize=False,
                        to="triage.evidence",
                    ),
                ),
                ("identity", models.CharField(max_length=64)),
                ("event_at", models.DateTimeField()),
                ("host", models.CharField(blank=True, max_length=255)),
                ("kind", models.CharField(blank=True, max_length=15)),
                ("action", models.CharField(blank=True, max_length=64)),
                ("is_start", models.BooleanField(default=False, help_text="of a process")),
                (
                    "is_end",
                    models.BooleanField(default=False, help_text="of a process, connection or session"),
                ),
                ("what", models.CharField(blank=True, max_length=200)),
                ("process_name", models.CharField(blank=True, max_length=255)),
                ("process_key", models.CharField(blank=True, max_length=255)),
                ("pid", models.CharField(blank=True, max_length=20)),
                ("parent_name", models.CharField(blank=True, max_length=255)),
                ("parent_key", models.CharField(blank=True, max_length=255)),
                ("parent_pid", models.CharField(blank=True, max_length=20)),
                ("remote", models.CharField(blank=True, max_length=80)),
                ("dns_name", models.CharField(blank=True, max_length=255)),
                ("resolved", models.JSONField(default=list)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="event_summaries",
                        to="triage.case",
                    ),
                ),
                (
                    "pivot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="summaries",
                        to="triage.pivotrun",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "event summaries",
                "indexes": [
                    models.Index(fields=["case", "event_at"], name="summary_by_time"),
                    models.Index(fields=["case", "identity"], name="summary_by_identity"),
                    models.Index(fields=["case", "process_key"], name="summary_by_process"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Observable",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("ip", "Ip"),
                            ("domain", "Domain"),
                            ("hash", "Hash"),
                            ("user", "User"),
                            ("host", "Host"),
                            ("process", "Process"),
                            ("url", "Url"),
                        ],
                        max_length=10,
                    ),
                ),
                ("value", models.TextField()),
                ("spelling", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("event_count", models.PositiveIntegerField(default=0)),
                ("sources", models.JSONField(default=list)),
                ("evidence", models.JSONField(default=list)),
                ("hosts", models.JSONField(default=list)),
                ("marks", models.JSONField(default=list)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="observables",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["case", "type", "value"],
                "indexes": [models.Index(fields=["digest", "type"], name="observable_elsewhere")],
                "constraints": [
                    models.UniqueConstraint(fields=("case", "type", "digest"), name="observable_once_a_case")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="evidence",
            index=models.Index(
                condition=models.Q(("pinned_at__isnull", False)), fields=["pivot"], name="evidence_pinned"
            ),
        ),
    ]
