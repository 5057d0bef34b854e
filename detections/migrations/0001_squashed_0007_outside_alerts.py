"""All tables at once: a new instance is there in seconds. One that has the single steps keeps those."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("detections", "0001_initial"),
        ("detections", "0002_sender_tokens"),
        ("detections", "0003_back_search_and_canary"),
        ("detections", "0004_merged_segments"),
        ("detections", "0005_saved_queries"),
        ("detections", "0006_elasticsearch"),
        ("detections", "0007_outside_alerts"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RuleVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("upstream_version", models.PositiveIntegerField(default=1)),
                ("description", models.TextField(blank=True)),
                ("query", models.TextField(blank=True)),
                ("language", models.CharField(blank=True, max_length=20)),
                ("indices", models.JSONField(default=list)),
                ("tags", models.JSONField(default=list)),
                ("references", models.JSONField(default=list)),
                ("authors", models.JSONField(default=list)),
                ("license", models.CharField(blank=True, max_length=100)),
                ("threat", models.JSONField(default=list)),
                ("setup", models.TextField(blank=True)),
                ("note", models.TextField(blank=True)),
                ("transforms", models.JSONField(default=list)),
                ("timestamp_field", models.CharField(default="@timestamp", max_length=255)),
                ("timestamp_override", models.CharField(blank=True, max_length=255)),
                ("tiebreaker_field", models.CharField(blank=True, max_length=255)),
                ("event_category_field", models.CharField(default="event.category", max_length=255)),
                ("maxspan_seconds", models.FloatField(null=True)),
                ("source", models.TextField()),
                ("source_path", models.CharField(blank=True, max_length=500)),
                ("overlay", models.TextField(blank=True)),
                ("sha256", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["rule", "-number"],
            },
        ),
        migrations.CreateModel(
            name="Rule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rule_id", models.CharField(max_length=64, unique=True)),
                ("name", models.CharField(max_length=255)),
                (
                    "type",
                    models.CharField(
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
                (
                    "risk_score",
                    models.PositiveSmallIntegerField(
                        validators=[django.core.validators.MaxValueValidator(100)]
                    ),
                ),
                ("is_shipped", models.BooleanField(default=False)),
                ("replaces", models.JSONField(blank=True, default=list)),
                (
                    "is_canary",
                    models.BooleanField(
                        default=False, help_text="the product's own rule that proves the way"
                    ),
                ),
                ("enabled", models.BooleanField(default=False)),
                (
                    "interval_seconds",
                    models.PositiveIntegerField(
                        default=300, validators=[django.core.validators.MinValueValidator(30)]
                    ),
                ),
                ("lookback_seconds", models.PositiveIntegerField(default=540)),
                (
                    "max_cases",
                    models.PositiveIntegerField(default=100, verbose_name="cases opened per run, at most"),
                ),
                ("settle_seconds", models.PositiveIntegerField(default=15)),
                ("true_up", models.BooleanField(default=True, verbose_name="search again for late events")),
                (
                    "clock_repaired",
                    models.BooleanField(
                        default=False, verbose_name="search in the order of event.created too"
                    ),
                ),
                ("covered_until", models.DateTimeField(blank=True, null=True)),
                ("mark", models.BigIntegerField(default=0)),
                ("fence", models.BigIntegerField(default=0)),
                ("last_run_at", models.DateTimeField(blank=True, null=True)),
                ("due_since", models.DateTimeField(blank=True, null=True)),
                ("version", models.PositiveIntegerField(default=1)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "current",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="detections.ruleversion",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("lookback_seconds__gte", models.F("interval_seconds"))),
                        name="rule_lookback_covers_interval",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RuleRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
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
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("partial", "Partial"),
                            ("truncated", "Truncated"),
                            ("failed", "Failed"),
                        ],
                        default="running",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("fence", models.BigIntegerField()),
                ("window_start", models.DateTimeField(null=True)),
                ("window_end", models.DateTimeField()),
                ("mark_from", models.BigIntegerField()),
                ("mark_to", models.BigIntegerField()),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("duration_ms", models.PositiveIntegerField(null=True)),
                ("rows_searched", models.BigIntegerField(default=0)),
                ("segments", models.PositiveIntegerField(default=0)),
                ("matches_found", models.PositiveIntegerField(default=0)),
                ("alerts_new", models.PositiveIntegerField(default=0)),
                ("alerts_known", models.PositiveIntegerField(default=0)),
                ("alerts_repaired", models.PositiveIntegerField(default=0)),
                ("cases_opened", models.PositiveIntegerField(default=0)),
                ("cases_capped", models.PositiveIntegerField(default=0)),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="runs", to="detections.rule"
                    ),
                ),
                (
                    "rule_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="detections.ruleversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at", "-pk"],
                "indexes": [models.Index(fields=["rule", "-started_at"], name="run_by_rule")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status", "running"), ("finished_at__isnull", False), _connector="OR"
                        ),
                        name="run_ended_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["failed", "partial"]), _negated=True),
                            models.Q(("error", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="run_failed_has_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("alert_id", models.CharField(max_length=64, unique=True)),
                (
                    "origin",
                    models.CharField(
                        choices=[("run", "Run"), ("elastic", "Elastic"), ("api", "Api")],
                        default="run",
                        max_length=10,
                    ),
                ),
                ("external_rule_id", models.CharField(blank=True, max_length=64)),
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
                    "time_basis",
                    models.CharField(
                        choices=[("strict", "@timestamp order"), ("clock_repaired", "event.created order")],
                        default="strict",
                        max_length=20,
                    ),
                ),
                ("events", models.JSONField()),
                ("join_keys", models.JSONField(default=list)),
                ("host_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("host_name", models.CharField(blank=True, max_length=255)),
                ("first_event_at", models.DateTimeField()),
                ("last_event_at", models.DateTimeField(db_index=True)),
                ("detected_at", models.DateTimeField()),
                ("late_seconds", models.FloatField(null=True)),
                ("superseded_at", models.DateTimeField(null=True)),
                ("routed_at", models.DateTimeField(db_index=True, null=True)),
                (
                    "rule",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="detections.rule",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="detections.rulerun",
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
            ],
            options={
                "ordering": ["-detected_at", "-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rule__isnull", False),
                            models.Q(("external_rule_id", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="alert_names_its_rule",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("seen_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="IngestCounter",
            fields=[
                (
                    "name",
                    models.CharField(default="events", max_length=20, primary_key=True, serialize=False),
                ),
                ("head", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="JournalStream",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                ("head_number", models.PositiveBigIntegerField(default=0)),
                ("head_hash", models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("holder", models.CharField(blank=True, max_length=200)),
                ("fence", models.BigIntegerField(default=0)),
                ("expires_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="OutsideSource",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("pattern", models.CharField(max_length=255, unique=True)),
                ("from_time", models.DateTimeField()),
                ("cursor_at", models.DateTimeField(null=True)),
                ("cursor_uuid", models.CharField(blank=True, max_length=255)),
                ("fence", models.BigIntegerField(default=0)),
                ("deep_at", models.DateTimeField(null=True)),
                ("polled_at", models.DateTimeField(null=True)),
                ("succeeded_at", models.DateTimeField(null=True)),
                ("failing_since", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                ("unreadable", models.JSONField(default=list)),
                ("lag_seconds", models.FloatField(null=True)),
                ("taken", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="SeenField",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=500, unique=True)),
                ("type", models.CharField(max_length=20)),
                ("is_list", models.BooleanField(default=False)),
                ("first_seen_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Import",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("files", models.JSONField(default=list)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("partial", "Partial"),
                            ("failed", "Failed"),
                        ],
                        default="running",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("retimed", models.BooleanField(default=False)),
                ("bytes_total", models.BigIntegerField(default=0)),
                ("bytes_done", models.BigIntegerField(default=0)),
                ("events_new", models.BigIntegerField(default=0)),
                ("events_known", models.BigIntegerField(default=0)),
                ("records_bad", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=50)),
                ("key", models.CharField(max_length=200, unique=True)),
                ("subject", models.BigIntegerField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("done", "Done"), ("failed", "Failed")],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("not_before", models.DateTimeField()),
                ("claimed_until", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("done_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")), fields=["not_before"], name="outbox_pending"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutsideAlert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.CharField(max_length=255, unique=True)),
                ("index", models.CharField(max_length=255)),
                ("document_id", models.CharField(max_length=512)),
                ("raised_at", models.DateTimeField(db_index=True)),
                ("rule_name", models.CharField(max_length=255)),
                ("rule_type", models.CharField(blank=True, max_length=30)),
                ("note", models.TextField(blank=True)),
                ("about", models.JSONField(default=dict)),
                ("copied_events", models.PositiveIntegerField(default=0)),
                ("status_written", models.CharField(blank=True, max_length=20)),
                (
                    "alert",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="outside",
                        to="detections.alert",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="detections.outsidesource",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="QuarantinedRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.CharField(max_length=1000)),
                ("position", models.CharField(blank=True, max_length=100)),
                ("reason", models.TextField()),
                ("raw", models.TextField(blank=True, help_text="the first 2,000 characters of the record")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "capture",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="quarantine",
                        to="detections.import",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="CoverageGap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("from_time", models.DateTimeField(null=True)),
                ("to_time", models.DateTimeField()),
                ("mark_from", models.BigIntegerField(default=0)),
                ("mark_to", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("new_rule", "New Rule"),
                            ("rule_disabled", "Rule Disabled"),
                            ("did_not_run", "Did Not Run"),
                            ("failed", "Failed"),
                            ("partial", "Partial"),
                            ("truncated", "Truncated"),
                            ("store_unavailable", "Store Unavailable"),
                            ("expired_unsearched", "Expired Unsearched"),
                        ],
                        max_length=20,
                    ),
                ),
                ("detail", models.TextField(blank=True)),
                ("opened_at", models.DateTimeField(auto_now_add=True)),
                ("filled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="gaps", to="detections.rule"
                    ),
                ),
                (
                    "filled_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="detections.rulerun",
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "to_time"],
            },
        ),
        migrations.CreateModel(
            name="Segment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("path", models.CharField(max_length=500, unique=True)),
                ("batch", models.CharField(max_length=200, unique=True)),
                ("ingest", models.BigIntegerField(db_index=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "Active"), ("retired", "Retired"), ("unreadable", "Unreadable")],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("rows", models.BigIntegerField()),
                ("bytes", models.BigIntegerField()),
                ("min_timestamp", models.DateTimeField()),
                ("max_timestamp", models.DateTimeField()),
                ("min_created", models.DateTimeField(null=True)),
                ("max_created", models.DateTimeField(null=True)),
                ("arrived_at", models.DateTimeField()),
                ("sha256", models.CharField(max_length=64)),
                ("columns", models.JSONField(default=list)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("last_error", models.TextField(blank=True)),
                ("retired_at", models.DateTimeField(null=True)),
                ("level", models.PositiveSmallIntegerField(default=0)),
                ("first_ingest", models.BigIntegerField(null=True)),
                ("first_arrived_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["ingest"],
                "indexes": [models.Index(fields=["state", "max_timestamp"], name="segment_by_time")],
            },
        ),
        migrations.CreateModel(
            name="SenderToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("key_id", models.CharField(max_length=32, unique=True)),
                ("token_sha256", models.CharField(max_length=64, unique=True)),
                ("data_streams", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("events_received", models.BigIntegerField(default=0)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["name", "-pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("revoked_at", None)), fields=("name",), name="sender_name_in_use"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SenderDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                (
                    "capture",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sender_day",
                        to="detections.import",
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="days",
                        to="detections.sendertoken",
                    ),
                ),
            ],
            options={
                "ordering": ["-day"],
                "constraints": [models.UniqueConstraint(fields=("token", "day"), name="sender_day")],
            },
        ),
        migrations.CreateModel(
            name="TrueUp",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
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
        migrations.CreateModel(
            name="Canary",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("nonce", models.CharField(max_length=64, unique=True)),
                ("identities", models.JSONField(default=list)),
                ("events", models.JSONField(default=list)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(null=True)),
                ("found_at", models.DateTimeField(null=True)),
                (
                    "alert",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="canary",
                        to="detections.alert",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("found_at__isnull", True), ("alert__isnull", False), _connector="OR"
                        ),
                        name="canary_found_as_alert",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="JournalEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveBigIntegerField()),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=200)),
                ("verb", models.CharField(max_length=50)),
                ("before", models.CharField(blank=True, max_length=200)),
                ("after", models.CharField(blank=True, max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("data", models.JSONField(default=dict)),
                ("previous_hash", models.CharField(blank=True, max_length=64)),
                ("hash", models.CharField(max_length=64)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "stream",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="detections.journalstream",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "journal entries",
                "ordering": ["stream", "number"],
                "constraints": [models.UniqueConstraint(fields=("stream", "number"), name="journal_number")],
            },
        ),
        migrations.CreateModel(
            name="CoveredWindow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "start",
                    models.DateTimeField(help_text="empty means from the beginning of time", null=True),
                ),
                ("end", models.DateTimeField()),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="covered",
                        to="detections.rule",
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "end"],
                "indexes": [models.Index(fields=["rule", "end"], name="covered_by_rule")],
            },
        ),
        migrations.CreateModel(
            name="BackSearch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("from_time", models.DateTimeField()),
                ("to_time", models.DateTimeField()),
                ("slice_seconds", models.PositiveIntegerField()),
                ("searched_until", models.DateTimeField(null=True)),
                ("slices_done", models.PositiveIntegerField(default=0)),
                ("attempts_failed", models.PositiveIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("cancelled_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "requested_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="back_searches",
                        to="detections.rule",
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="back_search",
                        to="detections.rulerun",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("from_time__lt", models.F("to_time"))),
                        name="back_search_forwards",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=("rule",),
                        name="one_back_search_a_rule",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="ruleversion",
            name="rule",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="detections.rule"
            ),
        ),
        migrations.AddConstraint(
            model_name="ruleversion",
            constraint=models.UniqueConstraint(fields=("rule", "number"), name="rule_version_number"),
        ),
    ]
