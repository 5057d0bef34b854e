"""Notes, attachments, tasks, merges and overrides."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("triage", "0004_observables"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
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
            ],
            options={
                "ordering": ["pk"],
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
            ],
            options={
                "ordering": ["pk"],
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
            ],
            options={
                "ordering": ["due_at", "pk"],
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
            ],
            options={
                "ordering": ["pk"],
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
            ],
            options={
                "ordering": ["pk"],
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
            ],
            options={
                "ordering": ["note", "number"],
            },
        ),
        migrations.AlterModelOptions(
            name="case",
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
            },
        ),
        migrations.RemoveConstraint(
            model_name="caselink",
            name="case_link_once",
        ),
        migrations.AddField(
            model_name="answer",
            name="fields",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="caselink",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="caselink",
            name="removed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="caselink",
            name="removed_by",
            field=models.CharField(blank=True, help_text="as the journal names them", max_length=200),
        ),
        migrations.AddField(
            model_name="caselink",
            name="removed_reason",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="caselink",
            name="why",
            field=models.TextField(blank=True),
        ),
        migrations.AddConstraint(
            model_name="caselink",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)),
                fields=("source", "target", "kind"),
                name="case_link_once",
            ),
        ),
        migrations.AddField(
            model_name="attachment",
            name="attached_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="attachment",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="attachments", to="triage.case"
            ),
        ),
        migrations.AddField(
            model_name="attachment",
            name="withdrawn_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="confirmation",
            name="attachment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="confirmations",
                to="triage.attachment",
            ),
        ),
        migrations.AddField(
            model_name="casemerge",
            name="made_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="casemerge",
            name="occurrences",
            field=models.ManyToManyField(related_name="merges", to="triage.occurrence"),
        ),
        migrations.AddField(
            model_name="casemerge",
            name="source",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="merged_away", to="triage.case"
            ),
        ),
        migrations.AddField(
            model_name="casemerge",
            name="target",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="merged_here", to="triage.case"
            ),
        ),
        migrations.AddField(
            model_name="casemerge",
            name="undone_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="casetask",
            name="case",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tasks",
                to="triage.case",
            ),
        ),
        migrations.AddField(
            model_name="casetask",
            name="done_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="casetask",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="case_tasks",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="gateoverride",
            name="by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="gateoverride",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="overrides", to="triage.case"
            ),
        ),
        migrations.AddField(
            model_name="mention",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="mentions_of_them",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="author",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="notes", to="triage.case"
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="withdrawn_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="mention",
            name="note",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="mentions", to="triage.note"
            ),
        ),
        migrations.AddField(
            model_name="noteversion",
            name="note",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="triage.note"
            ),
        ),
        migrations.AddConstraint(
            model_name="attachment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdrawn_at__isnull", True)),
                fields=("case", "sha256", "name"),
                name="attached_once_a_case",
            ),
        ),
        migrations.AddConstraint(
            model_name="attachment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("withdrawn_at__isnull", True),
                    models.Q(
                        ("withdrawn_by__isnull", False), models.Q(("withdrawn_reason", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="attachment_withdrawn_with_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="casemerge",
            constraint=models.UniqueConstraint(
                condition=models.Q(("undone_at__isnull", True)),
                fields=("source",),
                name="merged_into_one_case",
            ),
        ),
        migrations.AddConstraint(
            model_name="casemerge",
            constraint=models.CheckConstraint(
                condition=models.Q(("source", models.F("target")), _negated=True), name="merged_into_another"
            ),
        ),
        migrations.AddIndex(
            model_name="casetask",
            index=models.Index(fields=["done_at", "due_at"], name="task_waiting"),
        ),
        migrations.AddConstraint(
            model_name="casetask",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("done_at__isnull", True),
                    models.Q(("done_by__isnull", False), models.Q(("done_note", ""), _negated=True)),
                    _connector="OR",
                ),
                name="task_done_by_somebody_with_a_note",
            ),
        ),
        migrations.AddConstraint(
            model_name="gateoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="override_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="note",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("withdrawn_at__isnull", True),
                    models.Q(
                        ("withdrawn_by__isnull", False), models.Q(("withdrawn_reason", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="note_withdrawn_with_a_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="mention",
            index=models.Index(fields=["user", "read_at"], name="mention_unread"),
        ),
        migrations.AddConstraint(
            model_name="mention",
            constraint=models.UniqueConstraint(fields=("note", "user"), name="mentioned_once_a_note"),
        ),
        migrations.AddConstraint(
            model_name="noteversion",
            constraint=models.UniqueConstraint(fields=("note", "number"), name="note_version_number"),
        ),
    ]
