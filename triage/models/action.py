"""Response actions: what was asked for, decided, done, proven and taken back."""

import hashlib
from datetime import timedelta
from typing import ClassVar

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery

from detections.journal import canonical_json
from detections.models.visibility import VisibleQuerySet
from triage.enums import ActionState, CheckOutcome, ConfirmationKind, ObservableType
from triage.models.attachment import Attachment
from triage.models.case import Case
from triage.models.four_eyes import FourEyes
from triage.models.observable import Observable
from triage.models.question import Confirmation

_S = ActionState
# Somebody decided on these, or nobody had to.
DECIDED = (_S.APPROVED, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.UNDONE)
# These have not come to an end.
MOVING = (_S.REQUESTED, _S.APPROVED, _S.RUNNING, _S.UNKNOWN)
# These may have an effect out there.
IN_FORCE = (_S.RUNNING, _S.SUCCEEDED, _S.UNKNOWN)


class Connector(models.Model):
    """One way to a system that acts. `config` has no secret: `secrets` names the environment variables.

    failures: in a row, of the way itself; the circuit is open until `open_until`. dry_run: nothing is sent.
    """

    key = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=100)
    adapter = models.CharField(max_length=30)
    config = models.JSONField(default=dict, blank=True)
    secrets = models.JSONField(
        default=dict,
        blank=True,
        help_text='names of environment variables, {"api_key": "CONNECTOR_KIBANA_KEY"}',
    )
    enabled = models.BooleanField(default=False)
    dry_run = models.BooleanField(default=False)
    per_minute = models.PositiveSmallIntegerField("most actions a minute", default=30)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    open_until = models.DateTimeField(null=True, editable=False)
    tested_at = models.DateTimeField(null=True, editable=False)
    tested_ok = models.BooleanField(default=False, editable=False)
    test_says = models.TextField(blank=True, editable=False)

    objects = VisibleQuerySet["Connector"].as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ActionKind(models.Model):
    """How actions of one kind are decided and done here. Rows are made from `triage.response.kinds`.

    connector null: a person does it by hand, unless the product itself does. approver_group null: whoever may
    approve. request_minutes: a request that nobody decides lapses then. lasts_minutes: how long a containment
    is asked for; auto_undo: it is taken back by itself then, else somebody is reminded.
    """

    key = models.SlugField(max_length=50, unique=True)
    label = models.CharField(max_length=200)
    needs_approval = models.BooleanField(default=True)
    is_destructive = models.BooleanField(default=False, editable=False)
    is_containment = models.BooleanField(default=False, editable=False)
    approver_group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    request_minutes = models.PositiveIntegerField(default=240)
    lasts_minutes = models.PositiveIntegerField(null=True, blank=True)
    auto_undo = models.BooleanField(default=False)
    check_minutes = models.PositiveIntegerField(default=60)
    connector = models.ForeignKey(
        Connector, null=True, blank=True, on_delete=models.PROTECT, related_name="kinds"
    )
    instructions = models.TextField(blank=True, help_text="what a person does who does it by hand")

    objects = VisibleQuerySet["ActionKind"].as_manager()

    class Meta:
        ordering = ["label"]
        constraints = [
            models.CheckConstraint(
                condition=Q(is_destructive=False) | Q(needs_approval=True), name="destructive_needs_approval"
            )
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def lifetime(self) -> timedelta:
        return timedelta(minutes=self.request_minutes)


class ResponseActionQuerySet(VisibleQuerySet["ResponseAction"]):
    def open_containments(self) -> "ResponseActionQuerySet":
        """What can be taken back, may be in force, and is neither taken back nor handed over."""
        return self.filter(is_containment=True, state__in=IN_FORCE, undoes__isnull=True, handed_to="")

    def with_proof(self) -> "ResponseActionQuerySet":
        """Each with when its effect was first and last seen, `first_held` and `last_held`, however long it is
        looked at."""
        held = ActionCheck.objects.filter(action=OuterRef("pk"), result=CheckOutcome.HOLDING).values("at")
        first, last = held.order_by("at")[:1], held.order_by("-at")[:1]
        return self.annotate(first_held=Subquery(first), last_held=Subquery(last))

    def moving(self) -> "ResponseActionQuerySet":
        return self.filter(state__in=MOVING)


class ResponseAction(FourEyes):
    """One thing to do about a case, done at most once. An undo is a row of its own that names what it undoes.

    idempotency_key: of this action, whatever is delivered twice; each attempt that a person asks for again
    has its number behind it. accepted_at: the target took it and works on it. undo_plan: `{"kind", "by"}` as
    asked for. ends_at: when the containment is over or is looked at. override_reason: why a lead let it pass
    its preconditions, which `overrode` lists. proof: the newest check.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="actions")
    kind = models.ForeignKey(ActionKind, on_delete=models.PROTECT, related_name="actions")
    stage = models.CharField(max_length=100, blank=True, help_text="the rung's key in the guide")
    title = models.CharField(max_length=255)
    target = models.ForeignKey(
        Observable, null=True, blank=True, on_delete=models.PROTECT, related_name="actions"
    )
    target_type = models.CharField(max_length=10, choices=ObservableType.choices, blank=True)
    target_value = models.TextField(blank=True)
    parameters = models.JSONField(default=dict)
    reason = models.TextField(help_text="why it is asked for")
    state = models.CharField(max_length=10, choices=ActionState.choices, default=ActionState.REQUESTED)
    says = models.TextField(blank=True, help_text="what the state means here, in a sentence")
    idempotency_key = models.CharField(max_length=64, unique=True)
    needs_approval = models.BooleanField()
    is_containment = models.BooleanField(default=False)
    expires_at = models.DateTimeField(help_text="not decided or not begun by then, it lapses")
    undoes = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="undos")
    undo_plan = models.JSONField(default=dict)
    ends_at = models.DateTimeField(null=True)
    auto_undo = models.BooleanField(default=False)
    reminded_at = models.DateTimeField(null=True)
    handed_to = models.CharField(max_length=255, blank=True)
    handed_by = models.CharField(max_length=200, blank=True)
    handed_at = models.DateTimeField(null=True)
    handed_reason = models.TextField(blank=True)
    override_reason = models.TextField(blank=True)
    overrode = models.JSONField(default=list)
    connector = models.ForeignKey(Connector, null=True, on_delete=models.PROTECT, related_name="actions")
    attempts = models.PositiveIntegerField(default=0, help_text="how often it was begun")
    tries = models.PositiveSmallIntegerField(default=0, help_text="in a row that the target did not take")
    looks = models.PositiveIntegerField(
        default=0, help_text="how often the target was asked what became of it"
    )
    external_id = models.CharField(max_length=255, blank=True)
    output = models.JSONField(default=dict)
    attachment = models.ForeignKey(
        Attachment, null=True, blank=True, on_delete=models.PROTECT, related_name="actions"
    )
    started_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    check_due_at = models.DateTimeField(null=True)
    proof = models.CharField(max_length=10, choices=CheckOutcome.choices, blank=True)
    proof_says = models.TextField(blank=True)
    proven_at = models.DateTimeField(null=True)

    objects: ClassVar[ResponseActionQuerySet] = ResponseActionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["pk"]
        permissions = [
            ("request_action", "Can request response actions"),
            ("override_precondition", "Can request actions against their preconditions"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True)
                | (
                    Q(requested_by__isnull=False)
                    & ~Q(approved_by=F("requested_by"))
                    & ~Q(approved_by=F("last_edited_by"))
                ),
                name="action_approved_by_another",
            ),
            models.CheckConstraint(
                condition=Q(needs_approval=False)
                | ~Q(state__in=[state.value for state in DECIDED])
                | Q(
                    approved_by__isnull=False,
                    approved_at__isnull=False,
                    approved_sha256=F("content_sha256"),
                ),
                name="action_approval_is_there",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["running", "succeeded", "unknown", "undone"])
                | Q(started_at__isnull=False),
                name="action_was_begun",
            ),
            models.CheckConstraint(
                condition=Q(handed_to="") | (~Q(handed_reason="") & Q(handed_at__isnull=False)),
                name="action_handed_over_with_a_reason",
            ),
            models.UniqueConstraint(
                fields=["undoes"],
                condition=Q(state__in=["requested", "approved", "running", "succeeded", "unknown"]),
                name="one_undo_an_action",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "expires_at"], name="action_by_state"),
            models.Index(fields=["check_due_at"], name="action_to_check"),
            models.Index(fields=["connector", "started_at"], name="action_rate"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        """What people call the action."""
        return f"RA-{self.pk}"

    @property
    def send_key(self) -> str:
        """The key under which this attempt is known to the target."""
        return f"{self.idempotency_key}-{self.attempts}"

    @property
    def is_in_force(self) -> bool:
        return self.state in IN_FORCE

    def computed_sha256(self) -> str:
        """Of everything that an approval is for."""
        content = {
            "case": self.case_id,
            "kind": self.kind_id,
            "stage": self.stage,
            "title": self.title,
            "target": [self.target_type, self.target_value],
            "parameters": self.parameters,
            "reason": self.reason,
            "undoes": self.undoes_id,
            "undo_plan": self.undo_plan,
            "override": [self.override_reason, self.overrode],
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


class ActionCheck(models.Model):
    """One look at whether an action has its effect. The first one is its proof, later ones that it holds."""

    action = models.ForeignKey(ResponseAction, on_delete=models.PROTECT, related_name="checks")
    at = models.DateTimeField()
    result = models.CharField(max_length=10, choices=CheckOutcome.choices)
    says = models.TextField()
    by = models.CharField(max_length=200)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.result}: {self.says}"


class BlockEntry(models.Model):
    """One value on the published block list, from an approved action until that one is undone."""

    action = models.ForeignKey(ResponseAction, on_delete=models.PROTECT, related_name="block_entries")
    type = models.CharField(max_length=10, choices=ObservableType.choices)
    value = models.CharField(max_length=255)
    added_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    objects = VisibleQuerySet["BlockEntry"].as_manager()

    class Meta:
        ordering = ["type", "value", "pk"]
        verbose_name_plural = "block entries"
        constraints = [
            models.UniqueConstraint(fields=["action", "type", "value"], name="block_entry_once_an_action")
        ]
        indexes = [models.Index(fields=["removed_at", "type", "value"], name="block_entry_feed")]

    def __str__(self) -> str:
        return f"{self.type} {self.value}"


class ReplyLink(models.Model):
    """A link by which somebody outside confirms something, once. Only the hash of its token is kept."""

    action = models.OneToOneField(ResponseAction, on_delete=models.PROTECT, related_name="reply_link")
    token_sha256 = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=15, choices=ConfirmationKind.choices)
    sent_to = models.CharField(max_length=255)
    question = models.TextField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    confirms = models.BooleanField(null=True)
    statement = models.TextField(blank=True)
    confirmation = models.OneToOneField(
        Confirmation, null=True, on_delete=models.PROTECT, related_name="reply_link"
    )

    class Meta:
        ordering = ["pk"]
