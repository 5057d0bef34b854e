"""All tables at once: a new instance is there in seconds. One that has the single steps keeps those."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
import triage.models.days
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("triage", "0001_initial"),
        ("triage", "0002_notifications_and_storm_columns"),
        ("triage", "0003_pivots_asked_by_people"),
        ("triage", "0004_observables"),
        ("triage", "0005_collaboration"),
        ("triage", "0006_overlay_proposals"),
        ("triage", "0007_exception_items"),
        ("triage", "0008_response_actions"),
        ("triage", "0009_outside_alerts"),
        ("triage", "0010_exception_watch"),
        ("triage", "0011_scope_and_packs"),
    ]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("detections", "0007_outside_alerts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Asset",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("host_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("host_name", models.CharField(blank=True, db_index=True, max_length=255)),
                ("addresses", models.JSONField(blank=True, default=list)),
                ("role", models.CharField(blank=True, max_length=255)),
                ("owner", models.CharField(blank=True, max_length=255)),
                ("isolation_permitted", models.BooleanField(default=False)),
                (
                    "is_management_host",
                    models.BooleanField(default=False, verbose_name="recognised management host"),
                ),
                ("note", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["host_name"],
            },
        ),
        migrations.CreateModel(
            name="Connector",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.SlugField(unique=True)),
                ("name", models.CharField(max_length=100)),
                ("adapter", models.CharField(max_length=30)),
                ("config", models.JSONField(blank=True, default=dict)),
                (
                    "secrets",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='names of environment variables, {"api_key": "CONNECTOR_KIBANA_KEY"}',
                    ),
                ),
                ("enabled", models.BooleanField(default=False)),
                ("dry_run", models.BooleanField(default=False)),
                (
                    "per_minute",
                    models.PositiveSmallIntegerField(default=30, verbose_name="most actions a minute"),
                ),
                ("failures", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("open_until", models.DateTimeField(editable=False, null=True)),
                ("tested_at", models.DateTimeField(editable=False, null=True)),
                ("tested_ok", models.BooleanField(default=False, editable=False)),
                ("test_says", models.TextField(blank=True, editable=False)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="GuideVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("external_rule_id", models.CharField(blank=True, max_length=64)),
                ("number", models.PositiveIntegerField(default=1)),
                ("note", models.TextField(blank=True)),
                ("transforms", models.JSONField(default=list)),
                ("overlay", models.TextField(blank=True)),
                ("review", models.TextField(blank=True)),
                ("sha256", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "rule_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="guides",
                        to="detections.ruleversion",
                    ),
                ),
            ],
            options={
                "ordering": ["rule_version", "-number"],
                "constraints": [
                    models.UniqueConstraint(fields=("rule_version", "number"), name="guide_version_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("rule_version__isnull", True)),
                        fields=("external_rule_id", "sha256"),
                        name="guide_of_an_alert_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("external_rule_id", ""), ("rule_version__isnull", False)),
                            models.Q(
                                ("rule_version__isnull", True),
                                models.Q(("external_rule_id", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="guide_names_its_rule",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Case",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=64)),
                ("key_fields", models.JSONField(default=list)),
                ("title", models.CharField(max_length=255)),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("low", "Low"),
                            ("medium", "Medium"),
                            ("high", "High"),
                            ("critical", "Critical"),
                        ],
                        max_length=10,
                    ),
                ),
                ("risk_score", models.PositiveSmallIntegerField()),
                (
                    "status",
                    models.CharField(
                        choices=[("open", "Open"), ("in_progress", "In Progress"), ("closed", "Closed")],
                        default="open",
                        max_length=12,
                    ),
                ),
                (
                    "disposition",
                    models.CharField(
                        choices=[
                            ("undetermined", "Undetermined"),
                            ("malicious", "Malicious"),
                            ("suspicious", "Suspicious"),
                            ("benign", "Benign"),
                            ("false_positive", "False Positive"),
                            ("duplicate", "Duplicate"),
                        ],
                        default="undetermined",
                        max_length=15,
                    ),
                ),
                (
                    "time_basis",
                    models.CharField(
                        choices=[("strict", "@timestamp order"), ("clock_repaired", "event.created order")],
                        default="strict",
                        max_length=20,
                    ),
                ),
                ("is_storm", models.BooleanField(default=False)),
                ("host_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("host_name", models.CharField(blank=True, max_length=255)),
                ("remote_ip", models.CharField(blank=True, max_length=64)),
                ("user_name", models.CharField(blank=True, max_length=255)),
                ("process", models.TextField(blank=True)),
                ("occurrence_count", models.PositiveIntegerField(default=0)),
                ("questions_total", models.PositiveSmallIntegerField(default=0)),
                ("questions_answered", models.PositiveSmallIntegerField(default=0)),
                ("no_telemetry_count", models.PositiveSmallIntegerField(default=0)),
                ("blocked_count", models.PositiveSmallIntegerField(default=0)),
                ("has_new_evidence", models.BooleanField(default=False)),
                ("first_event_at", models.DateTimeField()),
                ("last_event_at", models.DateTimeField()),
                ("opened_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("last_activity_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closing_rationale", models.TextField(blank=True)),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "assignee",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cases",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "closed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cases",
                        to="detections.rule",
                    ),
                ),
                (
                    "rule_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="detections.ruleversion",
                    ),
                ),
                (
                    "guide",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cases",
                        to="triage.guideversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-opened_at", "-pk"],
                "permissions": [
                    ("answer_question", "Can answer questions"),
                    ("assign_case", "Can assign cases"),
                    ("close_case", "Can close cases"),
                    ("approve", "Can approve what others request"),
                    ("merge_case", "Can merge cases and undo it"),
                    ("override_gate", "Can close a case against its gate"),
                ],
                "indexes": [models.Index(fields=["status", "due_at"], name="case_queue")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "closed"), _negated=True),
                        fields=("key",),
                        name="one_open_case_a_key",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "closed"), _negated=True),
                            models.Q(
                                models.Q(("disposition", "undetermined"), _negated=True),
                                ("closed_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="closed_case_is_decided",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PivotRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("question_key", models.CharField(blank=True, max_length=100)),
                ("key", models.CharField(max_length=100)),
                ("attempt", models.PositiveIntegerField(default=1)),
                ("label", models.CharField(max_length=255)),
                (
                    "kinds",
                    models.JSONField(
                        default=list, help_text="telemetry kinds that must exist for 'no hits' to be said"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("not_run", "Not Run"),
                            ("running", "Running"),
                            ("hits", "Hits"),
                            ("no_hits", "No Hits"),
                            ("no_telemetry", "No Telemetry"),
                            ("partial", "Partial"),
                            ("blocked", "Blocked"),
                            ("failed", "Failed"),
                        ],
                        default="not_run",
                        max_length=15,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("query", models.JSONField(default=list)),
                ("window_start", models.DateTimeField(null=True)),
                ("window_end", models.DateTimeField(null=True)),
                ("refills_at", models.DateTimeField(null=True)),
                ("total", models.PositiveBigIntegerField(default=0)),
                ("kept", models.PositiveIntegerField(default=0)),
                ("segments", models.JSONField(default=list)),
                ("coverage", models.JSONField(default=list)),
                ("columns", models.JSONField(default=list)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("took_ms", models.PositiveIntegerField(null=True)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                (
                    "origin",
                    models.CharField(
                        choices=[("guide", "Guide"), ("follow_up", "Follow Up"), ("own", "Own")],
                        default="guide",
                        max_length=10,
                    ),
                ),
                ("asked_at", models.DateTimeField(null=True)),
                ("asked", models.JSONField(default=dict)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("written", "as the guide asks"),
                            ("host", "this host"),
                            ("others", "other hosts"),
                            ("all", "all hosts"),
                        ],
                        default="written",
                        max_length=10,
                    ),
                ),
                ("reach_before", models.PositiveIntegerField(null=True)),
                ("reach_after", models.PositiveIntegerField(null=True)),
                ("counts", models.BooleanField(default=True)),
                ("is_after_closing", models.BooleanField(default=False)),
                ("added", models.PositiveIntegerField(default=0)),
                ("gone", models.PositiveIntegerField(default=0)),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="pivots", to="triage.case"
                    ),
                ),
            ],
            options={
                "ordering": ["case", "pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("case", "key", "attempt"), name="pivot_attempt"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ["blocked", "failed", "no_telemetry", "partial"]), _negated=True
                            ),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="pivot_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("origin", "guide"),
                            models.Q(("asked_by__isnull", False), ("counts", False)),
                            _connector="OR",
                        ),
                        name="pivot_of_a_person_counts_not",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Evidence",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("identity", models.CharField(db_index=True, max_length=64)),
                ("event_at", models.DateTimeField()),
                ("document", models.JSONField()),
                ("sha256", models.CharField(max_length=64)),
                ("pinned_at", models.DateTimeField(null=True)),
                ("is_new", models.BooleanField(default=False)),
                (
                    "pivot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rows", to="triage.pivotrun"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "evidence",
                "ordering": ["pivot", "position"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("pinned_at__isnull", False)),
                        fields=["pivot"],
                        name="evidence_pinned",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("pivot", "position"), name="evidence_position")
                ],
            },
        ),
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
                "constraints": [
                    models.UniqueConstraint(fields=("case", "number"), name="scope_run_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=("case",),
                        name="one_scope_run_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["partial", "failed"]), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="scope_run_says_why",
                    ),
                ],
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
                "constraints": [
                    models.UniqueConstraint(fields=("run", "key"), name="scope_column_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["partial", "blocked", "failed"]), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="scope_column_says_why",
                    ),
                ],
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
                "indexes": [
                    models.Index(fields=["run", "-columns_hit", "-events"], name="scope_host_by_hits")
                ],
                "constraints": [models.UniqueConstraint(fields=("run", "host_id"), name="scope_host_once")],
            },
        ),
        migrations.CreateModel(
            name="Question",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=100)),
                ("position", models.PositiveSmallIntegerField(help_text="from 1")),
                ("title", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("escalate", "Escalate"),
                            ("lower", "Lower"),
                            ("unresolved", "Unresolved"),
                            ("not_applicable", "Not Applicable"),
                        ],
                        default="open",
                        max_length=15,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("has_new_evidence", models.BooleanField(default=False)),
                ("reopened_at", models.DateTimeField(null=True)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="questions",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["case", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("case", "key"), name="question_once_a_case"),
                    models.UniqueConstraint(fields=("case", "position"), name="question_position"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Answer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("escalate", "Escalate"),
                            ("lower", "Lower"),
                            ("unresolved", "Unresolved"),
                            ("not_applicable", "Not Applicable"),
                        ],
                        max_length=15,
                    ),
                ),
                ("rationale", models.TextField(blank=True)),
                ("fields", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("question_version", models.PositiveIntegerField()),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "question",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="answers",
                        to="triage.question",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("question", "question_version"), name="one_answer_a_version"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state", "open"), _negated=True), name="answer_says_something"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["lower", "not_applicable"]), _negated=True),
                            models.Q(("rationale", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="lowering_has_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(db_index=True, max_length=64)),
                ("name", models.CharField(max_length=255)),
                ("size", models.PositiveBigIntegerField()),
                ("content_type", models.CharField(max_length=100)),
                ("named_type", models.CharField(blank=True, max_length=100)),
                ("is_mismatch", models.BooleanField(default=False)),
                ("attached_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_reason", models.TextField(blank=True)),
                (
                    "attached_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "withdrawn_by",
                    models.ForeignKey(
                        blank=True,
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
                        related_name="attachments",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("withdrawn_at__isnull", True)),
                        fields=("case", "sha256", "name"),
                        name="attached_once_a_case",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawn_at__isnull", True),
                            models.Q(
                                ("withdrawn_by__isnull", False),
                                models.Q(("withdrawn_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="attachment_withdrawn_with_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CaseLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("duplicate_of", "Duplicate Of"),
                            ("follows", "follows a closed case"),
                            ("related", "Related"),
                        ],
                        max_length=15,
                    ),
                ),
                ("why", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "removed_by",
                    models.CharField(blank=True, help_text="as the journal names them", max_length=200),
                ),
                ("removed_reason", models.TextField(blank=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="links", to="triage.case"
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="linked_from",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("removed_at__isnull", True)),
                        fields=("source", "target", "kind"),
                        name="case_link_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("source", models.F("target")), _negated=True),
                        name="case_link_to_another",
                    ),
                ],
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
            name="CaseTask",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=30)),
                ("key", models.CharField(max_length=200, unique=True)),
                ("title", models.CharField(max_length=255)),
                ("detail", models.TextField(blank=True)),
                ("for_permission", models.CharField(blank=True, max_length=100)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                ("done_note", models.TextField(blank=True)),
                (
                    "case",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tasks",
                        to="triage.case",
                    ),
                ),
                (
                    "done_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="case_tasks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["due_at", "pk"],
                "indexes": [models.Index(fields=["done_at", "due_at"], name="task_waiting")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("done_at__isnull", True),
                            models.Q(("done_by__isnull", False), models.Q(("done_note", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="task_done_by_somebody_with_a_note",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Confirmation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("owner", "owner confirmation"),
                            ("change", "change record"),
                            ("distribution", "distribution record"),
                            ("asset", "asset record"),
                        ],
                        max_length=15,
                    ),
                ),
                (
                    "reference",
                    models.CharField(help_text="CHG-20871, or how the person was reached", max_length=255),
                ),
                ("confirmed_by", models.CharField(max_length=255)),
                ("confirmed_at", models.DateTimeField()),
                ("statement", models.TextField(help_text="what exactly was confirmed")),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "attachment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="confirmations",
                        to="triage.attachment",
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="confirmations",
                        to="triage.case",
                    ),
                ),
                (
                    "recorded_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="ActionKind",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.SlugField(unique=True)),
                ("label", models.CharField(max_length=200)),
                ("needs_approval", models.BooleanField(default=True)),
                ("is_destructive", models.BooleanField(default=False, editable=False)),
                ("is_containment", models.BooleanField(default=False, editable=False)),
                ("request_minutes", models.PositiveIntegerField(default=240)),
                ("lasts_minutes", models.PositiveIntegerField(blank=True, null=True)),
                ("auto_undo", models.BooleanField(default=False)),
                ("check_minutes", models.PositiveIntegerField(default=60)),
                (
                    "instructions",
                    models.TextField(blank=True, help_text="what a person does who does it by hand"),
                ),
                (
                    "approver_group",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="auth.group",
                    ),
                ),
                (
                    "connector",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="kinds",
                        to="triage.connector",
                    ),
                ),
            ],
            options={
                "ordering": ["label"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_destructive", False), ("needs_approval", True), _connector="OR"
                        ),
                        name="destructive_needs_approval",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Escalation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("to", models.CharField(max_length=255)),
                ("reason", models.TextField()),
                ("preserved", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="escalations",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
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
            name="Citation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "answer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="citations",
                        to="triage.answer",
                    ),
                ),
                (
                    "confirmation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="triage.confirmation",
                    ),
                ),
                (
                    "evidence",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="triage.evidence",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("confirmation__isnull", True), ("evidence__isnull", False)),
                            models.Q(("confirmation__isnull", False), ("evidence__isnull", True)),
                            _connector="OR",
                        ),
                        name="citation_of_one_thing",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ExceptionItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=255)),
                (
                    "origin",
                    models.CharField(
                        choices=[("native", "Native"), ("kibana", "Kibana")], default="native", max_length=10
                    ),
                ),
                ("source", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("drift", models.JSONField(blank=True, default=list)),
                ("drift_checked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="exceptions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="exceptions",
                        to="detections.rule",
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "name", "pk"],
                "permissions": [
                    ("propose_exception", "Can propose exceptions and value lists"),
                    ("exceed_share", "Can let an exception hide more of a rule's alerts than its share"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ExceptionVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("approved_sha256", models.CharField(blank=True, max_length=64)),
                ("decided_reason", models.TextField(blank=True)),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("proposed", "Proposed"),
                            ("approved", "Approved"),
                            ("active", "Active"),
                            ("expired", "Expired"),
                            ("revoked", "Revoked"),
                            ("superseded", "Superseded"),
                            ("declined", "Declined"),
                        ],
                        db_index=True,
                        default="draft",
                        max_length=12,
                    ),
                ),
                ("revision", models.PositiveIntegerField(default=1)),
                ("entries", models.JSONField(default=list)),
                ("reason", models.TextField(blank=True)),
                ("change_record", models.CharField(blank=True, max_length=255)),
                ("owner", models.CharField(blank=True, max_length=255)),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("active_from", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("exceeds_share", models.BooleanField(default=False)),
                ("hits", models.PositiveIntegerField(default=0)),
                ("last_hit_at", models.DateTimeField(blank=True, null=True)),
                ("last_sample_at", models.DateTimeField(blank=True, null=True)),
                ("hits_at_last_sample", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="exception_versions",
                        to="triage.case",
                    ),
                ),
                (
                    "exceeds_share_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="triage.exceptionitem",
                    ),
                ),
                (
                    "last_edited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "renewal_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="renewals",
                        to="triage.exceptionversion",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="detections.ruleversion",
                    ),
                ),
                (
                    "superseded_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="supersedes",
                        to="triage.exceptionversion",
                    ),
                ),
            ],
            options={
                "ordering": ["item", "-number"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by__isnull", True),
                            models.Q(
                                ("requested_by__isnull", False),
                                models.Q(("approved_by", models.F("requested_by")), _negated=True),
                                models.Q(("approved_by", models.F("last_edited_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="exception_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ["approved", "active", "expired", "revoked"]), _negated=True
                            ),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="exception_approval_is_there",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("active_from__isnull", True),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_at__lte", models.F("active_from")),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="exception_was_never_active_unapproved",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "active"), _negated=True),
                            models.Q(("active_from__isnull", False), ("ended_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="exception_active_has_begun",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"), ("expires_at__isnull", False), _connector="OR"
                        ),
                        name="exception_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("active_from__isnull", True),
                            models.Q(
                                ("expires_at__gt", models.F("active_from")), ("expires_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="exception_ends_after_it_begins",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("active_from__isnull", True),
                            ("expires_at__isnull", True),
                            django.db.models.lookups.LessThanOrEqual(
                                triage.models.days.Days("expires_at"),
                                django.db.models.expressions.CombinedExpression(
                                    triage.models.days.Days("active_from"),
                                    "+",
                                    models.Value(366.00001157407405),
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="exception_lasts_a_year",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"),
                            ("starts_at__isnull", True),
                            ("expires_at__isnull", True),
                            django.db.models.lookups.LessThanOrEqual(
                                triage.models.days.Days("expires_at"),
                                django.db.models.expressions.CombinedExpression(
                                    triage.models.days.Days("starts_at"),
                                    "+",
                                    models.Value(366.00001157407405),
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="exception_lasts_a_year_once_begun",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"), models.Q(("reason", ""), _negated=True), _connector="OR"
                        ),
                        name="exception_has_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"),
                            models.Q(("owner", ""), _negated=True),
                            models.Q(("change_record", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="exception_names_owner_or_change",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("exceeds_share", False), ("exceeds_share_by__isnull", False), _connector="OR"
                        ),
                        name="exception_share_exceeded_by_a_person",
                    ),
                    models.UniqueConstraint(fields=("item", "number"), name="exception_version_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "active")),
                        fields=("item",),
                        name="exception_active_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["draft", "proposed", "approved"])),
                        fields=("item",),
                        name="exception_one_version_on_its_way",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BackTest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("alerts", "Alerts"), ("telemetry", "Telemetry")], max_length=10
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("window_start", models.DateTimeField()),
                ("window_end", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        db_index=True,
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("done", models.PositiveBigIntegerField(default=0)),
                ("total", models.PositiveBigIntegerField(blank=True, null=True)),
                ("result", models.JSONField(blank=True, default=dict)),
                ("error", models.TextField(blank=True)),
                ("cancel_requested", models.BooleanField(default=False)),
                ("requested_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                (
                    "renewed_at",
                    models.DateTimeField(blank=True, help_text="last sign of life of its worker", null=True),
                ),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="back_tests",
                        to="triage.exceptionversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="GateOverride",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "disposition",
                    models.CharField(
                        choices=[
                            ("undetermined", "Undetermined"),
                            ("malicious", "Malicious"),
                            ("suspicious", "Suspicious"),
                            ("benign", "Benign"),
                            ("false_positive", "False Positive"),
                            ("duplicate", "Duplicate"),
                        ],
                        max_length=15,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("reason", models.TextField()),
                ("blocks", models.JSONField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="overrides",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="override_has_a_reason"
                    )
                ],
            },
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
                (
                    "kind",
                    models.CharField(
                        choices=[("rarity", "Rarity"), ("comparison", "Comparison")], max_length=12
                    ),
                ),
                ("subject", models.JSONField()),
                ("key", models.CharField(db_index=True, max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("done", "Done"), ("failed", "Failed")],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("result", models.JSONField(default=dict)),
                ("error", models.TextField(blank=True)),
                ("asked_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="look_ups", to="triage.case"
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("question_key", models.CharField(blank=True, max_length=100)),
                ("created_at", models.DateTimeField()),
                ("version", models.PositiveIntegerField(default=1)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_reason", models.TextField(blank=True)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="notes", to="triage.case"
                    ),
                ),
                (
                    "withdrawn_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawn_at__isnull", True),
                            models.Q(
                                ("withdrawn_by__isnull", False),
                                models.Q(("withdrawn_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="note_withdrawn_with_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Mention",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mentions_of_them",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "note",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="mentions", to="triage.note"
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["user", "read_at"], name="mention_unread")],
                "constraints": [
                    models.UniqueConstraint(fields=("note", "user"), name="mentioned_once_a_note")
                ],
            },
        ),
        migrations.CreateModel(
            name="NoteVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("text", models.TextField()),
                ("written_at", models.DateTimeField()),
                (
                    "note",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="triage.note"
                    ),
                ),
            ],
            options={
                "ordering": ["note", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("note", "number"), name="note_version_number")
                ],
            },
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=30)),
                ("title", models.CharField(max_length=255)),
                ("detail", models.TextField(blank=True)),
                ("raised_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(help_text="when the state was last found")),
                ("resolved_at", models.DateTimeField(null=True)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                (
                    "acknowledged_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-raised_at", "-pk"],
                "permissions": [("acknowledge_notification", "Can acknowledge notifications")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at__isnull", True)),
                        fields=("key",),
                        name="one_open_notification_a_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("acknowledged_at__isnull", True),
                            ("acknowledged_by__isnull", False),
                            _connector="OR",
                        ),
                        name="acknowledged_by_somebody",
                    ),
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
        migrations.CreateModel(
            name="Occurrence",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("added_at", models.DateTimeField()),
                ("host", models.CharField(blank=True, max_length=255)),
                ("user", models.CharField(blank=True, max_length=255)),
                (
                    "source",
                    models.CharField(blank=True, help_text="the other side of its connection", max_length=64),
                ),
                (
                    "alert",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="occurrence",
                        to="detections.alert",
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="occurrences",
                        to="triage.case",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [
                    models.Index(fields=["case", "host"], name="occurrence_by_host"),
                    models.Index(fields=["case", "user"], name="occurrence_by_user"),
                    models.Index(fields=["case", "source"], name="occurrence_by_source"),
                ],
            },
        ),
        migrations.CreateModel(
            name="CaseMerge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "status_before",
                    models.CharField(
                        choices=[("open", "Open"), ("in_progress", "In Progress"), ("closed", "Closed")],
                        max_length=12,
                    ),
                ),
                ("reason", models.TextField()),
                ("made_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(blank=True, null=True)),
                ("undone_reason", models.TextField(blank=True)),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="merged_away",
                        to="triage.case",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="merged_here",
                        to="triage.case",
                    ),
                ),
                (
                    "undone_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("occurrences", models.ManyToManyField(related_name="merges", to="triage.occurrence")),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("undone_at__isnull", True)),
                        fields=("source",),
                        name="merged_into_one_case",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("source", models.F("target")), _negated=True),
                        name="merged_into_another",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OneTimeSignIn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("token_sha256", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OverlayProposal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("approved_sha256", models.CharField(blank=True, max_length=64)),
                ("decided_reason", models.TextField(blank=True)),
                ("number", models.PositiveIntegerField()),
                ("text", models.TextField(blank=True)),
                ("reason", models.TextField(blank=True)),
                ("source", models.CharField(blank=True, max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("proposed", "Proposed"),
                            ("approved", "Approved"),
                            ("declined", "Declined"),
                            ("superseded", "Superseded"),
                        ],
                        default="draft",
                        max_length=12,
                    ),
                ),
                ("review", models.TextField(blank=True)),
                ("version", models.PositiveIntegerField(default=1)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "base",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="triage.guideversion",
                    ),
                ),
                (
                    "guide",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposals",
                        to="triage.guideversion",
                    ),
                ),
                (
                    "last_edited_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="overlay_proposals",
                        to="detections.rule",
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "-number"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by__isnull", True),
                            models.Q(
                                ("requested_by__isnull", False),
                                models.Q(("approved_by", models.F("requested_by")), _negated=True),
                                models.Q(("approved_by", models.F("last_edited_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="overlay_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["approved"]), _negated=True),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="overlay_approval_is_there",
                    ),
                    models.UniqueConstraint(fields=("rule", "number"), name="overlay_proposal_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "approved")),
                        fields=("rule",),
                        name="overlay_one_in_force_a_rule",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"), ("last_edited_by__isnull", False), _connector="OR"
                        ),
                        name="overlay_has_an_author",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["draft", "superseded"]),
                            ("requested_by__isnull", False),
                            _connector="OR",
                        ),
                        name="overlay_was_proposed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "declined"), _negated=True),
                            models.Q(("decided_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="overlay_decline_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "approved"), _negated=True),
                            ("guide__isnull", False),
                            _connector="OR",
                        ),
                        name="overlay_in_force_has_a_guide",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CheckResult",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("question_key", models.CharField(max_length=100)),
                ("key", models.CharField(max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[("fired", "Fired"), ("quiet", "Quiet"), ("unknown", "could not be checked")],
                        max_length=10,
                    ),
                ),
                (
                    "points",
                    models.CharField(choices=[("escalate", "Escalate"), ("lower", "Lower")], max_length=10),
                ),
                ("says", models.TextField()),
                ("saw", models.TextField(blank=True)),
                (
                    "rows",
                    models.JSONField(default=list, help_text="ids of the evidence rows that satisfied it"),
                ),
                ("evaluated_at", models.DateTimeField()),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="checks", to="triage.case"
                    ),
                ),
                (
                    "pivot",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checks",
                        to="triage.pivotrun",
                    ),
                ),
            ],
            options={
                "ordering": ["case", "pk"],
                "constraints": [models.UniqueConstraint(fields=("case", "key"), name="check_once_a_case")],
            },
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content", models.JSONField(default=dict)),
                ("question_version", models.PositiveIntegerField()),
                ("saved_at", models.DateTimeField(auto_now=True)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "question",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="drafts",
                        to="triage.question",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("question", "author"), name="one_draft_a_person")
                ],
            },
        ),
        migrations.CreateModel(
            name="ResponseAction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("approved_sha256", models.CharField(blank=True, max_length=64)),
                ("decided_reason", models.TextField(blank=True)),
                (
                    "stage",
                    models.CharField(blank=True, help_text="the rung's key in the guide", max_length=100),
                ),
                ("title", models.CharField(max_length=255)),
                (
                    "target_type",
                    models.CharField(
                        blank=True,
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
                ("target_value", models.TextField(blank=True)),
                ("parameters", models.JSONField(default=dict)),
                ("reason", models.TextField(help_text="why it is asked for")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "Requested"),
                            ("approved", "Approved"),
                            ("declined", "Declined"),
                            ("cancelled", "Cancelled"),
                            ("expired", "Expired"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("unknown", "Unknown"),
                            ("undone", "Undone"),
                        ],
                        default="requested",
                        max_length=10,
                    ),
                ),
                ("says", models.TextField(blank=True, help_text="what the state means here, in a sentence")),
                ("idempotency_key", models.CharField(max_length=64, unique=True)),
                ("needs_approval", models.BooleanField()),
                ("is_containment", models.BooleanField(default=False)),
                ("expires_at", models.DateTimeField(help_text="not decided or not begun by then, it lapses")),
                ("undo_plan", models.JSONField(default=dict)),
                ("ends_at", models.DateTimeField(null=True)),
                ("auto_undo", models.BooleanField(default=False)),
                ("reminded_at", models.DateTimeField(null=True)),
                ("handed_to", models.CharField(blank=True, max_length=255)),
                ("handed_by", models.CharField(blank=True, max_length=200)),
                ("handed_at", models.DateTimeField(null=True)),
                ("handed_reason", models.TextField(blank=True)),
                ("override_reason", models.TextField(blank=True)),
                ("overrode", models.JSONField(default=list)),
                ("attempts", models.PositiveIntegerField(default=0, help_text="how often it was begun")),
                (
                    "tries",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="in a row that the target did not take"
                    ),
                ),
                (
                    "looks",
                    models.PositiveIntegerField(
                        default=0, help_text="how often the target was asked what became of it"
                    ),
                ),
                ("external_id", models.CharField(blank=True, max_length=255)),
                ("output", models.JSONField(default=dict)),
                ("started_at", models.DateTimeField(null=True)),
                ("accepted_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("check_due_at", models.DateTimeField(null=True)),
                (
                    "proof",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("holding", "Holding"),
                            ("broken", "Broken"),
                            ("unknown", "could not be checked"),
                        ],
                        max_length=10,
                    ),
                ),
                ("proof_says", models.TextField(blank=True)),
                ("proven_at", models.DateTimeField(null=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "attachment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="actions",
                        to="triage.attachment",
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="actions", to="triage.case"
                    ),
                ),
                (
                    "connector",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="actions",
                        to="triage.connector",
                    ),
                ),
                (
                    "kind",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="actions",
                        to="triage.actionkind",
                    ),
                ),
                (
                    "last_edited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="actions",
                        to="triage.observable",
                    ),
                ),
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="undos",
                        to="triage.responseaction",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "permissions": [
                    ("request_action", "Can request response actions"),
                    ("override_precondition", "Can request actions against their preconditions"),
                ],
                "indexes": [
                    models.Index(fields=["state", "expires_at"], name="action_by_state"),
                    models.Index(fields=["check_due_at"], name="action_to_check"),
                    models.Index(fields=["connector", "started_at"], name="action_rate"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by__isnull", True),
                            models.Q(
                                ("requested_by__isnull", False),
                                models.Q(("approved_by", models.F("requested_by")), _negated=True),
                                models.Q(("approved_by", models.F("last_edited_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="action_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("needs_approval", False),
                            models.Q(
                                (
                                    "state__in",
                                    ["approved", "running", "succeeded", "failed", "unknown", "undone"],
                                ),
                                _negated=True,
                            ),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="action_approval_is_there",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ["running", "succeeded", "unknown", "undone"]), _negated=True
                            ),
                            ("started_at__isnull", False),
                            _connector="OR",
                        ),
                        name="action_was_begun",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("handed_to", ""),
                            models.Q(
                                models.Q(("handed_reason", ""), _negated=True), ("handed_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="action_handed_over_with_a_reason",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("state__in", ["requested", "approved", "running", "succeeded", "unknown"])
                        ),
                        fields=("undoes",),
                        name="one_undo_an_action",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReplyLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("token_sha256", models.CharField(max_length=64, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("owner", "owner confirmation"),
                            ("change", "change record"),
                            ("distribution", "distribution record"),
                            ("asset", "asset record"),
                        ],
                        max_length=15,
                    ),
                ),
                ("sent_to", models.CharField(max_length=255)),
                ("question", models.TextField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(null=True)),
                ("confirms", models.BooleanField(null=True)),
                ("statement", models.TextField(blank=True)),
                (
                    "confirmation",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reply_link",
                        to="triage.confirmation",
                    ),
                ),
                (
                    "action",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reply_link",
                        to="triage.responseaction",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="BlockEntry",
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
                ("value", models.CharField(max_length=255)),
                ("added_at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(null=True)),
                (
                    "action",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="block_entries",
                        to="triage.responseaction",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "block entries",
                "ordering": ["type", "value", "pk"],
                "indexes": [models.Index(fields=["removed_at", "type", "value"], name="block_entry_feed")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("action", "type", "value"), name="block_entry_once_an_action"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ActionCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "result",
                    models.CharField(
                        choices=[
                            ("holding", "Holding"),
                            ("broken", "Broken"),
                            ("unknown", "could not be checked"),
                        ],
                        max_length=10,
                    ),
                ),
                ("says", models.TextField()),
                ("by", models.CharField(max_length=200)),
                (
                    "action",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checks",
                        to="triage.responseaction",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
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
        migrations.CreateModel(
            name="Suppression",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_index=True)),
                ("is_sample", models.BooleanField(default=False)),
                ("is_retroactive", models.BooleanField(default=False)),
                ("reason", models.TextField(blank=True)),
                ("value_lists", models.JSONField(blank=True, default=dict)),
                ("recheck_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                ("lifted_reason", models.TextField(blank=True)),
                ("host", models.CharField(blank=True, max_length=255)),
                ("user", models.CharField(blank=True, max_length=255)),
                (
                    "source",
                    models.CharField(blank=True, help_text="the other side of its connection", max_length=64),
                ),
                (
                    "alert",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="suppression",
                        to="detections.alert",
                    ),
                ),
                (
                    "applied_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="suppressions",
                        to="triage.exceptionversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(fields=["version", "at"], name="suppression_by_version"),
                    models.Index(fields=["version", "host"], name="suppression_by_host"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_retroactive", False),
                            models.Q(("applied_by__isnull", False), models.Q(("reason", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="retroactive_suppression_by_a_person",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("lifted_at__isnull", True),
                            models.Q(("lifted_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="lifting_has_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ExceptionReview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="exception_reviews",
                        to="triage.case",
                    ),
                ),
                (
                    "suppression",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="review",
                        to="triage.suppression",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="ValueList",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=255, unique=True)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("ip", "Ip"),
                            ("cidr", "Cidr"),
                            ("domain", "Domain"),
                            ("hash", "Hash"),
                            ("keyword", "Keyword"),
                        ],
                        max_length=10,
                    ),
                ),
                ("note", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="ValueListVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("approved_sha256", models.CharField(blank=True, max_length=64)),
                ("decided_reason", models.TextField(blank=True)),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("proposed", "Proposed"),
                            ("approved", "Approved"),
                            ("active", "Active"),
                            ("expired", "Expired"),
                            ("revoked", "Revoked"),
                            ("superseded", "Superseded"),
                            ("declined", "Declined"),
                        ],
                        db_index=True,
                        default="draft",
                        max_length=12,
                    ),
                ),
                ("revision", models.PositiveIntegerField(default=1)),
                ("values", models.JSONField(default=list)),
                ("reason", models.TextField(blank=True)),
                ("active_from", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "last_edited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "value_list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="triage.valuelist",
                    ),
                ),
            ],
            options={
                "ordering": ["value_list", "-number"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by__isnull", True),
                            models.Q(
                                ("requested_by__isnull", False),
                                models.Q(("approved_by", models.F("requested_by")), _negated=True),
                                models.Q(("approved_by", models.F("last_edited_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="value_list_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ["approved", "active", "expired", "revoked"]), _negated=True
                            ),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="value_list_approval_is_there",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("active_from__isnull", True),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_at__lte", models.F("active_from")),
                                ("approved_by__isnull", False),
                                ("approved_sha256", models.F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="value_list_was_never_active_unapproved",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "active"), _negated=True),
                            models.Q(("active_from__isnull", False), ("ended_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="value_list_active_has_begun",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "draft"), models.Q(("reason", ""), _negated=True), _connector="OR"
                        ),
                        name="value_list_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        fields=("value_list", "number"), name="value_list_version_number"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "active")),
                        fields=("value_list",),
                        name="value_list_active_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["draft", "proposed", "approved"])),
                        fields=("value_list",),
                        name="value_list_one_version_on_its_way",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="pivotrun",
            name="from_row",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="follow_ups",
                to="triage.evidence",
            ),
        ),
    ]
