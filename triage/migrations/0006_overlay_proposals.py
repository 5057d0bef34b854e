"""Overlays proposed and approved."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0005_collaboration")]

    operations: ClassVar = [
        migrations.AddField(model_name="guideversion", name="review", field=models.TextField(blank=True)),
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
                        condition=Q(
                            ("approved_by__isnull", True),
                            Q(
                                ("requested_by__isnull", False),
                                Q(("approved_by", F("requested_by")), _negated=True),
                                Q(("approved_by", F("last_edited_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="overlay_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("state__in", ["approved"]), _negated=True),
                            Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                ("approved_sha256", F("content_sha256")),
                            ),
                            _connector="OR",
                        ),
                        name="overlay_approval_is_there",
                    ),
                    models.UniqueConstraint(fields=("rule", "number"), name="overlay_proposal_number"),
                    models.UniqueConstraint(
                        condition=Q(("state", "approved")),
                        fields=("rule",),
                        name="overlay_one_in_force_a_rule",
                    ),
                    models.CheckConstraint(
                        condition=Q(("state", "draft"), ("last_edited_by__isnull", False), _connector="OR"),
                        name="overlay_has_an_author",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            ("state__in", ["draft", "superseded"]),
                            ("requested_by__isnull", False),
                            _connector="OR",
                        ),
                        name="overlay_was_proposed",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("state", "declined"), _negated=True),
                            Q(("decided_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="overlay_decline_says_why",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("state", "approved"), _negated=True), ("guide__isnull", False), _connector="OR"
                        ),
                        name="overlay_in_force_has_a_guide",
                    ),
                ],
            },
        ),
    ]
