"""Exceptions: small contracts that hide alerts of a confirmed workflow, and what came of them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from detections.journal import canonical_json
from detections.models import Alert, Rule, RuleVersion
from detections.models.visibility import VisibleQuerySet
from triage.enums import (
    VALUE_LIST_HOLDS,
    BackTestKind,
    BackTestState,
    ExceptionOrigin,
    ExceptionState,
    ValueListType,
)
from triage.models.approved_version import ApprovedVersion, approval_constraints
from triage.models.case import Case
from triage.models.days import within_a_year


class ExceptionItem(models.Model):
    """An exception of a rule, over all its versions; at most one of them is active.

    owner: the account that is asked when it drifts or ends. source: what an import brought along, to be
    written back by an export. drift: what the last look found changed, one sentence each.
    """

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="exceptions")
    name = models.CharField(max_length=255)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="exceptions")
    origin = models.CharField(max_length=10, choices=ExceptionOrigin.choices, default=ExceptionOrigin.NATIVE)
    source = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    drift = models.JSONField(default=list, blank=True)
    drift_checked_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[VisibleQuerySet["ExceptionItem"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["rule", "name", "pk"]
        permissions = [
            ("propose_exception", "Can propose exceptions and value lists"),
            ("exceed_share", "Can let an exception hide more of a rule's alerts than its share"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    @property
    def number(self) -> str:
        """What people call the item."""
        return f"EX-{self.pk}"

    @property
    def stream(self) -> str:
        """The name of the item's chain in the journal."""
        return f"exception:{self.pk}"


class ExceptionVersionQuerySet(VisibleQuerySet["ExceptionVersion"]):
    def active(self) -> "ExceptionVersionQuerySet":
        return self.filter(state=ExceptionState.ACTIVE)

    def in_force(self, now: datetime) -> "ExceptionVersionQuerySet":
        """Active, and not past its end although nobody has marked it expired yet."""
        return self.active().filter(active_from__lte=now, expires_at__gt=now)


