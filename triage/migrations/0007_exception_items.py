"""Exception items, their hits and back-tests."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0006_overlay_proposals")]

    operations: ClassVar = [
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
            },
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["approved", "active", "expired", "revoked"]), _negated=True),
                    models.Q(
                        ("approved_at__isnull", False),
                        ("approved_by__isnull", False),
                        ("approved_sha256", models.F("content_sha256")),
                    ),
                    _connector="OR",
                ),
                name="exception_approval_is_there",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "active"), _negated=True),
                    models.Q(("active_from__isnull", False), ("ended_at__isnull", True)),
                    _connector="OR",
                ),
                name="exception_active_has_begun",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("state", "draft"), ("expires_at__isnull", False), _connector="OR"),
                name="exception_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("active_from__isnull", True),
                    models.Q(("expires_at__gt", models.F("active_from")), ("expires_at__isnull", False)),
                    _connector="OR",
                ),
                name="exception_ends_after_it_begins",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "draft"), models.Q(("reason", ""), _negated=True), _connector="OR"
                ),
                name="exception_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "draft"),
                    models.Q(("owner", ""), _negated=True),
                    models.Q(("change_record", ""), _negated=True),
                    _connector="OR",
                ),
                name="exception_names_owner_or_change",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("exceeds_share", False), ("exceeds_share_by__isnull", False), _connector="OR"
                ),
                name="exception_share_exceeded_by_a_person",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.UniqueConstraint(fields=("item", "number"), name="exception_version_number"),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")), fields=("item",), name="exception_active_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["draft", "proposed", "approved"])),
                fields=("item",),
                name="exception_one_version_on_its_way",
            ),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["version", "at"], name="suppression_by_version"),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["version", "host"], name="suppression_by_host"),
        ),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_retroactive", False),
                    models.Q(("applied_by__isnull", False), models.Q(("reason", ""), _negated=True)),
                    _connector="OR",
                ),
                name="retroactive_suppression_by_a_person",
            ),
        ),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("lifted_at__isnull", True),
                    models.Q(("lifted_reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="lifting_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["approved", "active", "expired", "revoked"]), _negated=True),
                    models.Q(
                        ("approved_at__isnull", False),
                        ("approved_by__isnull", False),
                        ("approved_sha256", models.F("content_sha256")),
                    ),
                    _connector="OR",
                ),
                name="value_list_approval_is_there",
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "active"), _negated=True),
                    models.Q(("active_from__isnull", False), ("ended_at__isnull", True)),
                    _connector="OR",
                ),
                name="value_list_active_has_begun",
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "draft"), models.Q(("reason", ""), _negated=True), _connector="OR"
                ),
                name="value_list_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.UniqueConstraint(
                fields=("value_list", "number"), name="value_list_version_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")), fields=("value_list",), name="value_list_active_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="valuelistversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["draft", "proposed", "approved"])),
                fields=("value_list",),
                name="value_list_one_version_on_its_way",
            ),
        ),
    ]
