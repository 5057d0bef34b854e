"""Scope searches and case packs."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("triage", "0010_exception_watch"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ScopeRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("partial", "Partial"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("window_start", models.DateTimeField()),
                ("window_end", models.DateTimeField()),
                ("has_hosts", models.BooleanField(default=False)),
                ("hosts_reporting", models.PositiveIntegerField(default=0)),
                ("unread", models.JSONField(default=list)),
                ("asked_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="scope_runs",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["case", "number"],
            },
        ),
        migrations.CreateModel(
            name="ScopeHost",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("host_id", models.CharField(max_length=255)),
                ("host_name", models.CharField(blank=True, max_length=255)),
                ("reports", models.JSONField(default=list)),
                ("columns_hit", models.PositiveSmallIntegerField(default=0)),
                ("events", models.PositiveBigIntegerField(default=0)),
                ("first_at", models.DateTimeField(null=True)),
                ("last_at", models.DateTimeField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="hosts",
                        to="triage.scoperun",
                    ),
                ),
            ],
            options={
                "ordering": ["-columns_hit", "-events", "host_name", "host_id"],
            },
        ),
        migrations.CreateModel(
            name="ScopeColumn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("key", models.CharField(max_length=80)),
                ("field", models.CharField(max_length=100)),
                ("value", models.TextField()),
                ("query", models.JSONField(default=list)),
                ("needs", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("partial", "Partial"),
                            ("blocked", "Blocked"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("hosts_hit", models.PositiveIntegerField(default=0)),
                ("searched_at", models.DateTimeField(null=True)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="columns",
                        to="triage.scoperun",
                    ),
                ),
            ],
            options={
                "ordering": ["run", "position"],
            },
        ),
        migrations.CreateModel(
            name="CasePack",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("collecting", "Collecting"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("asked_at", models.DateTimeField()),
                ("asked_for", models.JSONField(default=list)),
                ("looks", models.PositiveSmallIntegerField(default=0)),
                ("finished_at", models.DateTimeField(null=True)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("size", models.PositiveBigIntegerField(default=0)),
                ("kept", models.JSONField(default=list)),
                ("findings", models.JSONField(default=list)),
                ("without_pdf", models.TextField(blank=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="packs", to="triage.case"
                    ),
                ),
            ],
            options={
                "ordering": ["case", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("case", "number"), name="case_pack_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "collecting"])),
                        fields=("case",),
                        name="one_case_pack_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "succeeded"), _negated=True),
                            models.Q(("sha256", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="case_pack_made_has_a_hash",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "failed"), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="case_pack_failed_says_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ScopeCell",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("events", models.PositiveBigIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("samples", models.JSONField(default=list)),
                (
                    "column",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cells",
                        to="triage.scopecolumn",
                    ),
                ),
                (
                    "host",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cells",
                        to="triage.scopehost",
                    ),
                ),
            ],
            options={
                "ordering": ["column", "host"],
                "constraints": [models.UniqueConstraint(fields=("column", "host"), name="scope_cell_once")],
            },
        ),
        migrations.AddConstraint(
            model_name="scoperun",
            constraint=models.UniqueConstraint(fields=("case", "number"), name="scope_run_number"),
        ),
        migrations.AddConstraint(
            model_name="scoperun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["waiting", "running"])),
                fields=("case",),
                name="one_scope_run_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="scoperun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["partial", "failed"]), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="scope_run_says_why",
            ),
        ),
        migrations.AddIndex(
            model_name="scopehost",
            index=models.Index(fields=["run", "-columns_hit", "-events"], name="scope_host_by_hits"),
        ),
        migrations.AddConstraint(
            model_name="scopehost",
            constraint=models.UniqueConstraint(fields=("run", "host_id"), name="scope_host_once"),
        ),
        migrations.AddConstraint(
            model_name="scopecolumn",
            constraint=models.UniqueConstraint(fields=("run", "key"), name="scope_column_once"),
        ),
        migrations.AddConstraint(
            model_name="scopecolumn",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["partial", "blocked", "failed"]), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="scope_column_says_why",
            ),
        ),
    ]