class ExceptionVersion(ApprovedVersion):
    """What an item said at one time, and who stands for it.

    entries: see `triage.exception_items.content`. owner: who answers for the workflow. rule_version: what the
    rule said when it was reviewed; the hash covers its hash. starts_at: not before this moment, None for as
    soon as approved. It is over at the earlier of expires_at and ended_at. exceeds_share_by: who lets it hide
    more of the rule's alerts than its share.
    """

    item = models.ForeignKey(ExceptionItem, on_delete=models.PROTECT, related_name="versions")
    entries = models.JSONField(default=list)
    change_record = models.CharField(max_length=255, blank=True)
    owner = models.CharField(max_length=255, blank=True)
    case = models.ForeignKey(
        Case, null=True, blank=True, on_delete=models.PROTECT, related_name="exception_versions"
    )
    rule_version = models.ForeignKey(RuleVersion, null=True, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    superseded_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="supersedes"
    )
    renewal_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="renewals"
    )
    exceeds_share = models.BooleanField(default=False)
    exceeds_share_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    hits = models.PositiveIntegerField(default=0)
    last_hit_at = models.DateTimeField(null=True, blank=True)
    last_sample_at = models.DateTimeField(null=True, blank=True)
    hits_at_last_sample = models.PositiveIntegerField(default=0)

    objects: ClassVar[ExceptionVersionQuerySet] = ExceptionVersionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["item", "-number"]
        constraints = [
            *approval_constraints("exception", "item"),
            models.CheckConstraint(
                condition=Q(state="draft") | Q(expires_at__isnull=False), name="exception_ends"
            ),
            models.CheckConstraint(
                condition=Q(active_from__isnull=True)
                | Q(expires_at__isnull=False, expires_at__gt=F("active_from")),
                name="exception_ends_after_it_begins",
            ),
            models.CheckConstraint(condition=within_a_year("active_from"), name="exception_lasts_a_year"),
            models.CheckConstraint(
                condition=Q(state="draft") | within_a_year("starts_at"),
                name="exception_lasts_a_year_once_begun",
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | ~Q(owner="") | ~Q(change_record=""),
                name="exception_names_owner_or_change",
            ),
            models.CheckConstraint(
                condition=Q(exceeds_share=False) | Q(exceeds_share_by__isnull=False),
                name="exception_share_exceeded_by_a_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} v{self.number}"

    @property
    def label(self) -> str:
        return f"{self.item.number} v{self.number}"

    @property
    def stream(self) -> str:
        return self.item.stream

    def family(self) -> ExceptionVersionQuerySet:
        return ExceptionVersion.objects.filter(item=self.item_id)

    @property
    def needs_review(self) -> bool:
        """Whether the rule has a newer version than the one it was reviewed against."""
        return self.rule_version_id != self.item.rule.current_id


class ValueList(models.Model):
    """A named list of values that entries refer to; its versions are approved like exceptions."""

    name = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=10, choices=ValueListType.choices)
    note = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[VisibleQuerySet["ValueList"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def stream(self) -> str:
        """The name of the list's chain in the journal."""
        return f"value_list:{self.pk}"

    @property
    def holds(self) -> str:
        """What its values are, in words."""
        return VALUE_LIST_HOLDS[ValueListType(self.type)]


def value_list_sha256(value_list: ValueList, values: Sequence[str], reason: str) -> str:
    """SHA-256 hex of what a version of a list would hold."""
    content = [value_list.name, value_list.type, list(values), reason]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


class ValueListVersion(ApprovedVersion):
    """What a value list held at one time. values: in their plain spelling, sorted, each once."""

    value_list = models.ForeignKey(ValueList, on_delete=models.PROTECT, related_name="versions")
    values = models.JSONField(default=list)

    objects: ClassVar[VisibleQuerySet["ValueListVersion"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["value_list", "-number"]
        constraints = approval_constraints("value_list", "value_list")

    def __str__(self) -> str:
        return f"{self.value_list} v{self.number}"

    @property
    def label(self) -> str:
        return str(self)

    @property
    def stream(self) -> str:
        return self.value_list.stream

    def family(self) -> VisibleQuerySet["ValueListVersion"]:
        return ValueListVersion.objects.filter(value_list=self.value_list_id)

    def sha256_of_content(self) -> str:
        """SHA-256 hex of what the version holds now: what its approval is of."""
        return value_list_sha256(self.value_list, self.values, self.reason)


class SuppressionQuerySet(VisibleQuerySet["Suppression"]):
    def standing(self) -> "SuppressionQuerySet":
        """Those that still hide their alert."""
        return self.filter(lifted_at__isnull=True)


class Suppression(models.Model):
    """An alert that an exception hides, with the version that does.

    is_sample: picked to be looked at; it is opened as a review case too. is_retroactive: a lead applied the
    version to it (applied_by, reason). value_lists: the versions of lists that took part, `{name: number}`.
    recheck_at: when the evidence is complete that a negative clause speaks of, None where nothing is to come;
    settled_at: when that held. lifted_at: when it did not, so that the alert went to a case after all. host,
    user and source are the alert's, kept here to count and to see drift.
    """

    alert = models.OneToOneField(Alert, on_delete=models.PROTECT, related_name="suppression")
    version = models.ForeignKey(ExceptionVersion, on_delete=models.PROTECT, related_name="suppressions")
    at = models.DateTimeField(db_index=True)
    is_sample = models.BooleanField(default=False)
    is_retroactive = models.BooleanField(default=False)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)
    value_lists = models.JSONField(default=dict, blank=True)
    recheck_at = models.DateTimeField(null=True, blank=True, db_index=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_reason = models.TextField(blank=True)
    host = models.CharField(max_length=255, blank=True)
    user = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=64, blank=True, help_text="the other side of its connection")

    objects: ClassVar[SuppressionQuerySet] = SuppressionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(is_retroactive=False) | (Q(applied_by__isnull=False) & ~Q(reason="")),
                name="retroactive_suppression_by_a_person",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True) | ~Q(lifted_reason=""), name="lifting_has_a_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["version", "at"], name="suppression_by_version"),
            models.Index(fields=["version", "host"], name="suppression_by_host"),
        ]

    def __str__(self) -> str:
        return f"{self.alert} hidden by {self.version}"


class BackTest(models.Model):
    """What a version would have hidden. Contract of `result`: docs/exceptions.md, back-tests.

    content_sha256: of the content that it was run for; an edit makes it a test of something else.
    """

    version = models.ForeignKey(ExceptionVersion, on_delete=models.PROTECT, related_name="back_tests")
    kind = models.CharField(max_length=10, choices=BackTestKind.choices)
    content_sha256 = models.CharField(max_length=64)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    state = models.CharField(
        max_length=10, choices=BackTestState.choices, default=BackTestState.WAITING, db_index=True
    )
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True, blank=True)
    result: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    cancel_requested = models.BooleanField(default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    renewed_at = models.DateTimeField(null=True, blank=True, help_text="last sign of life of its worker")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[VisibleQuerySet["BackTest"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Back-test {self.pk} of {self.version}"


class ExceptionReview(models.Model):
    """A hidden alert that was opened as a case, so that somebody looks whether the exception still holds."""

    suppression = models.OneToOneField(Suppression, on_delete=models.PROTECT, related_name="review")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="exception_reviews")
    opened_at = models.DateTimeField()

    objects: ClassVar[VisibleQuerySet["ExceptionReview"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]
