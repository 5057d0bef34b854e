"""What exceptions and value lists have in common: versions, each in force once another person approved it."""

from typing import Self

from django.db import models
from django.db.models import F, Q

from triage.enums import ExceptionState
from triage.models.four_eyes import FourEyes, four_eyes_constraints

# States that nobody gets into without another person's approval.
APPROVED_STATES = (
    ExceptionState.APPROVED,
    ExceptionState.ACTIVE,
    ExceptionState.EXPIRED,
    ExceptionState.REVOKED,
)
# States of a version on its way: an item has one of them at most.
ON_ITS_WAY = (ExceptionState.DRAFT, ExceptionState.PROPOSED, ExceptionState.APPROVED)


class ApprovedVersion(FourEyes):
    """A version of what goes into force once another person approved it; at most one of a family does.

    revision: grows with each edit and change of state. It is in force from active_from (included) to ended_at
    (excluded).
    """

    number = models.PositiveIntegerField()
    state = models.CharField(
        max_length=12, choices=ExceptionState.choices, default=ExceptionState.DRAFT, db_index=True
    )
    revision = models.PositiveIntegerField(default=1)
    reason = models.TextField(blank=True)
    active_from = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    @property
    def label(self) -> str:
        """What people call the version."""
        raise NotImplementedError

    @property
    def stream(self) -> str:
        """The name of its family's chain in the journal."""
        raise NotImplementedError

    def family(self) -> models.QuerySet[Self]:
        """All versions of what it is a version of, this one too."""
        raise NotImplementedError


def approval_constraints(prefix: str, parent: str) -> list[models.BaseConstraint]:
    """Four eyes, active only while approved, one version of a family on its way and one in force."""
    is_approved = Q(
        approved_by__isnull=False,
        approved_at__isnull=False,
        approved_sha256=F("content_sha256"),
        approved_at__lte=F("active_from"),
    )
    return [
        *four_eyes_constraints(prefix, approved_states=APPROVED_STATES),
        models.CheckConstraint(
            condition=Q(active_from__isnull=True) | is_approved, name=f"{prefix}_was_never_active_unapproved"
        ),
        models.CheckConstraint(
            condition=~Q(state="active") | Q(active_from__isnull=False, ended_at__isnull=True),
            name=f"{prefix}_active_has_begun",
        ),
        models.CheckConstraint(condition=Q(state="draft") | ~Q(reason=""), name=f"{prefix}_has_a_reason"),
        models.UniqueConstraint(fields=[parent, "number"], name=f"{prefix}_version_number"),
        models.UniqueConstraint(fields=[parent], condition=Q(state="active"), name=f"{prefix}_active_once"),
        models.UniqueConstraint(
            fields=[parent],
            condition=Q(state__in=["draft", "proposed", "approved"]),
            name=f"{prefix}_one_version_on_its_way",
        ),
    ]
