"""Response actions: kinds, connectors, actions with their checks, the block list, reply links."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("triage", "0007_exception_items"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
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
        migrations.AddConstraint(
            model_name="actionkind",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_destructive", False), ("needs_approval", True), _connector="OR"),
                name="destructive_needs_approval",
            ),
        ),
        migrations.AddIndex(
            model_name="responseaction",
            index=models.Index(fields=["state", "expires_at"], name="action_by_state"),
        ),
        migrations.AddIndex(
            model_name="responseaction",
            index=models.Index(fields=["check_due_at"], name="action_to_check"),
        ),
        migrations.AddIndex(
            model_name="responseaction",
            index=models.Index(fields=["connector", "started_at"], name="action_rate"),
        ),
        migrations.AddConstraint(
            model_name="responseaction",
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
                name="action_approved_by_another",
            ),
        ),
        migrations.AddConstraint(
            model_name="responseaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("needs_approval", False),
                    models.Q(
                        ("state__in", ["approved", "running", "succeeded", "failed", "unknown", "undone"]),
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
        ),
        migrations.AddConstraint(
            model_name="responseaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["running", "succeeded", "unknown", "undone"]), _negated=True),
                    ("started_at__isnull", False),
                    _connector="OR",
                ),
                name="action_was_begun",
            ),
        ),
        migrations.AddConstraint(
            model_name="responseaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("handed_to", ""),
                    models.Q(models.Q(("handed_reason", ""), _negated=True), ("handed_at__isnull", False)),
                    _connector="OR",
                ),
                name="action_handed_over_with_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="responseaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("state__in", ["requested", "approved", "running", "succeeded", "unknown"])
                ),
                fields=("undoes",),
                name="one_undo_an_action",
            ),
        ),
        migrations.AddIndex(
            model_name="blockentry",
            index=models.Index(fields=["removed_at", "type", "value"], name="block_entry_feed"),
        ),
        migrations.AddConstraint(
            model_name="blockentry",
            constraint=models.UniqueConstraint(
                fields=("action", "type", "value"), name="block_entry_once_an_action"
            ),
        ),
    ]
